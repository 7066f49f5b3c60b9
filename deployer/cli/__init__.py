"""The command line: `deploy`, and `deployments`, which is the same program. Imports click and nothing heavier; commands are imported when run."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    try:
        from deployer.cli.program import program

        program.main(args=list(arguments) if arguments is not None else None)
    except KeyboardInterrupt:  # while the program itself was being loaded, or as it ended: nothing was asked of any cloud then
        sys.exit(130)
