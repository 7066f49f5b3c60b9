"""No secret of an address that a user names comes out again: by no command, in no form of output, in no record, event or trace."""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import deployer
from deployer.core.provenance import provenance
from deployer.core.target import Diagnosis, LogLine, Verdict
from deployer.errors import DeployerError, RolloutFailed
from deployer.events import Event, Noticed, StepProgressed, document
from deployer_scoring import masking
from docs.examples.memory_cloud import CLOUDS, Cloud
from tests.unit.cli.conftest import Run, deployed, saved

CANARY = "c4n4ry-S3CRET"
CLOSED = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def nothing_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_learned", {})
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def _kept() -> str:
    """All that the target in memory keeps."""
    return json.dumps([asdict(each) for cloud in CLOUDS.values() for each in deployed(cloud).values()], default=str)


WAYS: dict[str, tuple[str, ...]] = {
    "an address with a password": ("models", "check", f"http://me:{CANARY}@{CLOSED}/m.tgz"),
    "a password with a slash": ("models", "check", f"http://me:{CANARY}/x@{CLOSED}/m.tgz"),
    "a signed address": ("models", "check", f"http://{CLOSED}/m.tgz?X-Amz-Signature={CANARY}&sig={CANARY}"),
    "an unknown scheme": ("models", "check", f"ftp://me:{CANARY}@{CLOSED}/m.tgz"),
    "a bucket": ("models", "check", f"s3://me:{CANARY}@bucket/m"),
    "a tracking server": ("models", "check", "models:/churn/1", "--tracking-uri", f"http://me:{CANARY}@{CLOSED}"),
    "a tracking server that can't be one": ("models", "check", "models:/churn/1", "--tracking-uri", f"http://me:{CANARY}/x@{CLOSED}"),
    "a registry": ("models", "check", "models:/churn/1", "--registry-uri", f"postgresql://me:{CANARY}@{CLOSED}/ml?password={CANARY}"),
    "artifacts": ("models", "check", f"mlflow-artifacts://me:{CANARY}@{CLOSED}/m"),
    "an image to hold it against": ("models", "check", "churn", "--image", f"me:{CANARY}@{CLOSED}/image:1"),
    "an image": ("create", "-m", "churn", "-C", f"image_url=https://me:{CANARY}@{CLOSED}/image:1"),
    "a target": ("create", "-m", "churn", "-t", f"memory://me:{CANARY}@here"),
    "a word that is no command": (f"http://me:{CANARY}@{CLOSED}",),
    "an unknown option": ("create", "-m", "churn", "-C", f"proxy=http://me:{CANARY}@{CLOSED}"),
    "a wrong value": ("create", "-m", "churn", "-C", f"instance_count=http://me:{CANARY}@{CLOSED}"),
    "a file of options": ("create", "-m", "churn", "-f", f"http://me:{CANARY}@{CLOSED}/churn.yaml"),
    "an input": ("predict", "-n", "churn", "-i", f"http://me:{CANARY}@{CLOSED}/rows.json"),
}


@pytest.mark.parametrize("form", ["table", "json"])
@pytest.mark.parametrize("way", WAYS)
def test_a_secret_in_an_address_is_never_quoted(way: str, form: str, deploy: Run, churn: Path) -> None:
    arguments = WAYS[way]
    output = ("-o", form) if arguments[0] in ("create", "models") else ()
    ended = deploy(*arguments, *output, *(("--debug",) if len(arguments) > 1 else ()), target=arguments[0] in ("create", "predict"))
    assert ended.exit_code != 1, ended.output
    assert CANARY not in ended.output + ended.stderr + _kept()


