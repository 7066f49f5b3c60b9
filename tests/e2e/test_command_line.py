"""The command line as users run it: processes of its own, the real local target, the real local cloud."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.environments import mlflow_python
from tests.models import saved_model

DEPLOY = str(Path(sys.executable).with_name("deploy"))
QUESTION = '{"dataframe_split": {"columns": ["x"], "data": [[1.0], [2.5]]}}'

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """This process's, with directories of the test's own; scoring environments stay in the shared cache."""
    own = {
        "DEPLOYER_LOCAL_DIR": str(tmp_path / "local"),
        "DEPLOYER_LOCALSTACK_DIR": str(tmp_path / "cloud"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    return {**{name: value for name, value in os.environ.items() if not name.startswith(("DEPLOYER_", "AWS_"))}, **own}


@pytest.fixture
def deploy(environment: dict[str, str], tmp_path: Path) -> Iterator[Run]:
    """Run `deploy` with these arguments."""

    def run(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [DEPLOY, *arguments], input=stdin, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120, check=False
        )

    yield run
    for name in run("list", "-t", "local", "-o", "name").stdout.split():
        run("delete", "-t", "local", "-n", name)
    run("localstack", "down")


def test_from_a_model_to_answers_and_back_to_nothing(deploy: Run) -> None:
    created = deploy("create", "-t", "local", "-n", "numbers", "-m", str(saved_model("doubler")), "-C", "runtime=process")
    assert created.returncode == 0, created.stderr
    assert created.stdout.startswith("numbers is ready on local, generation ")
    page = created.stdout.splitlines()[-1].split()[0]
    assert httpx.get(page, trust_env=False).headers["content-type"].startswith("text/html")
    assert f"Page        {page}" in deploy("get", "numbers", "-t", "local").stdout
    assert json.loads(deploy("predict", "-t", "local", "-n", "numbers", stdin=QUESTION).stdout) == {"predictions": [2.0, 5.0]}

    updated = deploy("update", "-t", "local", "-n", "numbers", "-m", str(saved_model("tripler")), "-o", "json")
    assert updated.returncode == 0, updated.stderr
    generation = json.loads(updated.stdout)["generation"]

    failed = deploy("update", "-t", "local", "-n", "numbers", "-m", str(saved_model("broken")))
    assert failed.returncode == 5
    assert f"Error [rollout-failed]: numbers was not updated; generation {generation} still serves, and everything made for " in failed.stderr
    assert "No module named 'a_module_that_is_not_there'" in failed.stderr
    assert json.loads(deploy("predict", "-t", "local", "-n", "numbers", "-d", QUESTION).stdout) == {"predictions": [3.0, 7.5]}

    refused = deploy("predict", "-t", "local", "-n", "numbers", "-d", '{"wrong": 1}')
    assert (refused.returncode, "Error [config-invalid]" in refused.stderr) == (2, True)
    assert "POST /invocations 200" in deploy("logs", "-t", "local", "-n", "numbers").stdout
    assert deploy("list", "-t", "local", "-o", "name").stdout == "numbers\n"
    assert deploy("delete", "-t", "local", "-n", "numbers").returncode == 0
    assert deploy("list", "-t", "local").stdout == ""


def test_a_request_is_taken_in_the_form_that_it_is_at_hand(deploy: Run, environment: dict[str, str], tmp_path: Path) -> None:
    assert deploy("create", "numbers", "-t", "local", "-m", str(saved_model("doubler")), "-C", "runtime=process").returncode == 0
    (tmp_path / "site").mkdir()
    python = mlflow_python()  # which has pyarrow, as most who work with Parquet
    found = subprocess.check_output([python, "-c", "import pyarrow; print(pyarrow.__path__[0])"], text=True).strip()
    (tmp_path / "site" / "pyarrow").symlink_to(found)
    write = "import pandas, sys; pandas.DataFrame({'x': [1.0, 2.5]}, index=['a', 'b']).to_parquet(sys.argv[1])"
    subprocess.run([python, "-c", write, str(tmp_path / "rows.parquet")], check=True)
    files = {
        "rows.csv": "x\n1.0\n2.5\n",
        "rows.jsonl": '{"x": 1.0}\n{"x": 2.5}\n',
        "split.json": '{"columns": ["x"], "data": [[1.0], [2.5]]}',
        "records.json": '[{"x": 1.0}, {"x": 2.5}]',
        "columns.json": '{"x": [1.0, 2.5]}',
        "pandas.json": '{"x": {"0": 1.0, "1": 2.5}}',
        "protocol.json": '{"instances": [{"x": 1.0}, {"x": 2.5}]}',
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    environment["PYTHONPATH"] = str(tmp_path / "site")
    answers = {name: deploy("predict", "numbers", "-t", "local", "-i", name, "-o", "json") for name in (*files, "rows.parquet")}
    assert {name: json.loads(answer.stdout) for name, answer in answers.items()} == {name: {"predictions": [2.0, 5.0]} for name in answers}
    assert answers["rows.parquet"].stderr == "Sends Parquet: 2 rows, sent as dataframe_split.\n"
    for name in ("rows.csv", "rows.jsonl", "records.json"):
        assert json.loads(deploy("predict", "numbers", "-t", "local", stdin=files[name]).stdout) == {"predictions": [2.0, 5.0]}
    one = deploy("predict", "numbers", "-t", "local", "-d", '{"x": 4}', "-o", "table", "-q")
    assert (one.stdout, one.stderr) == ("prediction\n8.0\n", "")


def test_the_end_of_a_job_takes_back_what_was_made(deploy: Run, environment: dict[str, str]) -> None:
    command = [DEPLOY, "create", "-t", "local", "-n", "late", "-m", str(saved_model("slow")), "-C", "runtime=process", "-o", "jsonl"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "step_finished" and event["step"] == "start_container":
                process.send_signal(signal.SIGTERM)
                break
        rest = [json.loads(line) for line in process.stdout]
        assert process.wait(60) == 130
    assert rest[-1]["error"]["code"] == "interrupted"
    assert "what was made is removed" in rest[-1]["error"]["message"]
    assert deploy("list", "-t", "local").stdout == ""


def test_run_local_answers_the_curl_that_it_prints_and_ends_with_its_process(deploy: Run, environment: dict[str, str]) -> None:
    variable = ("--env", "DEPLOYER_MAX_REQUEST_BYTES=1000")
    command = [DEPLOY, "run-local", "-t", "sagemaker", "-m", str(saved_model("doubler")), "--runtime", "process", *variable]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        url = said.split()[2]
        assert f"{url}/docs" in said
        front = httpx.get(f"{url}/", follow_redirects=True, trust_env=False)
        assert (str(front.url), front.status_code) == (f"{url}/docs", 200)
        curl = shlex.split(process.stdout.readline())
        assert curl[:3] == ["curl", "-sS", f"{url}/invocations"]
        asked = httpx.post(curl[2], content=curl[-1], headers={"content-type": "application/json"}, trust_env=False)
        assert asked.json() == {"predictions": [2.0, 5.0]}
        assert httpx.post(curl[2], content=" " * 1001, headers={"content-type": "application/json"}, trust_env=False).status_code == 413
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
    assert deploy("list", "-t", "local").stdout == ""


def test_the_local_cloud_comes_up_is_pointed_at_and_goes_down(deploy: Run) -> None:
    assert deploy("localstack", "env").returncode == 10
    begun = time.monotonic()
    up = deploy("localstack", "up", "--port", "0", "-o", "json")
    seconds = time.monotonic() - begun
    assert up.returncode == 0, up.stderr
    assert seconds < 15, f"up took {seconds:.1f} s"
    assert "nothing to do" in deploy("localstack", "up", "--port", "0").stdout
    exports = deploy("localstack", "env").stdout
    shell = subprocess.run(["sh", "-c", f'{exports}\nprintf %s "$AWS_ENDPOINT_URL"'], capture_output=True, text=True, check=True)
    assert shell.stdout == json.loads(up.stdout)["url"]
    assert "The local cloud is up." in deploy("localstack", "status").stdout
    assert deploy("localstack", "reset").stdout.startswith("Forgotten: ")
    assert deploy("localstack", "down").stdout.startswith("The local cloud is down; forgotten: ")
    assert deploy("localstack", "down").stdout == "No local cloud was up.\n"


def test_a_reader_that_goes_away_is_no_fault_of_ours(environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shlex.quote(DEPLOY)} config schema | head -n 1"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.stdout == "{\n"
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr
