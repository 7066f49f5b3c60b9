"""What uv and pip say when they fail, and what a disk says, as one of our errors: whose fault it is, and the words that tell most."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deployer.errors import CredentialsInvalid, DeployerError, MachineFault, ModelInvalid, TargetUnavailable

_DISK = re.compile(r"No space left on device|os error 28")
_NO_NETWORK = re.compile(
    r"error sending request|dns error|tcp connect error|timed out|connection (?:refused|reset)|Request failed after|invalid peer cert", re.I
)
_NO_ACCESS = re.compile(r"\b(?:401 Unauthorized|403 Forbidden)\b|returned a?n? ?(?:401|403)")
_NO_SOLUTION = re.compile(
    r"No solution found|not found in the package registry|unsatisfiable|has no wheels|Couldn't parse requirement|Distribution not found at"
    r"|wheel filename .* is invalid|Failed to read `|does not match .* in the distribution filename"
)
_OTHER_FILE = re.compile(r"Hash mismatch for `([^`]+)`|hashes are required|--require-hashes", re.I)
_NOT_BUILT = re.compile(r"Wheels are required for `([^`]+)`|Building source distributions for `([^`]+)` is disabled")
_NOT_BUILT_UNNAMED = re.compile(r"Building source distributions is disabled|transport '[^']*' not allowed")
_BUILD = re.compile(r"Failed to (?:download and )?build `?'?([^`'\n]+)|The build backend returned an error|subprocess-exited-with-error")
_BUILT = re.compile(r"Failed to (?:download and )?build `?'?([^`'\n]+)")
_OF_UV = re.compile(r"(?:^\s*\[(?:stdout|stderr)\]\s*$)\n(.*?)(?=^hint:|\Z)", re.MULTILINE | re.DOTALL)
_OF_PIP = re.compile(r"lines of output\]\s*\n(.*?)^\s*\[end of output\]", re.MULTILINE | re.DOTALL)
_LAST = 15
_IN_THE_WAY = (
    (r"there is no version of (\S+) and you require", "no index has {0}"),
    (r"[Bb]ecause (\S+) was not found in the package registry", "no index has a package {0}"),
    (r"[Bb]ecause only (\S+) is available and you require (\S+?),", "no index has {1}, only {0}"),
    (r"[Bb]ecause (\S+) requires (Python ?\S+) and", "{0} needs {1}"),
    (r"[Bb]ecause (\S+) has no wheels with a matching .*?following [A-Za-z ]+: (.*?)(?: hint:|$)", "{0} has no wheel that runs there, only for {1}"),
    (r"[Bb]ecause (\S+) has no wheels with a matching", "{0} has no wheel that runs there"),
    (r"[Bb]ecause you require (\S+) and (\S+), we", "{0} and {1} contradict one another"),
    (r"conclude that (?:all versions of )?(\S+) and (?:all versions of )?(\S+) are incompatible", "{0} and {1} don't go together"),
    (r"Couldn't parse requirement in \S+ at position \d+ (?:cause: )?(.*?) \^", "what is no requirement: {0}"),
)
"""What uv says of a requirement that can't be satisfied, and how it is said here."""


class NeedsBuild(ModelInvalid):
    """Which versions there are can't be said without running what a package brings: the code that builds it.

    `packages` has each with what it is: "evil is only a source distribution".
    """

    packages: tuple[str, ...] = ()

    @classmethod
    def of(cls, packages: Sequence[str], *, why: str = "") -> NeedsBuild:
        """The error for these."""
        named = ", and ".join(packages)
        refusal = cls(
            f"what would be installed is not known: {named}, which runs its code when it is built, and nothing is built to look at a model",
            why=why,
            advice="name a version that has a wheel, or build it: --allow-build",
        )
        refusal.packages = tuple(packages)
        return refusal


