"""Azurite, Azure's own emulator of its storage."""

from __future__ import annotations

import shutil
import subprocess

from tests.docker import unavailable
from tests.environments import cache_directory, made_once

_AZURITE = "azurite@3.35.0"
# What every Azurite has.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def azurite(port: int) -> list[str]:
    """The command that serves blobs on a port, installed by npm once; they are forgotten with it."""
    npm = shutil.which("npm")
    if npm is None:
        unavailable("Azure's emulator comes by npm, which is not here: apt-get install npm")
    command = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]
    name = _AZURITE.replace("@", "-")
    directory = made_once(cache_directory() / name, lambda made: subprocess.run([*command, str(made), _AZURITE], check=True))
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    return [str(directory / "node_modules" / ".bin" / "azurite-blob"), *options]
