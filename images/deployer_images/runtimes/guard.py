"""Runs one command so that nothing of it outlives whoever started it, not even by kill -9. A script of its own: it imports nothing of ours.

    python -I -S guard.py GRACE_SECONDS SCRATCH_DIRECTORY COMMAND...

Standard input is the lifeline. "t" on it sends SIGTERM to the command, "k" kills its process group, its end means that the other side is
gone: SIGTERM, and SIGKILL after the grace. In the end whatever is left of the group is killed, the scratch directory is removed, and the
command's exit code becomes the guard's own (128 and the signal's number where one ended it).
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from types import FrameType

PR_SET_PDEATHSIG = 1
HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    grace_seconds, scratch, command = float(sys.argv[1]), sys.argv[2], sys.argv[3:]
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    asked_to_end: list[int] = []

    def note(number: int, frame: "FrameType | None") -> None:
        if number != signal.SIGCHLD:
            asked_to_end.append(number)

    for number in HANDLED:
        signal.signal(number, note)
    child = spawn(command)
    try:
        return watch(child, woken, asked_to_end, grace_seconds)
    finally:
        kill(child)
        import shutil

        shutil.rmtree(scratch, ignore_errors=True)


def spawn(command: "list[str]") -> int:
    guard = os.getpid()
    # Whatever comes before the child has its own handlers waits for them: with ours it would be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        with contextlib.suppress(OSError):  # both sides set it, so that neither has to wait for the other
            os.setpgid(child, child)
        return child
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        die_with_parent(guard)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execv(command[0], command)
    except BaseException as fault:
        os.write(2, f"{command[0]} could not be started: {fault}\n".encode())
    os._exit(127)


def die_with_parent(parent: int) -> None:
    """Should the guard itself be killed. The guard has one thread: the signal comes with the end of the thread that forked, not of the process."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(128 + signal.SIGKILL)


def watch(child: int, woken: int, asked_to_end: "list[int]", grace_seconds: float) -> int:
    lifeline, deadline = 0, float("inf")
    listening = [woken, lifeline]
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        remaining = deadline - time.monotonic()
        ready, _, _ = select.select(listening, [], [], None if remaining == float("inf") else max(0.0, remaining))
        if woken in ready:
            os.read(woken, 512)
        said = os.read(lifeline, 64) if lifeline in ready else b"-"
        if not said:
            listening.remove(lifeline)
            deadline = time.monotonic() + grace_seconds
        if not said or b"t" in said or asked_to_end:
            asked_to_end.clear()
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        if b"k" in said or time.monotonic() >= deadline:
            kill(child)
            deadline = float("inf")


def kill(child: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