class BuildFailed(ModelInvalid):
    """A package that has no wheel could not be built on this machine; `lines` are the builder's last."""


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Write in the block what the user has named as `path`.

    Raises:
        MachineFault: it can't be written: no such directory, no permission, the disk is full.
    """
    try:
        yield
    except OSError as fault:
        raise MachineFault(
            f"{path} could not be written", why=fault.strerror or str(fault), advice="name another place, or free some space"
        ) from fault


def fault_of(doing: str, said: str) -> DeployerError:
    """The error for what uv or pip wrote.

    Args:
        doing: what was being done: "installing the requirements".
        said: without credentials.
    """
    if source := [f"{one or other} is only a source distribution" for one, other in dict.fromkeys(_NOT_BUILT.findall(said))]:
        return NeedsBuild.of(source, why=_sentence(said))
    if _NOT_BUILT_UNNAMED.search(said):
        return NeedsBuild.of(["one of them comes from source"], why=_sentence(said))
    if _DISK.search(said):
        advice = "free some space; ~/.cache/uv and ~/.cache/deployer may be removed"
        return MachineFault(f"the disk is full while {doing}", why=_sentence(said), advice=advice)
    return _of_build(doing, said) or _of_index(doing, said) or _of_requirements(doing, said)


def _of_build(doing: str, said: str) -> DeployerError | None:
    """A builder that ran and failed, which is told from one that could not even be fetched by its having said something."""
    lines = tuple(_builders_lines(said))
    if not _BUILD.search(said) or not lines:
        return None
    named = _BUILT.search(said)
    name = named[1].strip() if named else "a package"
    return BuildFailed(
        f"{name} could not be built while {doing}",
        why=lines[-1],
        advice="install what its build needs on this machine, or name a version of it that has a wheel",
        lines=lines[-_LAST:],
    )


def _of_index(doing: str, said: str) -> DeployerError | None:
    why = _sentence(said)
    if _NO_ACCESS.search(said):
        advice = "check its credentials: the index URL, ~/.netrc or the keyring"
        return CredentialsInvalid(f"a package index refuses us while {doing}", why=why, advice=advice)
    if _NO_NETWORK.search(said):
        advice = "check the network, the proxy and the certificates (SSL_CERT_FILE), and the indexes that pip or uv are configured with"
        return TargetUnavailable(f"no package index answers while {doing}", why=why, advice=advice)
    return None


def _of_requirements(doing: str, said: str) -> DeployerError:
    why = _sentence(said)
    if other := _OTHER_FILE.search(said):
        what = f"the file of {other[1]} is not the one that is asked for" if other[1] else "a package has no digest to be held against"
        advice = "find out who changed it; where that is right, make the requirements' hashes anew"
        return ModelInvalid(f"{what}, found while {doing}", why=why, advice=advice)
    if _NO_SOLUTION.search(said) or _BUILD.search(said):
        which = _which(said)
        message = f"{doing} found no way to satisfy them{f': {which}' if which else ''}"
        return ModelInvalid(message, why=why, advice="correct the model's requirements, or save it again")
    return MachineFault(f"uv failed while {doing}", why=why)


def _which(said: str) -> str:
    """The requirement that is in the way, and what there is instead of it, in uv's words; "" where it tells a longer story."""
    words = " ".join(said.replace("`", "").split())
    for pattern, sentence in _IN_THE_WAY:
        if match := re.search(pattern, words):
            return sentence.format(*match.groups())
    return ""


def _builders_lines(said: str) -> Iterator[str]:
    """What a package's own build wrote, standard error last."""
    for part in _OF_UV.findall(said) or _OF_PIP.findall(said):
        for line in part.splitlines():
            if (text := line.strip()) and text not in ("[stdout]", "[stderr]"):
                yield text


def _sentence(said: str) -> str:
    """uv's own words, without its drawing: the error and its causes, the most telling first."""
    lines = [re.sub(r"^\s*(error|cause|caused by|hint|x|×|╰─▶|├─▶|│)[:\s]*", "", line, flags=re.I).strip() for line in said.splitlines()]
    words = [line for line in lines if line and not line.startswith("warning")]
    return "; ".join(dict.fromkeys(words[:4]))[:600]
