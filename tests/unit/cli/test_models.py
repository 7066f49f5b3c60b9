"""The models verbs: what they take (MLflow's names too), what they print, their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from deployer.cli.model_options import MANAGERS
from deployer.cli.models import VERBS, models
from deployer.core.state import Digest, ModelFacts
from deployer.errors import ConfigInvalid
from deployer_images.managers import lacking_for_grpc
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.target import SageMaker
from tests.unit.cli.conftest import Run, saved


def test_the_group_lists_its_verbs_without_importing_them(deploy: Run) -> None:
    listed = deploy("models", "--help", target=False).stdout
    for name, (_, text) in VERBS.items():
        assert f"  {name} " in listed
        assert text in " ".join(listed.split())


@pytest.mark.parametrize("name", VERBS)
def test_each_verb_is_there_under_its_name(name: str) -> None:
    command = models.get_command(click.Context(models), name)
    assert command is not None
    assert command.name == name
    assert VERBS[name][1].endswith(".")


def test_environment_managers_are_those_that_there_are() -> None:
    from deployer_images import managers

    assert set(MANAGERS) == set(managers.MANAGERS)


@pytest.mark.parametrize(
    ("verb", "flags"),
    [
        ("predict", ["--model-uri", "-m", "--input-path", "-i", "--output-path", "-o", "--content-type", "-t", "--env-manager", "-r", "--env"]),
        ("serve", ["--model-uri", "-m", "--port", "-p", "--host", "-h", "--timeout", "-t", "--workers", "-w", "--env-manager"]),
    ],
)
def test_mlflows_flags_carry_over(verb: str, flags: list[str]) -> None:
    command = models.get_command(click.Context(models), verb)
    assert command is not None
    taken = {flag for parameter in command.params for flag in parameter.opts}
    assert set(flags) | {"--no-conda", "--install-mlflow"} <= taken


def test_help_of_serve_leaves_h_to_the_host(deploy: Run) -> None:
    assert "-h, --host ADDRESS" in deploy("models", "serve", "--help", target=False).stdout


def test_mlserver_is_refused_with_what_to_do_instead(deploy: Run, churn: Path) -> None:
    result = deploy("models", "serve", "-m", str(churn), "--enable-mlserver", target=False)
    assert result.exit_code == 2
    assert "MLServer isn't used here" in result.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_without_a_model_says_so(deploy: Run, verb: str) -> None:
    result = deploy("models", verb, target=False)
    assert result.exit_code == 2
    assert "which model is not said" in result.stderr


def test_grpc_that_would_not_be_where_the_host_says_is_refused(deploy: Run, churn: Path) -> None:
    result = deploy("models", "serve", "-m", str(churn), "-h", "0.0.0.0", "--grpc-port", "9000", target=False)
    assert result.exit_code == 2
    assert "gRPC is answered on 127.0.0.1 alone here, not on 0.0.0.0" in result.stderr


def test_what_grpc_takes_is_added_but_for_what_the_model_pins(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("protobuf==5.29.6\nnumpy\n")
    assert lacking_for_grpc(tmp_path) == ("grpcio>=1.48",)
    (tmp_path / "requirements.txt").write_text("numpy\n")
    assert lacking_for_grpc(tmp_path) == ("grpcio>=1.48", "protobuf>=3.20")


def test_check_of_a_sound_model_is_zero(deploy: Run, churn: Path) -> None:
    result = deploy("models", "check", "churn", target=False)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "Nothing was found that would break, held against the requirements."


def test_check_of_a_broken_model_names_file_fault_and_remedy(deploy: Run, churn: Path) -> None:
    (churn / "model.pkl").write_bytes(b"\x80\x04cnumpy._core.multiarray\n_reconstruct\n.")
    (churn / "requirements.txt").write_text("mlflow==3.17.2\nscikit-learn==1.9.1\nnumpy==1.23.5\n")
    result = deploy("models", "check", "-m", "churn", target=False)
    assert result.exit_code == 2
    assert result.stdout.endswith(
        "  ✗ model.pkl: it holds numpy 2 (numpy._core.multiarray._reconstruct), which takes numpy>=1.26 to load; the requirements: numpy==1.23.5\n"
        "      pin the numpy that the model was saved with, or save it again with the one that is pinned\n"
        "\n"
        "1 error, held against the requirements.\n"
    )
    document = json.loads(deploy("models", "check", "churn", "-o", "json", target=False).stdout)
    assert [(each["severity"], each["code"], each["file"]) for each in document["findings"]] == [("error", "numpy-version", "model.pkl")]
    assert document["uri"] == "churn"


def test_an_upload_of_a_model_that_can_not_work_is_refused_before_anything_is_made(deploy: Run, churn: Path, workspace: Path) -> None:
    (churn / "model.pkl").write_bytes(b"\x80\x04c__main__\nThing\n.")
    result = deploy("create", "-m", "churn")
    assert result.exit_code == 2
    assert "Error [model-invalid]: churn can't be served: model.pkl: __main__.Thing was defined in the script" in result.stderr
    assert deploy("list", "-o", "name").stdout == ""


def test_check_with_a_python_and_an_image_is_one_too_many(deploy: Run, churn: Path) -> None:
    result = deploy("models", "check", "churn", "--python", "3.12", "--image", "localhost:1/a", target=False)
    assert result.exit_code == 2
    assert "leave one of them out" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-i", "absent.csv"], "there is no such file"),
        (["-i", "input.csv", "-o", "absent/out.csv"], "there is no directory"),
        (["-i", "input.csv", "--params", "[1]"], "--params is not a JSON object"),
        (["-i", "input.csv", "--params", "{"], "--params is not JSON"),
        (["-i", "input.csv", "-t", "application/pdf"], "is not a format that is read"),
        (["-i", "input.csv", "--env", "NAME"], "--env takes KEY=VALUE"),
    ],
)
def test_predict_says_what_is_wrong_before_it_makes_an_environment(deploy: Run, churn: Path, arguments: list[str], said: str) -> None:
    Path("input.csv").write_text("x\n1\n")
    result = deploy("models", "predict", "-m", "churn", *arguments, target=False)
    assert result.exit_code in {2, 10}
    assert said in result.stderr


def test_conda_that_is_not_there_is_a_clear_error(deploy: Run, churn: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MLFLOW_CONDA_HOME", "CONDA_EXE", "MAMBA_EXE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    Path("input.csv").write_text("x\n1\n")
    result = deploy("models", "predict", "-m", "churn", "-i", "input.csv", "--env-manager", "conda", target=False)
    assert result.exit_code == 10
    assert "neither conda nor micromamba nor mamba is on this machine's PATH" in result.stderr
    assert "--env-manager uv" in result.stderr


def test_a_model_of_the_deployments_file_is_checked(deploy: Run, workspace: Path) -> None:
    saved(workspace / "other")
    (workspace / "churn.yaml").write_text("model: other\ntargets: {memory:/here: {}}\n")
    assert "Model       other" in deploy("models", "check", "-f", "churn.yaml", target=False).stdout.replace(str(workspace) + "/", "")


def test_a_target_that_is_named_has_its_say_about_the_size(deploy: Run, churn: Path) -> None:
    asked = ("models", "check", "churn", "-t", "sagemaker:/us-west-2", "-C", "volume_size_in_gb=1")
    assert deploy(*asked).exit_code == 0
    facts = ModelFacts("churn", Digest("sha256:0"), size=1_100_000_000)
    with pytest.raises(ConfigInvalid, match=r"the model has 1\.1 GB, and ml\.m5\.large has a disk of 1 GB for it"):
        SageMaker().check_size(SageMakerConfig.parse({"volume_size_in_gb": 1, "instance_type": "ml.m5.large"}, target="sagemaker"), facts)


@pytest.mark.parametrize(
    "command",
    [
        "models predict -i input.csv -m churn",
        "models predict -i input.csv -m churn --env-manager virtualenv",
        "models serve -p 0 -m churn",
        "create -n churn -m churn",
        "plan -n churn -m churn",
        "apply -n churn -m churn --packages at-start",
        "create -n churn -m churn -t local",
        "run-local -t local -m churn",
        "run-local -t local -m churn --runtime process",
        "build-and-push-container --no-push --for churn",
        "build-and-push-container --no-push --for churn --runtime docker",
    ],
)
def test_a_python_that_the_server_does_not_run_on_is_refused_by_every_verb_before_it_begins(deploy: Run, churn: Path, command: str) -> None:
    Path("input.csv").write_text("x\n1\n")
    for file in ("MLmodel", "python_env.yaml"):
        (churn / file).write_text((churn / file).read_text().replace("3.11.7", "3.7.16"))
    result = deploy(*command.split(), target=command.startswith(("create", "plan", "apply")))
    assert result.exit_code == 2
    assert "Error [model-invalid]: the server runs on Python 3.8 or later; the model asks for 3.7." in result.stderr
    assert "What to do: save it again on a newer Python, 3.8 or later" in result.stderr
