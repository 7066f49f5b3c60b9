"""A reader of the pages, with a machine of their own: an empty home, a shell that keeps its folder and variables, the local cloud."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.e2e.documentation.pages import Block

BLOCK_SECONDS = 600.0


class Fell(AssertionError):
    """A block that doesn't do what the page says: where, what was typed, what came."""

    def __init__(self, block: Block, what: str, came: str) -> None:
        super().__init__(f"{block}: {what}\n\n{textwrap.indent(block.text, '    ')}\n  came:\n{textwrap.indent(came[-4000:], '    | ')}")


_ALL_DOWN = """
{ deploy list -t local -o name | xargs -r -n 1 deploy delete -t local -n || true
deploy localstack down || true; } >/dev/null 2>&1
"""


# README.md is followed with pip itself, which takes 40 s of a processor for what uv does in 3; the pages install the same again.
_PIP = f'pip() {{ if [ "$1" = install ]; then "{Path(sys.executable).with_name("uv")}" pip "$@"; else command pip "$@"; fi; }}'


@dataclass
class Reader:
    """Types what the pages say.

    Attributes:
        room: all that this reader has: `home`, and below it the folder that the shell is in.
        seconds: how long each block took.
    """

    room: Path
    environment: dict[str, str]
    seconds: dict[str, float]

    def follow(self, blocks: list[Block]) -> None:
        """Run the blocks that run, in order.

        Raises:
            Fell: at the first that doesn't do what is shown.
        """
        for block in blocks:
            if block.runs:
                began = time.monotonic()
                self._follow(block)
                self.seconds[str(block)] = time.monotonic() - began

    def stop(self) -> None:
        """End what the pages have started, and forget all of it."""
        self._shell(Block("the end", 0, "sh", "", _ALL_DOWN), _ALL_DOWN)
        shutil.rmtree(self.room, ignore_errors=True)

    def _follow(self, block: Block) -> None:
        if block.title and block.language not in ("sh", "console", "python"):
            path = self._folder() / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.language == "console":
            for command, shown in _typed(block.text):
                self._same(block, shown, self._shell(block, command))
        elif block.language == "python":
            name = block.title or f".block-{block.line}.py"
            (self._folder() / name).write_text(block.text)
            self._shell(block, f"python {name}")
        else:
            self._shell(block, block.text)

    def _shell(self, block: Block, script: str) -> str:
        """What a script prints, both streams as a terminal shows them; its folder and variables stay for the next."""
        state = self.room / "state.sh"
        tool = "" if block.page == "README.md" else _PIP
        whole = f'. "{state}"\n{tool}\nset -e\n{script}\n{{ export -p; printf "cd %q\\n" "$PWD"; }} > "{state}"\n'
        if not state.exists():
            state.write_text(f'cd "{self.room / "home"}"\n')
        with tempfile.TemporaryFile() as said, _started(["bash", "-c", whole], said, self.environment) as shell:
            if block.interrupted_at:
                self._interrupt(block, shell, said)
                return _read(said)
            try:
                code = shell.wait(BLOCK_SECONDS)
            except subprocess.TimeoutExpired:
                raise Fell(block, f"it goes on after {BLOCK_SECONDS:.0f} s", _read(said)) from None
            if code != block.ends_with:
                raise Fell(block, f"it ends with {code}, not with {block.ends_with}", _read(said))
            return _read(said)

    def _interrupt(self, block: Block, shell: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        deadline = time.monotonic() + BLOCK_SECONDS
        while block.interrupted_at not in _read(said):
            if shell.poll() is not None or time.monotonic() > deadline:
                raise Fell(block, f"it never says {block.interrupted_at!r}", _read(said))
            time.sleep(0.1)
        os.killpg(shell.pid, signal.SIGINT)
        try:
            code = shell.wait(30)
        except subprocess.TimeoutExpired:
            raise Fell(block, "it goes on after Ctrl-C", _read(said)) from None
        if code not in (0, 130, -signal.SIGINT):
            raise Fell(block, f"it ends with {code} after Ctrl-C", _read(said))

    def _same(self, block: Block, shown: str, came: str) -> None:
        if shown.strip() and not re.fullmatch(pattern(shown), _trimmed(came)):
            raise Fell(block, f"it shows\n{textwrap.indent(shown, '    > ')}", came)

    def _folder(self) -> Path:
        found = re.findall(r"^cd (.+)$", (self.room / "state.sh").read_text(), re.MULTILINE) if (self.room / "state.sh").exists() else []
        return Path(found[-1]) if found else self.room / "home"


def pattern(shown: str) -> str:
    """What is shown as a regular expression: "…" is anything in a line, alone on a line any number of lines; how wide gaps are doesn't count."""
    return "".join(r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line).replace("…", ".*") + "\n" for line in _trimmed(shown).splitlines())


def _trimmed(text: str) -> str:
    return "\n".join(re.sub(r"(?<=\S) +", " ", line).rstrip() for line in text.splitlines()).strip("\n") + "\n"


def _typed(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console, each with what is shown below it; a command goes on where its line ends with a backslash."""
    command, shown, goes_on = "", "", False
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line.removeprefix("$ "), ""
        elif goes_on:
            command += "\n" + line
        else:
            shown += line + "\n"
        goes_on = command.endswith("\\") and not shown
    if command:
        yield command, shown


@contextmanager
def _started(command: list[str], said: IO[bytes], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, none of which outlives the block but what has left it (a local cloud that was brought up)."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment, start_new_session=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _read(said: IO[bytes]) -> str:
    descriptor = said.fileno()
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")
