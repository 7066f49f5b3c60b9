"""How a run ends badly: any error as one sentence, why, the container's last lines, what to do; and its exit code."""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
import traceback
from contextlib import suppress

import click

from deployer.cli.output import dump, say
from deployer.cli.session import Session
from deployer.core.interruption import comes_of_an_interrupt
from deployer.errors import ConfigInvalid, DeployerError, Interrupted, MachineFault, TargetUnavailable
from deployer_scoring.masking import learn, masked
from deployer_scoring.printable import one_line

_MACHINE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EADDRINUSE: "the port is taken",
    errno.EMFILE: "too many files are open",
    errno.ENOENT: "there is no such file",
    errno.EACCES: "the file may not be read or written",
    errno.EPERM: "this is not permitted here",
    errno.EFBIG: "a file would be larger than this machine allows",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "not a directory",
    errno.EISDIR: "a directory, where a file is needed",
    errno.ENOMEM: "memory is used up",
}


def report_failure(error: BaseException, session: Session) -> int:
    """Print what went wrong to stderr, for -o json and the like also to stdout as a document; the exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, BrokenPipeError):
        # Whoever read us has gone: nothing is left to say, and Python's own flush at exit must not say it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    ours = told(error, session)
    if session.output in ("json", "yaml", "jsonl"):
        failed = {"error": ours.document()}
        with suppress(OSError):  # the disk that standard output goes to may be what is full
            click.echo(dump({"event": "failed", **failed} if session.output == "jsonl" else failed, session.output))
    return ours.exit_code


def told(error: BaseException, session: Session, *, of: str = "") -> DeployerError:
    """Say on stderr what went wrong, `of` which of several deployments; the error as one of ours."""
    ours = as_told(error, session)
    if session.debug:
        say("".join(traceback.format_exception(error)).rstrip("\n"), err=True)
    say(failure_text(ours, of), err=True)
    return ours


def failure_text(error: DeployerError, of: str = "") -> str:
    """What happened, `of` which of several, and how it stands now, then why, then what to do."""
    happened = f"{of}: {error.message}" if of else error.message
    return "\n".join((f"Error [{error.code}]: {_sentence(one_line(happened))}", *(f"  {line}" for line in error.details())))


def as_told(error: BaseException, session: Session) -> DeployerError:
    """The error as one of ours, with what it says fit to be shown: its advice names the target, secrets of the command line are known."""
    learn(*sys.argv[1:], *os.environ.values())
    ours = as_ours(error, session)
    ours.advice = _at(session.target, ours.advice)
    return ours


def as_ours(error: BaseException, session: Session) -> DeployerError:
    """The error as one of ours: wrong use, an interrupt, this machine, a network; what is none of these is our fault."""
    if isinstance(error, DeployerError):
        return error
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        return ConfigInvalid(error.format_message(), advice=f"{context.command_path if context else 'deploy'} --help")
    if isinstance(error, click.Abort) or comes_of_an_interrupt(error):
        return _interrupted(session)
    if isinstance(error, (ConnectionError, TimeoutError)):
        return TargetUnavailable("a connection failed", why=str(error))
    if isinstance(error, OSError) and error.errno in _MACHINE:
        where = f": {error.filename}" if error.filename else ""
        return MachineFault(f"{_MACHINE[error.errno]}{where}", why=str(error.strerror or error))
    return DeployerError(f"{type(error).__name__}: {error}", why="this is a fault of ours, not of what you asked for")


def _at(target: str, advice: str) -> str:
    """The advice, its commands about a deployment naming the target: who raised the error knows the name alone."""
    return re.sub(r"\b(deploy [a-z]+) -n ", lambda found: f"{found[1]} -t {shlex.quote(masked(target))} -n ", advice) if target else advice


def _interrupted(session: Session) -> Interrupted:
    if not session.started:
        return Interrupted("interrupted before anything was changed", advice="nothing is left running")
    return Interrupted(f"interrupted at {session.started[-1]}: what is done so far stays")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
