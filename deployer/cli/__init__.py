"""The command line: `deploy`, and `deployments`, which is the same program. Imports click and nothing heavier; commands are imported when run."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    try:
        from deployer.cli.program import program

        program.main(args=list(arguments) if arguments is not None else None)
    except KeyboardInterrupt:  # while the program itself was being loaded, or as it said its last: what to do has been said, if anything was begun
        sys.exit(130)
    finally:
        _end_at_once_if_interrupted()


def _end_at_once_if_interrupted() -> None:
    """All is said and done: one more Ctrl-C ends the threads that are still waited for, without a trace."""
    import signal
    import threading

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
