"""Every command of README.md and docs/ does what the page says, in an environment that has only what the text says to install."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.documentation.pages import RUN, TOP, Block, blocks, pages
from tests.e2e.documentation.reader import Reader
from tests.environments import cache_directory, mlflow_python

# What a reader's machine says of package registries and certificates; nothing else of the one that tests run on reaches the pages.
_KEPT = ("PIP_", "UV_", "SSL_", "REQUESTS_", "HTTP", "http", "NO_PROXY", "no_proxy", "LANG", "LC_")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Stands in a clone of what is committed and changed here, with an empty home."""
    room = tmp_path_factory.mktemp("reader")
    home, clone = room / "home", room / "home" / "deployer"
    tracked = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=TOP, capture_output=True, check=True)
    for name in filter(None, tracked.stdout.decode().split("\0")):
        if (TOP / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, clone / name)
    (room / "state.sh").write_text(f'cd "{clone}"\n')
    environment = {
        **{name: value for name, value in os.environ.items() if name.startswith(_KEPT)},
        "HOME": str(home),
        "XDG_RUNTIME_DIR": tempfile.mkdtemp(prefix="reader-"),  # a socket's path is short
        "PATH": f"{Path(sys.base_prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        # Packages that this machine has fetched already are not fetched again.
        "XDG_CACHE_HOME": str(cache_directory() / "documentation"),
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv"),
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR") or str(Path.home() / ".cache" / "pip"),
        "COLUMNS": "120",
        # No bytecode of what is never imported; pip reads this one as the value of `compile`.
        "PIP_NO_COMPILE": "0",
        "PYTHON_WITH_MLFLOW": str(mlflow_python()),
        "GIVEN": str(Path(__file__).with_name("given.py")),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    found = Reader(room, environment, {})
    yield found
    found.stop()
    shutil.rmtree(environment["XDG_RUNTIME_DIR"], ignore_errors=True)
    slowest = sorted(found.seconds.items(), key=lambda each: -each[1])[:12]
    print("\n".join(f"{seconds:6.1f} s  {block}" for block, seconds in slowest))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(TOP)))
def test_the_page_does_what_it_says(page: Path, reader: Reader) -> None:
    reader.follow(blocks(page))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(TOP)))
def test_each_block_says_what_it_is(page: Path) -> None:
    for block in blocks(page):
        assert block.language, f"{block}: say the block's language; text is for what is only read"
        assert block.language not in {"bash", "shell", "py", "shell-session"}, f"{block}: {', '.join(RUN)} are run"
        assert block.language in RUN or not (block.not_run or block.interrupted_at or block.ends_with), f"{block}: it is not run anyway"
        assert "8 <" not in block.text, f"{block}: a formatter has taken the include for Python"
        assert not _commands(block), f"{block}: commands stand in a block of sh or console"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(TOP)))
def test_no_command_stands_outside_a_fence(page: Path) -> None:
    fenced, before = False, ""
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if line.strip().startswith(("```", "<!-- sh", "-->")):
            fenced = not fenced
        indented = line.startswith("    ") and not before.strip()
        assert fenced or not indented or line.lstrip().startswith(("-", "```", "<!--")), (
            f"{page.name}:{number}: an indented block is not run: fence it"
        )
        before = line


def _commands(block: Block) -> bool:
    return block.language not in RUN and any(line.removeprefix("$ ").startswith("deploy ") for line in block.text.splitlines())
