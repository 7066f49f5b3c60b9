"""Child processes made by fork alone: what the parent has loaded is theirs at once, and shared until written to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
import traceback
from typing import Any, Callable

_PR_SET_PDEATHSIG = 1


def forked(main: Callable[[], Any]) -> int:
    """Fork; the child runs a function, and ends with it.

    Args:
        main: Run in the child with default signal handling, but for SIGINT, and no event loop; the child's exit code is 1 where it raises, else 0.

    Returns:
        The child's process id.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _become_child(parent)
        main()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _become_child(parent: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal: what it means is for the parent to say
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    asyncio._set_running_loop(None)
    asyncio.set_event_loop(None)
    die_with_parent(parent)


def die_with_parent(parent: int) -> None:
    """Have this process killed when its parent is gone. Only Linux can; elsewhere a closed socket or a look at getppid must tell."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def ending(status: int) -> str:
    """How a process ended, in words.

    Args:
        status: As os.waitpid gives it.
    """
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with contextlib.suppress(ValueError):
            return f"signal {number}, {signal.Signals(number).name}"
        return f"signal {number}"
    return f"exit code {os.WEXITSTATUS(status)}"


def ended_well(pid: int, seconds: float) -> bool:
    """Wait for a child to end; one that hasn't by then is killed.

    Returns:
        Whether it ended in time, with exit code 0.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False
