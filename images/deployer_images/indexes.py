"""Package indexes as pip and uv have them configured, in the variables that uv reads.

uv reads its own variables, its user's uv.toml, ~/.netrc and the system's keyring by itself. It reads nothing of pip's, so what pip is told
(PIP_ variables, pip.conf) is translated here, unless uv is told where to look itself. A project's pyproject.toml is left alone: the same
model gives the same lock wherever one stands.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from deployer_scoring.masking import learn

_PIP_OPTIONS = ("index-url", "extra-index-url", "find-links", "trusted-host", "cert", "no-index", "keyring-provider")
_UV_INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX")
# Those of the interpreter and of the activated environment would lead uv, or the build of a source distribution, astray.
_ASTRAY = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONSTARTUP", "VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT")


def uv_variables(ca_bundle: Path | None = None) -> dict[str, str]:
    """The environment for a run of uv: the caller's, without what leads it astray, and with pip's indexes where uv has none of its own.

    Args:
        ca_bundle: certificates to trust instead of the configured ones (SSL_CERT_FILE, else pip's `cert`).
    """
    variables = {name: value for name, value in os.environ.items() if name not in _ASTRAY}
    pip = dict(_pip_options())
    learn(*pip.values(), *(value for name, value in variables.items() if name.startswith("UV_") or name.lower().endswith("_proxy")))
    if not any(variables.get(name) for name in _UV_INDEX_VARIABLES) and not any(map(_names_an_index, _uv_files())):
        variables |= _translated(pip)
    if trusted := pip.get("trusted-host"):
        variables.setdefault("UV_INSECURE_HOST", trusted)
    if certificates := ca_bundle or variables.get("SSL_CERT_FILE") or pip.get("cert"):
        variables["SSL_CERT_FILE"] = str(certificates)
    if pip.get("keyring-provider", "auto") != "disabled" and shutil.which("keyring"):
        variables.setdefault("UV_KEYRING_PROVIDER", "subprocess")
    return variables


def from_pypi() -> bool:
    """Whether packages come from PyPI, and not only from indexes that the user has named instead."""
    variables = uv_variables()
    instead = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_NO_INDEX")
    return not any(variables.get(name) for name in instead) and not any(map(_names_an_index, _uv_files()))


def _translated(pip: Mapping[str, str]) -> dict[str, str]:
    names = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX"}
    found = {variable: pip[option] for option, variable in names.items() if pip.get(option)}
    if pip.get("extra-index-url"):
        # pip takes the best version of all its indexes; uv, left alone, stops at the first index that knows the name.
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if links := pip.get("find-links"):
        found["UV_FIND_LINKS"] = ",".join(links.split())
    if pip.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        found["UV_NO_INDEX"] = "true"
    return found


def _pip_options() -> Iterator[tuple[str, str]]:
    """What pip is told, weakest first: its files from the system's to the environment's ([install] over [global]), then its variables."""
    for file in _pip_files():
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(file, encoding="utf-8")
        except (OSError, configparser.Error, UnicodeDecodeError):
            continue  # pip itself will say so, when it is used
        for section in ("global", "install"):
            if parser.has_section(section):
                yield from ((option, parser.get(section, option)) for option in _PIP_OPTIONS if parser.has_option(section, option))
    for option in _PIP_OPTIONS:
        if value := os.environ.get("PIP_" + option.upper().replace("-", "_")):
            yield option, value


def _pip_files() -> Iterator[Path]:
    named = os.environ.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return
    home, config = Path.home(), Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    yield from (Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), home / ".pip" / "pip.conf", config / "pip" / "pip.conf")
    if sys.platform == "darwin":
        yield home / "Library" / "Application Support" / "pip" / "pip.conf"
    yield Path(sys.prefix) / "pip.conf"
    if named:
        yield Path(named)


def _uv_files() -> Iterator[Path]:
    if named := os.environ.get("UV_CONFIG_FILE"):
        yield Path(named)
        return
    yield Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "uv" / "uv.toml"
    yield Path("/etc/uv/uv.toml")


def _names_an_index(file: Path) -> bool:
    try:
        return re.search(r"(?m)^\s*(\[\[index\]\]|index\s*=|index-url|extra-index-url|find-links|no-index)", file.read_text()) is not None
    except (OSError, UnicodeDecodeError):
        return False
