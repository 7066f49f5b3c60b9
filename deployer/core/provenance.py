"""Who deploys, from where: read from the environment and the checkout, without starting a process."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from deployer.core.state import Provenance
from deployer.version import __version__
from deployer.words import rfc3339
from deployer_scoring.masking import masked

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_Environment = Mapping[str, str]


def provenance(environment: Mapping[str, str] | None = None, directory: Path | None = None) -> Provenance:
    """Who and what makes a generation now.

    Args:
        environment: os.environ where it's left out. Read are only the variables that CI systems document.
        directory: where to look for a checkout where no CI names the commit: the current one, and those above it.
    """
    known = os.environ if environment is None else environment
    job, commit, user = next(found for read in _SYSTEMS if (found := read(known)) is not None)
    return Provenance(
        user=masked(user or _user(known)),
        job=masked(job),
        commit=masked(commit) or git_commit(Path.cwd() if directory is None else directory),
        time=rfc3339(datetime.now(UTC)),
        tool=__version__,
    )


def git_commit(directory: Path) -> str:
    """The commit that is checked out at or above a directory; empty where there is none. Reads .git itself: no git is needed."""
    try:
        top = next(each for each in (directory.resolve(), *directory.resolve().parents) if (each / ".git").exists())
        git = _git_directory(top / ".git")
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        return _resolved(git, head.removeprefix("ref:").strip()) if head.startswith("ref:") else _commit(head)
    except (OSError, StopIteration, UnicodeDecodeError):
        return ""


Found = tuple[str, str, str]
"""A link to the job, or its name; the commit; the user; each empty where the system doesn't say."""


def _github(env: _Environment) -> Found | None:
    if "GITHUB_RUN_ID" not in env:
        return None
    run = f"{env.get('GITHUB_SERVER_URL', 'https://github.com')}/{env.get('GITHUB_REPOSITORY', '')}/actions/runs/{env['GITHUB_RUN_ID']}"
    return run, env.get("GITHUB_SHA", ""), env.get("GITHUB_ACTOR", "")


def _gitlab(env: _Environment) -> Found | None:
    if env.get("GITLAB_CI") is None:
        return None
    return env.get("CI_JOB_URL", env.get("CI_JOB_ID", "")), env.get("CI_COMMIT_SHA", ""), env.get("GITLAB_USER_LOGIN", "")


def _jenkins(env: _Environment) -> Found | None:
    return (env.get("BUILD_URL", ""), env.get("GIT_COMMIT", ""), env.get("BUILD_USER_ID", "")) if "JENKINS_URL" in env else None


def _buildkite(env: _Environment) -> Found | None:
    if env.get("BUILDKITE") is None:
        return None
    job = f"{env.get('BUILDKITE_BUILD_URL', '')}#{env.get('BUILDKITE_JOB_ID', '')}".removesuffix("#")
    return job, env.get("BUILDKITE_COMMIT", ""), env.get("BUILDKITE_BUILD_CREATOR", "")


def _circleci(env: _Environment) -> Found | None:
    return (env.get("CIRCLE_BUILD_URL", ""), env.get("CIRCLE_SHA1", ""), env.get("CIRCLE_USERNAME", "")) if "CIRCLECI" in env else None


def _azure(env: _Environment) -> Found | None:
    if "TF_BUILD" not in env:
        return None
    project = f"{env.get('SYSTEM_COLLECTIONURI', env.get('SYSTEM_TEAMFOUNDATIONCOLLECTIONURI', ''))}{env.get('SYSTEM_TEAMPROJECT', '')}"
    return f"{project}/_build/results?buildId={env.get('BUILD_BUILDID', '')}", env.get("BUILD_SOURCEVERSION", ""), env.get("BUILD_REQUESTEDFOR", "")


def _bitbucket(env: _Environment) -> Found | None:
    if "BITBUCKET_BUILD_NUMBER" not in env:
        return None
    job = f"{env.get('BITBUCKET_GIT_HTTP_ORIGIN', '')}/pipelines/results/{env['BITBUCKET_BUILD_NUMBER']}"
    return job, env.get("BITBUCKET_COMMIT", ""), ""


def _codebuild(env: _Environment) -> Found | None:
    if "CODEBUILD_BUILD_ID" not in env:
        return None
    return env["CODEBUILD_BUILD_ID"], env.get("CODEBUILD_RESOLVED_SOURCE_VERSION", ""), env.get("CODEBUILD_INITIATOR", "")


def _no_ci(_: _Environment) -> Found | None:
    return "", "", ""


_SYSTEMS: tuple[Callable[[_Environment], Found | None], ...] = (
    _github,
    _gitlab,
    _jenkins,
    _buildkite,
    _circleci,
    _azure,
    _bitbucket,
    _codebuild,
    _no_ci,
)


def _user(env: _Environment) -> str:
    """The login name, as the environment has it, or else the system."""
    named = next((env[name] for name in ("LOGNAME", "USER", "LNAME", "USERNAME") if env.get(name)), "")
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry for this uid: a container run as any user
        return str(os.getuid())


def _git_directory(git: Path) -> Path:
    """The directory that holds HEAD; a worktree or submodule has a file that names it."""
    if git.is_dir():
        return git
    return (git.parent / git.read_text(encoding="utf-8").partition("gitdir:")[2].strip()).resolve()


def _resolved(git: Path, reference: str) -> str:
    """The commit of a branch: a file of its own, or a line of packed-refs; a worktree has its branches in the main directory."""
    common = git / "commondir"
    shared = (git / common.read_text(encoding="utf-8").strip()).resolve() if common.exists() else git
    for place in (git, shared):
        if (place / reference).is_file():
            return _commit((place / reference).read_text(encoding="utf-8"))
    packed = shared / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.exists() else []
    return next((_commit(line.partition(" ")[0]) for line in lines if line.endswith(f" {reference}")), "")


def _commit(text: str) -> str:
    return text.strip() if _COMMIT.fullmatch(text.strip()) else ""