def test_what_is_deployed_shows_and_keeps_no_secret(deploy: Run, workspace: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JENKINS_URL", f"https://me:{CANARY}@ci.example.com")
    monkeypatch.setenv("BUILD_URL", f"https://me:{CANARY}@ci.example.com/job/7?token={CANARY}")
    needs = f"ours @ git+https://{CANARY}@github.com/o/ours@v1\nmore @ https://h.io/more-1.0-py3-none-any.whl?X-Token={CANARY}\nscikit-learn==1.9.1\n"
    saved(workspace / "churn", requirements=f"--extra-index-url https://me:{CANARY}@h.io/simple\n{needs}")
    cloud.findings.append(Diagnosis("proxy", Verdict.WARNING, f"http://me:{CANARY}@proxy:3128 answers", f"try curl -u me:x http://me:{CANARY}@proxy"))
    cloud.lines.append(LogLine(f"installed from https://me:{CANARY}@h.io/simple"))
    looks: list[tuple[str, ...]] = [("create", "-m", "churn", "-C", "image_url=scoring:1", "--packages", "image", "--debug")]
    for form in ("table", "json", "yaml"):
        looks += [
            ("plan", "-n", "churn", "-m", "churn", "-o", form),
            ("get", "-n", "churn", "-o", form),
            ("list", "-o", form),
            ("doctor", "-o", form),
        ]
        looks += [("models", "check", "churn", "-o", form), ("get", "-n", "churn", "--explain-config", "-o", form)]
    looks += [("apply", "-m", "churn", "-o", "jsonl"), ("doctor", "-o", "jsonl")]
    ended = {each: deploy(*each, target=each[0] != "models") for each in looks}
    assert {each: one.stderr for each, one in ended.items() if one.exit_code == 1} == {}
    assert ended[looks[0]].exit_code == 0, ended[looks[0]].output
    leaks = [each for each, one in ended.items() if CANARY in one.output + one.stderr]
    assert leaks == []
    assert "ours @ git+https://github.com/o/ours@v1" in _kept()
    assert "https://***@ci.example.com/job/7" in _kept()
    assert CANARY not in _kept()


def test_a_failure_s_reason_lines_and_advice_are_masked(deploy: Run, churn: Path, cloud: Cloud) -> None:
    said = f"pip could not reach https://me:{CANARY}@h.io/simple"
    cloud.faults["point"] = RolloutFailed(said, why=said, advice=said, lines=(said, f"\x1b[31m{CANARY}\x1b[0m"))
    for form in ("table", "json", "jsonl"):
        ended = deploy("create", "-m", "churn", "-o", form, "--debug")
        assert ended.exit_code not in (0, 1), ended.output
        assert CANARY not in ended.output + ended.stderr


def test_errors_and_events_in_python_are_masked_wherever_they_come_from() -> None:
    url = f"https://me:{CANARY}@h.io/simple"
    for kind in [DeployerError, *DeployerError.__subclasses__()]:
        error = kind(url, why=url, advice=url, lines=(url,))
        assert CANARY not in repr([str(error), error.args, error.message, error.why, error.advice, error.lines, repr(error)])
        assert CANARY not in "".join(traceback.format_exception(error))
    events: list[Event] = [Noticed(message=url), StepProgressed(step=url, label=url, unit=url, note=url)]
    assert CANARY not in json.dumps([document(each) for each in events]) + repr(events)


def test_provenance_names_no_secret() -> None:
    systems: list[dict[str, str]] = [
        {"GITHUB_RUN_ID": "7", "GITHUB_SERVER_URL": f"https://me:{CANARY}@ghe.io", "GITHUB_SHA": "ab"},
        {"GITLAB_CI": "1", "CI_JOB_URL": f"https://me:{CANARY}@gitlab.io/job/7"},
        {"BITBUCKET_BUILD_NUMBER": "7", "BITBUCKET_GIT_HTTP_ORIGIN": f"https://x-token-auth:{CANARY}@bitbucket.org/o/r"},
        {"TF_BUILD": "1", "SYSTEM_COLLECTIONURI": f"https://{CANARY}@dev.azure.com/o/"},
    ]
    for environment in systems:
        found: Any = provenance(environment)
        assert found.job and CANARY not in repr(found)


def test_the_python_api_tells_no_secret(cloud: Cloud, churn: Path) -> None:
    client = deployer.get_deploy_client("memory:/here")
    with pytest.raises(DeployerError) as refused:
        client.create_deployment("churn", f"http://me:{CANARY}@{CLOSED}/m.tgz")
    assert CANARY not in f"{refused.value} {refused.value.why}"


def test_names_of_strangers_steer_no_terminal(deploy: Run, workspace: Path, cloud: Cloud) -> None:
    evil = "\x1b]0;owned\x07\x1b[2Jrm\u202e\nError [forged]: all is well"
    model = saved(workspace / "evil", requirements=f"{evil.splitlines()[0]}\n")
    text = (model / "MLmodel").read_text()
    (model / "MLmodel").write_text(text.replace("sklearn_version: 1.9.1", f"sklearn_version: {json.dumps(evil)}") + f"run_id: {json.dumps(evil)}\n")
    cloud.findings.append(Diagnosis("disk", Verdict.WRONG, evil, evil))
    for arguments in (("models", "check", "evil"), ("create", "-m", "evil", "--packages", "image"), ("get", "-n", "evil"), ("list",), ("doctor",)):
        for form in ("table", "json"):
            ended = deploy(*arguments, "-o", form, target=arguments[0] != "models")
            shown = ended.output + ended.stderr
            assert not any(each in shown for each in ("\x1b", "\x07", "\u202e")), (arguments, form)
            assert not any(line.startswith("Error [forged]") for line in shown.splitlines())
    cloud.lines.append(LogLine("\x1b[31mred\x1b[0m"))
    assert deploy("logs", "-n", "evil").output.splitlines()[-1] == "\x1b[31mred\x1b[0m"  # to a pipe, as it is
