"""A live run: it says what it costs and asks, makes what it needs, runs the promises for as long as was agreed, and sweeps, however it ends."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn, TypeVar

TOP = Path(__file__).resolve().parents[2]
PATHS = [str(TOP), *(str(TOP / part) for part in ("targets", "images", "localstack"))]
"""The checkout's packages."""
ALL_RUNS = "conformance-live-"
"""What the names begin with of all that any run made."""
DEPLOY = str(Path(sys.executable).with_name("deploy"))
CLEANING_MINUTES, TRIES = 30, 3
PATIENCE = 60.0
"""Seconds that the suite has to end once it is interrupted."""
Run = TypeVar("Run")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those that are the same on every cloud."""
    parser.add_argument("--minutes", type=float, default=360, help="the suite is ended after so long, whatever it is at")
    parser.add_argument("--all", action="store_true", help="the very long promises too: think of --minutes 1440")
    parser.add_argument("-k", metavar="EXPRESSION", help="some promises, as pytest's -k")
    parser.add_argument("--runtime", choices=["docker", "process"], default="docker", help="process: stand-ins, which only the local cloud takes")
    parser.add_argument("--yes", action="store_true", help="don't ask")
    parser.add_argument("--sweep", action="store_true", help="only remove what earlier runs left")


def cost(asked: argparse.Namespace, *, at_once: int, instance_type: str, hourly: float, note: str, besides: str) -> str:
    """What a run costs at most, in words."""
    minutes = at_once * (asked.minutes + CLEANING_MINUTES)
    return (
        f"This costs ${minutes / 60 * hourly:.2f} at most, and some cents for {besides}: never more than {at_once} instances\n"
        f"({instance_type}) at once, for {asked.minutes:g} minutes and {CLEANING_MINUTES} of cleaning up: {minutes:.0f} instance-minutes\n"
        f"at ${hourly:g} an hour ({note})."
    )


def carried_out(
    asked: argparse.Namespace,
    told: str,
    run: Run,
    *,
    prepare: Callable[[Run], Run],
    file: Path,
    sweep: Callable[[Run], int],
    faults: tuple[type[Exception], ...],
) -> int:
    """The whole run; its exit code.

    Args:
        prepare: the run with what it needs, which it makes.
        file: the suite's.
        faults: what the cloud's client raises.
    """
    print(told)
    if not asked.yes and not _confirmed():
        print("nothing was made")
        return 2
    code = 1
    try:
        run = prepare(run)
        code = _suite(file, run, asked)
    except KeyboardInterrupt:
        print("\ninterrupted", flush=True)
        code = 130
    except subprocess.CalledProcessError as error:
        print(f"the image could not be made: {error.stdout or ''}{error.stderr or ''}", file=sys.stderr)
    except faults as error:
        print(f"the cloud refused what the run needs: {error}", file=sys.stderr)
    finally:
        left = sweep(run)
    return code or left


def image(target: str, repository: str, runtime: str, *more: str) -> str:
    """Build a scoring image and push it; its reference."""
    command = [DEPLOY, "build-and-push-container", "-t", target, "-c", repository, "--runtime", runtime, "-q", *more]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment()).stdout.strip()


def environment() -> dict[str, str]:
    """This process's, with the checkout's packages before any installed ones."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)}


def swept(prefix: str, removed: Callable[[], list[str]], listed: Callable[[], Sequence[tuple[str, str]]]) -> int:
    """Remove all that carries the prefix, and say what is left; 1 where something is.

    Args:
        removed: tries to remove all; what could not be, and why.
        listed: what is there, by kind and name.
    """
    print(f"removing what is named {prefix}* ...", flush=True)
    errors: list[str] = []
    left: Sequence[tuple[str, str]] = ()
    try:
        for _ in range(TRIES):
            errors = removed()
            left = listed()
            if not left:
                print("nothing is left")
                return 0
    except KeyboardInterrupt:
        print(f"the cleaning was interrupted: {sys.argv[0]} --sweep removes the rest", file=sys.stderr)
        return 130
    words = [f"{kind} {name}" for kind, name in left]
    print(f"left, and yours to remove (or: {sys.argv[0]} --sweep):", *words, *errors, sep="\n  ", file=sys.stderr)
    return 1


def interrupted_by_signals() -> None:
    """Have the signals by which a run is ended interrupt it, so that it sweeps."""
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _interrupt)


def refuse(why: str) -> NoReturn:
    print(f"{why}; nothing was made", file=sys.stderr)
    raise SystemExit(2)


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        print("nobody is there to be asked: --yes goes on without", file=sys.stderr)
        return False
    return input("Go on? [y/N] ").strip().lower() in {"y", "yes"}


def _suite(file: Path, run: Any, asked: argparse.Namespace) -> int:
    """Run the promises in a process of their own, for as long as was agreed; its exit code."""
    choice = [*([] if asked.all else ["-m", "not slow"]), *(["-k", asked.k] if asked.k else [])]
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", str(file), *choice]
    told = {**environment(), "DEPLOYER_CONFORMANCE_LIVE": json.dumps(asdict(run))}
    process = subprocess.Popen(command, cwd=TOP, env=told, start_new_session=True)
    try:
        return process.wait(asked.minutes * 60)
    except subprocess.TimeoutExpired:
        print(f"\nthe {asked.minutes:g} minutes are over", flush=True)
        return 1
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt the suite, so that it deletes what it is at; end it where it doesn't."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(PATIENCE)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
