"""Who deploys, from where, as CI systems and checkouts tell it."""

import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from deployer.core.provenance import git_commit, provenance
from deployer.version import __version__

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("environment", "user", "job"),
    [
        (
            {
                "GITHUB_RUN_ID": "7",
                "GITHUB_REPOSITORY": "o/r",
                "GITHUB_SERVER_URL": "https://github.com",
                "GITHUB_SHA": COMMIT,
                "GITHUB_ACTOR": "ada",
            },
            "ada",
            "https://github.com/o/r/actions/runs/7",
        ),
        ({"GITLAB_CI": "true", "CI_JOB_URL": "https://gitlab/j/7", "CI_COMMIT_SHA": COMMIT, "GITLAB_USER_LOGIN": "ada"}, "ada", "https://gitlab/j/7"),
        ({"JENKINS_URL": "x", "BUILD_URL": "https://jenkins/7", "GIT_COMMIT": COMMIT, "USER": "ci"}, "ci", "https://jenkins/7"),
        (
            {
                "BUILDKITE": "true",
                "BUILDKITE_BUILD_URL": "https://bk/7",
                "BUILDKITE_JOB_ID": "j",
                "BUILDKITE_COMMIT": COMMIT,
                "BUILDKITE_BUILD_CREATOR": "ada",
            },
            "ada",
            "https://bk/7#j",
        ),
        ({"CIRCLECI": "true", "CIRCLE_BUILD_URL": "https://cci/7", "CIRCLE_SHA1": COMMIT, "CIRCLE_USERNAME": "ada"}, "ada", "https://cci/7"),
        (
            {
                "TF_BUILD": "True",
                "SYSTEM_COLLECTIONURI": "https://dev.azure.com/o/",
                "SYSTEM_TEAMPROJECT": "p",
                "BUILD_BUILDID": "7",
                "BUILD_SOURCEVERSION": COMMIT,
                "BUILD_REQUESTEDFOR": "ada",
            },
            "ada",
            "https://dev.azure.com/o/p/_build/results?buildId=7",
        ),
    ],
    ids=["github", "gitlab", "jenkins", "buildkite", "circleci", "azure"],
)
def test_ci_names_the_job_the_commit_and_whose_it_is(environment: dict[str, str], user: str, job: str, tmp_path: Path) -> None:
    found = provenance(environment, tmp_path)
    assert (found.user, found.job, found.commit) == (user, job, COMMIT)


def test_without_ci_it_is_the_user_and_the_checkout(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text(COMMIT + "\n")
    found = provenance({"USER": "ada"}, tmp_path)
    assert (found.user, found.job, found.commit, found.tool) == ("ada", "", COMMIT, __version__)
    assert datetime.fromisoformat(found.time).tzinfo is not None


def test_a_user_is_found_without_a_word_in_the_environment(tmp_path: Path) -> None:
    assert provenance({}, tmp_path).user


def git(directory: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", "-C", str(directory), *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_what_git_says_on_a_branch_packed_detached_or_in_a_worktree(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    git(checkout, "init", "-q", "-b", "feature/x")
    assert git_commit(checkout) == ""
    git(checkout, "commit", "-q", "--allow-empty", "-m", "one")
    (checkout / "deep" / "er").mkdir(parents=True)
    head = git(checkout, "rev-parse", "HEAD")
    assert git_commit(checkout / "deep" / "er") == head
    git(checkout, "pack-refs", "--all")
    assert git_commit(checkout) == head
    git(checkout, "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "other")
    git(tmp_path / "tree", "commit", "-q", "--allow-empty", "-m", "two")
    assert git_commit(tmp_path / "tree") == git(tmp_path / "tree", "rev-parse", "HEAD") != head
    git(checkout, "checkout", "-q", "--detach")
    assert git_commit(checkout) == head


def test_what_is_no_commit_is_not_recorded(tmp_path: Path) -> None:
    assert git_commit(tmp_path) == ""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("something else\n")
    assert git_commit(tmp_path) == ""
