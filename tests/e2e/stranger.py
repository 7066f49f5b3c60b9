"""Somebody who knows nothing of this project and mistypes, interrupts and revokes whatever can be: `deploy` as a process, on a real local AWS."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.sagemaker.cloud import BUCKET, AwsHere, running
from tests.local_clouds import model_in

DEPLOY = str(Path(sys.executable).with_name("deploy"))
QUESTION = '{"dataframe_split": {"columns": ["x"], "data": [[1], [2]]}}'
_ERROR = re.compile(r"^Error \[([a-z-]+)\]: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    exit_code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err

    def refused(self, code: str, exit_code: int) -> str:
        """Check that it failed as promised: this code, one sentence, what to do, the documented exit code, no trace; all that was said."""
        found = _ERROR.findall(self.err)
        assert [each for each, _ in found] == [code], self.said
        assert self.exit_code == exit_code, self.said
        [(_, sentence)] = found
        assert sentence[-1] in ".!?", sentence
        advice = re.findall(r"^  What to do: (.+)$", self.err, re.MULTILINE)
        assert len(advice) == 1, self.said
        # A container may tell of its own: those lines are marked as its.
        assert "Traceback" not in "\n".join(line for line in self.said.splitlines() if not line.startswith("    | ")), self.said
        return self.err

    @property
    def events(self) -> list[dict[str, Any]]:
        """What `-o jsonl` printed."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Stranger:
    """One cloud, one place to work in, and models of every kind."""

    here: AwsHere
    directory: Path
    environment: dict[str, str]

    @property
    def good(self) -> str:
        return str(self.directory / "doubler")

    @property
    def other(self) -> str:
        return str(self.directory / "tripler")

    def deploy(self, *arguments: str, env: dict[str, str | None] | None = None, timeout: float = 60, **how: Any) -> Ended:
        """Run a command to its end; variables that are None in `env` are taken away."""
        done = subprocess.run(
            [DEPLOY, *arguments],
            capture_output=True,
            text=True,
            env=self.variables(env),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
            **how,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def each(self, *commands: Sequence[str], env: dict[str, str | None] | None = None) -> list[Ended]:
        """Several commands that don't mind each other, run at once: in the order given."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda command: self.deploy(*command, env=env), commands))

    def create(self, name: str, *arguments: str, model: str = "doubler", **how: Any) -> Ended:
        return self.deploy("create", "-t", "sagemaker", "-n", name, "-m", model, *arguments, **how)

    def interrupted(self, *arguments: str, at: Callable[[dict[str, Any]], bool], blows: int = 1) -> Ended:
        """Run a command with `-o jsonl`, and press Ctrl-C at the first event that `at` takes; once more at each event after it, up to `blows`."""
        with subprocess.Popen(
            [DEPLOY, *arguments, "-o", "jsonl"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.directory,
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            lines, struck = [], 0
            for line in process.stdout:
                lines.append(line)
                if struck < blows and (struck or at(json.loads(line))):
                    process.send_signal(signal.SIGINT)
                    struck += 1
            err = process.stderr.read()
            return Ended(process.wait(60), "".join(lines), err)

    def variables(self, changes: dict[str, str | None] | None = None) -> dict[str, str]:
        return {name: value for name, value in {**self.environment, **(changes or {})}.items() if value is not None}

    def everything(self) -> dict[str, Any]:
        """All there is in the cloud, whoever made it: names, and of each endpoint its config."""
        sagemaker, s3 = self.here.boto("sagemaker"), self.here.boto("s3")
        found: dict[str, Any] = {
            "models": sorted(each["ModelName"] for each in sagemaker.list_models()["Models"]),
            "configs": sorted(each["EndpointConfigName"] for each in sagemaker.list_endpoint_configs()["EndpointConfigs"]),
            "endpoints": {
                each["EndpointName"]: sagemaker.describe_endpoint(EndpointName=each["EndpointName"]).get("EndpointConfigName")
                for each in sagemaker.list_endpoints()["Endpoints"]
            },
            "objects": [],
            "uploads": [],
        }
        for bucket in (each["Name"] for each in s3.list_buckets()["Buckets"]):
            found["objects"] += [f"{bucket}/{each['Key']}" for each in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
            found["uploads"] += [f"{bucket}/{each['Key']}" for each in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]
        return found

    def answer(self, name: str) -> Any:
        """What plain boto3 is answered."""
        body = self.here.boto("sagemaker-runtime").invoke_endpoint(EndpointName=name, ContentType="application/json", Body=QUESTION)["Body"]
        return json.loads(body.read())["predictions"]

    def object_text(self, key: str) -> str:
        return str(self.here.boto("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read().decode(errors="replace"))


def refusal_of(call: Callable[[], object]) -> tuple[str, str]:
    """The code and the words with which AWS refuses a call."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    raise AssertionError("it wasn't refused")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """At the end there is nothing left in the cloud but what a test says."""
    directory = tmp_path_factory.mktemp("stranger")
    for name, factor in (("doubler", 2), ("tripler", 3), ("broken", "broken")):
        model_in(directory / name, factor)
    with running(directory / "aws") as here:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DEPLOYER_")},
            **here.environment,
            "DEPLOYER_LOCAL_DIR": str(directory / "local"),
            "DEPLOYER_LOCALSTACK_DIR": str(here.directory),
            "HOME": str(directory / "home"),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
            "COLUMNS": "200",
        }
        yield Stranger(here, directory, environment)


@pytest.fixture
def untouched(stranger: Stranger) -> Iterator[Stranger]:
    """A stranger whose tries leave the cloud exactly as it was."""
    before = stranger.everything()
    yield stranger
    stranger.here.control.clear_faults()
    assert stranger.everything() == before
