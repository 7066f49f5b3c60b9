"""What can be got wrong, got wrong: each is told in one clear sentence with what to do and the documented exit code, and nothing is left of it."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import socket
import subprocess
import tarfile
import textwrap
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from deployer.oci import labels
from tests.disks import tiny_disk
from tests.docker import free_port, unavailable
from tests.e2e.sagemaker.cloud import ACCOUNT, BUCKET
from tests.e2e.stranger import DEPLOY, Ended, Stranger, refusal_of
from tests.local_clouds import MINOR

SECRET = "hunter2-s3cr3t-value"
FULL = Path("/dev/full")

# --- models ---------------------------------------------------------------------------------------------------------------------------


def _without(*lines: str) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        kept = [line for line in (model / "MLmodel").read_text().splitlines() if not any(each in line for each in lines)]
        (model / "MLmodel").write_text("\n".join(kept))

    return change


def _written(text: str | bytes, name: str = "MLmodel") -> Callable[[Path], None]:
    def change(model: Path) -> None:
        (model / name).write_bytes(text.encode() if isinstance(text, str) else text)

    return change


def _gone(name: str) -> Callable[[Path], None]:
    return lambda model: shutil.rmtree(model / name) if (model / name).is_dir() else (model / name).unlink()


BROKEN_MODELS: dict[str, tuple[Callable[[Path], None], str]] = {
    "not a model": (_gone("MLmodel"), "it has no MLmodel file"),
    "no python_function flavor": (_written("flavors:\n  sklearn: {code: null}\n"), "no python_function flavor, only sklearn"),
    "no loader module": (_without("loader_module"), "flavors.python_function.loader_module: is missing"),
    "code that is gone": (_gone("code"), "the file code is not in the model's directory"),
    "data that is gone": (
        _written("flavors:\n  python_function: {loader_module: mlflow.keras}\n  keras: {data: data}\n"),
        "flavors.keras.data: the file data is not in the model's directory",
    ),
    "a pointer in place of data": (_written("version https://git-lfs.github.com/spec/v1\n", "factor.txt"), "factor.txt is a Git LFS pointer"),
    "broken YAML": (_written("flavors:\n  python_function: {loader_module: x\n   bad: [\n"), "MLmodel:3: is not valid YAML"),
    "YAML of another shape": (_written("- a\n- b\n"), "MLmodel: holds no mapping"),
    "bytes": (_written(b"\xff\xfe\x00\x01" * 50), "MLmodel: is not UTF-8 text"),
}


@pytest.mark.parametrize("kind", BROKEN_MODELS)
def test_a_model_that_cannot_be_served_is_refused_with_its_file_and_key(kind: str, told: Mapping[str, Ended]) -> None:
    _, said = BROKEN_MODELS[kind]
    assert said in told[kind].refused("model-invalid", 2)


def test_a_model_that_is_nowhere_is_not_found(untouched: Stranger) -> None:
    assert "there is no directory nowhere" in untouched.create("bad", model="./nowhere").refused("model-not-found", 3)
    (untouched.directory / "a-file").write_text("x")
    assert "neither a tar nor a zip archive" in untouched.create("bad", model="./a-file").refused("model-invalid", 2)
    assert "foo:/x is no model URI" in untouched.create("bad", model="foo:/x").refused("config-invalid", 2)


@pytest.mark.parametrize("layout", ["tar", "prefix"])
def test_a_model_that_changes_while_it_is_uploaded_is_refused_and_taken_back(layout: str, untouched: Stranger, tmp_path: Path) -> None:
    model = Path(shutil.copytree(untouched.good, tmp_path / "model"))
    (model / "blob").write_bytes(os.urandom(1 << 20))
    untouched.here.control.add_fault("slow", service="s3", operation="PutObject", seconds=0.3, count=3)

    def overwrite(event: dict[str, object]) -> bool:
        if (event["event"], event.get("step")) == ("step_started", "write_record"):
            (model / "blob").write_bytes(b"another")
        return False

    ended = untouched.interrupted("create", "-t", "sagemaker", "-n", "bad", "-m", str(model), "-C", f"model_data={layout}", at=overwrite)
    assert "the model changed while it was being" in ended.refused("model-invalid", 2)
    assert "what was made before is removed" in ended.err


def test_an_image_that_lacks_what_the_model_needs_is_refused_with_the_command_that_builds_one(untouched: Stranger, tmp_path: Path) -> None:
    model = Path(shutil.copytree(untouched.good, tmp_path / "model"))
    (model / "MLmodel").write_text((model / "MLmodel").read_text() + "    env: {virtualenv: python_env.yaml}\n")
    (model / "python_env.yaml").write_text(f"python: {MINOR}.0\ndependencies:\n- -r requirements.txt\n")
    (model / "requirements.txt").write_text("numpy==2.1.0\nlightgbm==4.5.0\n")
    untouched.here.push("unfit", **{labels.PACKAGES: labels.packages_label(["numpy==1.26.4"])})
    said = untouched.create("bad", "-C", "image_url=unfit", model=str(model)).refused("environment-misfit", 2)
    assert "lightgbm" in said and "numpy" in said
    assert f"deploy build-and-push-container --for {model}" in said


# --- options, names, files ------------------------------------------------------------------------------------------------------------

WRONG_USE: dict[str, tuple[tuple[str, ...], str]] = {
    "an option": (("-C", "instance_typ=ml.m5.large"), "instance_typ is not an option of sagemaker; did you mean instance_type? (command line)"),
    "a key below an option": (("-C", 'vpc_config={"Subnet": []}'), "Subnet is not a key of VpcConfig; did you mean Subnets?"),
    "a count": (("-C", "instance_count=many"), "instance_count: must be a valid integer, not 'many' (command line)"),
    "no value": (("-C", "instance_count"), "-C instance_count is not key=value"),
    "a flag": (("--alow-schema-change",), "Did you mean '--allow-schema-change'?"),
    "a region": (("-C", "region_name=us-wets-2"), "us-wets-2 is not an AWS region; did you mean us-west-2?"),
    "a planet": (("-C", "region_name=mars"), "mars is not an AWS region"),
    "a role's form": (("-C", "execution_role_arn=me"), "execution_role_arn: must have the form ^arn:"),
    "mode=add": (("-C", "mode=add"), "mode add would leave two models behind one endpoint, answering by chance: use update"),
    "another processor": (("-C", "instance_type=ml.m6g.large"), "is for linux/amd64, and ml.m6g.large runs linux/arm64"),
    "an image elsewhere": (("-C", "image_url=scoring:1"), "SageMaker can't pull docker.io/library/scoring:1: it takes images from ECR alone"),
    "an image that isn't there": (("-C", "image_url=absent"), "there is no image"),
    "a name": (("-n", "not a name!"), "'not a name!' can't name a SageMaker endpoint"),
    "a long name": (("-n", "a" * 64), "it has 64 characters, at most 63 are allowed"),
    "a target": (("-t", "sagmaker"), "sagmaker is not a target; did you mean sagemaker?"),
    "a target's place": (("-t", "sagemaker:/us-east-1/role"), "'role' is not a role's ARN"),
    "a tag": (("-C", 'tags={"aws:mine": "x"}'), "the tag aws:mine has a reserved prefix"),
}


@pytest.mark.parametrize("kind", WRONG_USE)
def test_what_is_written_wrong_is_named_before_anything_is_made(kind: str, told: Mapping[str, Ended]) -> None:
    _, said = WRONG_USE[kind]
    assert said in told[kind].refused("config-invalid", 2)


def test_a_wrong_line_of_a_file_and_a_wrong_variable_are_named_by_their_place(untouched: Stranger) -> None:
    file = untouched.directory / "churn.yaml"

    def applied(text: str) -> str:
        file.write_text(text)
        return untouched.deploy("apply", "-f", "churn.yaml").refused("config-invalid", 2)

    assert "instance_typ is not an option of sagemaker; did you mean instance_type? (churn.yaml:4)" in applied(
        "name: bad\nmodel: doubler\ntargets: {sagemaker: {\n  instance_typ: ml.m5.large}}\n"
    )
    assert "nmae is not a key of this file; did you mean name? (churn.yaml:1)" in applied("nmae: bad\nmodel: doubler\n")
    assert "churn.yaml:2: not YAML" in applied("name: bad\nmodel: [}\n")
    assert "nothing.yaml can't be read" in untouched.deploy("apply", "-f", "nothing.yaml").refused("machine-fault", 10)
    said = untouched.create("bad", env={"DEPLOYER_INSTANCE_COUNT": "zwei"}).refused("config-invalid", 2)
    assert "not 'zwei' (DEPLOYER_INSTANCE_COUNT)" in said


def test_commands_that_lack_what_they_need_say_what(untouched: Stranger) -> None:
    wanting = {
        ("creat",): "creat is not a command; did you mean create?",
        ("create", "-t", "sagemaker"): "which model is not said",
        ("create", "-m", "doubler"): "which target is not said",
        ("delete", "-t", "sagemaker"): "which deployment is not said",
    }
    for ended, said in zip(untouched.each(*wanting), wanting.values(), strict=True):
        assert said in ended.refused("config-invalid", 2)


def test_what_is_not_there_is_not_found_and_deleting_it_is_done(untouched: Stranger) -> None:
    verbs = (("get",), ("logs",), ("prune",), ("predict", "-d", "{}"), ("update", "-m", "doubler"), ("delete",))
    *missed, deleted = untouched.each(*((verb, "-t", "sagemaker", "-n", "nobody", *more) for verb, *more in verbs))
    for ended in missed:
        assert "nobody" in ended.refused("deployment-not-found", 3)
    assert deleted.exit_code == 0


# --- who asks, and where --------------------------------------------------------------------------------------------------------------

WRONG_IDENTITY: dict[str, tuple[dict[str, str | None], str, int, str]] = {
    "no credentials": ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "credentials-invalid", 4, "no AWS credentials were found"),
    "no such profile": ({"AWS_PROFILE": "nobody"}, "config-invalid", 2, "the AWS profile doesn't exist"),
    "no such region": ({"AWS_REGION": "eu-wets-1"}, "config-invalid", 2, "eu-wets-1 is not an AWS region; did you mean eu-west-"),
    "no role": ({"DEPLOYER_EXECUTION_ROLE_ARN": None}, "config-invalid", 2, "no execution role is given"),
    "nobody there": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "target-unavailable", 6, "AWS can't be reached: sagemaker DescribeEndpoint"),
}


@pytest.mark.parametrize("kind", WRONG_IDENTITY)
def test_without_credentials_region_role_or_network_nothing_is_begun(kind: str, told: Mapping[str, Ended]) -> None:
    _, code, exit_code, said = WRONG_IDENTITY[kind]
    assert said in told[kind].refused(code, exit_code)


@pytest.fixture(scope="module")
def told(stranger: Stranger, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Ended]:
    """What each of the tables' mistakes was told, made several at once; together they left the cloud exactly as it was."""
    place = tmp_path_factory.mktemp("mistakes")
    before = stranger.everything()

    def of_a_model(kind: str) -> Ended:
        model = Path(shutil.copytree(stranger.good, place / kind.replace(" ", "-")))
        BROKEN_MODELS[kind][0](model)
        return stranger.create("bad", model=str(model))

    with ThreadPoolExecutor(4) as pool:
        slow = {kind: pool.submit(stranger.create, "bad", env=case[0]) for kind, case in WRONG_IDENTITY.items()}
        asked = {**slow, **{kind: pool.submit(of_a_model, kind) for kind in BROKEN_MODELS}}
        asked |= {kind: pool.submit(stranger.create, "bad", *case[0]) for kind, case in WRONG_USE.items()}
    found = {kind: future.result() for kind, future in asked.items()}
    assert stranger.everything() == before
    return found


DENIED = ["DescribeEndpoint", "HeadBucket", "PutObject", "CreateModel", "CreateEndpointConfig", "CreateEndpoint"]


@pytest.mark.parametrize("operation", DENIED)
def test_a_permission_that_lacks_is_named_and_what_was_made_before_is_gone(operation: str, untouched: Stranger) -> None:
    who = f"User: arn:aws:iam::{ACCOUNT}:user/me is not authorized to perform: {operation}"
    untouched.here.control.add_fault("error", operation=operation, count=None, code="AccessDeniedException", message=who, status=403)
    said = untouched.create("bad", timeout=90).refused("permission-denied", 4)
    assert (BUCKET if operation == "HeadBucket" else operation) in said
    assert ("what was made before is removed" in said) == operation.startswith("Create")


@pytest.mark.parametrize(("operation", "skip"), [("GetObject", 0), ("GetObject", 1), ("GetObject", 4), ("DeleteObject*", 0)])
def test_what_s3_denies_on_the_way_back_is_told_as_that_and_left_to_a_delete(operation: str, skip: int, untouched: Stranger) -> None:
    control = untouched.here.control
    refusal = {"code": "AccessDenied", "message": "Access Denied", "status": 403}
    control.add_fault("error", service="s3", operation=operation, skip=skip, count=None, **refusal)
    control.add_fault("error", operation="CreateModel", count=None, **refusal)  # so that there is a way back whatever is read
    said = untouched.create("bad", timeout=90).refused("permission-denied", 4)
    assert "what was made so far stays" in said and "deploy delete" in said
    control.clear_faults()
    assert untouched.deploy("delete", "-t", "sagemaker", "-n", "bad").exit_code == 0


def test_a_role_that_is_not_there_is_refused_by_the_cloud_and_what_was_made_taken_back(untouched: Stranger) -> None:
    absent = f"arn:aws:iam::{ACCOUNT}:role/absent"
    said = untouched.create("bad", "-C", f"execution_role_arn={absent}").refused("refused", 2)
    assert absent in said and "sagemaker.amazonaws.com" in said and "what was made before is removed" in said


ASYNCHRONOUS = 'async_inference_config={"OutputConfig": {"S3OutputPath": "s3://sagemaker-answers/"}}'
SERVERLESS = 'serverless_config={"MemorySizeInMB": 1024, "MaxConcurrency": 1}'


@pytest.mark.parametrize("beside", [(), ("-C", ASYNCHRONOUS), ("-C", SERVERLESS)], ids=["plain", "asynchronous", "serverless"])
def test_an_instance_type_that_is_none_is_refused_before_anything_is_uploaded(beside: tuple[str, ...], untouched: Stranger) -> None:
    wrong = ("-C", "instance_type=ml.m5.lrge", *beside)
    untouched.here.control.clear_journal()
    ways = (("create",), ("create", "--dry-run"), ("plan",), ("apply",))
    ended = untouched.each(*((*way, "bad", "-t", "sagemaker", "-m", untouched.good, *wrong) for way in ways))
    said = [each.refused("config-invalid", 2) for each in ended]
    assert all("ml.m5.lrge is not an instance type of SageMaker endpoints; did you mean ml.m5.large?" in each for each in said)
    assert len(set(said)) == 1
    assert not [entry for entry in untouched.here.control.journal() if entry["operation"] in ("PutObject", "CreateMultipartUpload", "CreateModel")]


@pytest.mark.parametrize("skip", [0, 12, 20])
def test_credentials_that_expire_on_the_way_are_told_and_a_delete_leaves_nothing(skip: int, untouched: Stranger) -> None:
    expired = {"code": "ExpiredTokenException", "message": "The security token included in the request is expired", "status": 400}
    untouched.here.control.add_fault("error", operation="*", skip=skip, count=None, **expired)
    said = untouched.create("bad").refused("credentials-invalid", 4)
    assert "expired" in said and "same command" in said
    untouched.here.control.clear_faults()
    assert untouched.deploy("delete", "-t", "sagemaker", "-n", "bad").exit_code == 0


def test_a_bucket_of_somebody_else_is_refused_by_its_name(untouched: Stranger) -> None:
    control = untouched.here.control
    control.add_fault("error", operation="HeadBucket", count=None, code="NoSuchBucket", message="Not Found", status=404)
    control.add_fault("error", operation="CreateBucket", count=None, code="AccessDenied", message="Access Denied", status=403)
    said = untouched.create("bad", "-C", "bucket=no-such-bucket").refused("permission-denied", 4)
    assert "s3 CreateBucket in no-such-bucket is not allowed" in said


# --- this machine ---------------------------------------------------------------------------------------------------------------------


def test_without_docker_each_verb_that_needs_it_says_so(untouched: Stranger) -> None:
    nowhere: dict[str, str | None] = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
    for ended in untouched.each(
        ("build-and-push-container", "--for", untouched.good, "--runtime", "docker"),
        ("build-and-push-container", "--for", untouched.good, "--no-push"),
        ("run-local", "-t", "sagemaker", "-m", untouched.good, "--runtime", "docker"),
        ("create", "-t", "local", "-n", "bad", "-m", untouched.good, "-C", "runtime=docker"),
        env=nowhere,
    ):
        said = ended.refused("target-unavailable", 6)
        assert "no docker engine answers" in said and "--runtime process" in said


def test_a_port_that_is_taken_is_named_by_all_that_listen(untouched: Stranger, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        said = untouched.deploy("run-local", "-t", "sagemaker", "-m", untouched.good, "--port", port, "--runtime", "process")
        assert f"port {port} of 127.0.0.1 can't be had: it is taken" in said.refused("machine-fault", 10)
        said = untouched.deploy("create", "-t", "local", "-n", "bad", "-m", untouched.good, "-C", "runtime=process", "-C", f"port={port}")
        assert f"port {port} of 127.0.0.1 can't be had: it is taken" in said.refused("machine-fault", 10)
        said = untouched.deploy("localstack", "up", "--port", port, env={"DEPLOYER_LOCALSTACK_DIR": str(tmp_path / "cloud")})
        assert "Address already in use" in said.refused("machine-fault", 10)
    assert untouched.deploy("list", "-t", "local", "-o", "name").out == ""


def test_a_file_that_may_not_grow_is_a_fault_of_this_machine_and_leaves_nothing(untouched: Stranger, tmp_path: Path) -> None:
    big = Path(shutil.copytree(untouched.good, tmp_path / "big"))
    (big / "blob").write_bytes(os.urandom(1 << 20))

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, 64 << 10))

    ended = untouched.deploy(
        "create", "-t", "local", "-n", "bad", "-m", str(big), "-C", "runtime=process", preexec_fn=small_files, env={"PYTHONDONTWRITEBYTECODE": "1"}
    )
    assert "File too large" in ended.refused("machine-fault", 10)
    assert untouched.deploy("list", "-t", "local", "-o", "name").out == ""
    archive = Path(shutil.make_archive(str(tmp_path / "big"), "gztar", big))
    own_cache: dict[str, str | None] = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    untouched.deploy("models", "check", str(archive), preexec_fn=small_files, env=own_cache).refused("machine-fault", 10)
    assert [path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file()] in ([], [0]), "half of a model is left"


def test_a_disk_that_is_full_is_said_to_be_and_nothing_half_made_stays(untouched: Stranger, tmp_path: Path) -> None:
    big = Path(shutil.copytree(untouched.good, tmp_path / "big"))
    (big / "blob").write_bytes(os.urandom(1 << 20))
    archive = Path(shutil.make_archive(str(tmp_path / "big"), "gztar", big))
    with tiny_disk(tmp_path / "tiny") as tiny:
        env: dict[str, str | None] = {"XDG_CACHE_HOME": str(tiny / "cache"), "DEPLOYER_LOCAL_DIR": str(tiny / "local"), "TMPDIR": str(tiny)}
        assert "is full" in untouched.create("bad", model=str(archive), env=env).refused("machine-fault", 10)
        said = untouched.deploy("create", "-t", "local", "-n", "bad", "-m", str(big), "-C", "runtime=process", env=env)
        assert "No space left on device" in said.refused("machine-fault", 10)
        kept = [path for path in tiny.rglob("*") if path.is_file() and path.stat().st_size]
        assert [path for path in kept if "uv" not in path.parts] == [], "uv keeps what it has learnt"


def test_an_output_that_is_full_is_told_where_it_can_be(untouched: Stranger) -> None:
    for arguments in (("list", "-t", "sagemaker", "-o", "json"), ("config", "schema")):
        with FULL.open("wb") as full:
            ended = subprocess.run([DEPLOY, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, env=untouched.environment, check=False)
        assert (ended.returncode, "the disk is full" in ended.stderr, "Traceback" in ended.stderr) == (10, True, False), ended.stderr


# --- secrets --------------------------------------------------------------------------------------------------------------------------


def test_the_values_of_env_are_printed_and_kept_nowhere_but_in_the_model(stranger: Stranger) -> None:
    given = ("-C", json.dumps({"TOKEN": SECRET}).join(("env=", "")))
    mine, yours = (("-t", "sagemaker", "-n", name, "--debug") for name in ("keeper", "keeper2"))
    made = stranger.each(("create", *mine, "-m", "doubler", *given, "-o", "jsonl"), ("create", *yours, "-m", "doubler", *given))
    assert [each.exit_code for each in made] == [0, 0], made
    looks = stranger.each(
        ("create", *mine, "-m", "doubler", *given, "-C", "instance_count=x"),
        ("create", *mine, "-m", "doubler", "-C", f'env={{"TO KEN": "{SECRET}"}}'),
        ("create", *mine, "-m", "doubler", "-C", f'env={{"TOKEN": "{SECRET}'),
        ("create", *mine, "-m", "doubler", "-C", f'envv={{"TOKEN": "{SECRET}"}}'),
        ("plan", *mine, "-m", "tripler", *given),
        ("diff", *mine, "-C", f'env={{"TOKEN": "{SECRET}2"}}', "-o", "json"),
        ("get", *mine, "--explain-config"),
        ("get", *mine, "-o", "yaml"),
        ("list", "-t", "sagemaker", "-o", "json"),
        ("logs", *mine),
    )
    assert all(SECRET not in each.said for each in (*made, *looks))
    # It did arrive.
    sagemaker = stranger.here.boto("sagemaker")
    [model] = [each["ModelName"] for each in sagemaker.list_models(NameContains="keeper-")["Models"]]
    assert sagemaker.describe_model(ModelName=model)["PrimaryContainer"]["Environment"]["TOKEN"] == SECRET
    kept = _kept_texts(stranger, "keeper")
    digests = [hashlib.new(kind, text.encode()).hexdigest()[:10] for kind in ("sha256", "sha1", "md5") for text in _guesses()]
    assert all(each not in kept for each in (SECRET, *digests))
    # The same secret has no name in common: what stands for it is made up anew each time.
    assert json.loads(made[0].out.splitlines()[-1])["generation"] not in made[1].out
    assert [each.exit_code for each in stranger.each(("delete", *mine), ("delete", *yours))] == [0, 0]


def test_no_secret_of_an_address_is_printed_or_kept(stranger: Stranger) -> None:
    needs = f"ours @ git+https://{SECRET}@github.com/o/ours@v1\nmore @ https://h.io/more-1.0-py3-none-any.whl?X-Token={SECRET}\n"
    model = stranger.directory / "addressed"
    shutil.copytree(stranger.good, model)
    (model / "requirements.txt").write_text(f"--extra-index-url https://me:{SECRET}@h.io/simple\n{needs}")
    given = {
        "JENKINS_URL": "https://ci.example.com",
        "BUILD_URL": f"https://me:{SECRET}@ci.example.com/job/7/?token={SECRET}",
        "UV_INDEX": f"http://me:{SECRET}@127.0.0.1:1/simple",
        "PIP_FIND_LINKS": f"http://me:{SECRET}@127.0.0.1:1/links",
        "HTTPS_PROXY": f"http://me:{SECRET}@127.0.0.1:1",
        "MLFLOW_TRACKING_URI": f"http://me:{SECRET}@127.0.0.1:1",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    mine = ("-t", "sagemaker", "-n", "addressed")
    web = HTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(stranger.directory)))
    with tarfile.open(stranger.directory / "addressed.tgz", "w:gz") as archive:
        archive.add(model, ".")
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        url = f"http://me:{SECRET}@127.0.0.1:{web.server_address[1]}/addressed.tgz?X-Amz-Signature={SECRET}&sig={SECRET}"
        made = stranger.deploy("create", *mine, "-m", url, "--packages", "image", "-o", "jsonl", "--debug", env=given)
    finally:
        web.shutdown()
        web.server_close()
    assert made.exit_code == 0, made.said
    looks = stranger.each(
        ("plan", *mine, "-m", "addressed", "--debug"),
        ("diff", *mine, "-m", "addressed", "-o", "json"),
        ("get", *mine, "-o", "yaml"),
        ("get", *mine, "--explain-config"),
        ("list", "-t", "sagemaker", "-o", "json"),
        ("doctor", "-t", "sagemaker"),
        ("logs", *mine),
        ("models", "check", "addressed", "--index", "--debug"),
        ("models", "check", "models:/churn/1", "--debug"),
        ("models", "predict", "-m", "addressed", "-i", "nowhere.csv", "--debug"),
        ("create", "-t", "sagemaker", "-n", "nothing", "-m", "doubler", "-C", f"endpoint_url=http://me:{SECRET}@127.0.0.1:1", "--debug"),
        ("create", "-t", "sagemaker", "-n", "nothing", "-m", "doubler", "-C", f"image_url=me:{SECRET}@127.0.0.1:1/scoring:1", "--debug"),
        ("create", "-t", "sagemaker", "-n", "nothing", "-m", f"s3://me:{SECRET}@bucket/model", "--debug"),
        env=given,
    )
    assert [each.exit_code for each in looks if each.exit_code == 1] == []
    assert [each.said for each in (made, *looks) if SECRET in each.said] == []
    kept = _kept_texts(stranger, "addressed")
    assert "https://***@ci.example.com/job/7/" in kept and "git+https://github.com/o/ours@v1" in kept
    assert SECRET not in kept
    assert SECRET not in json.dumps(stranger.here.control.journal())
    # What a model holds itself is nobody's to change.
    states = [path for path in stranger.here.directory.rglob("*") if path.is_file() and "model" not in path.parts]
    assert states
    assert [path for path in states if SECRET.encode() in path.read_bytes()] == []
    assert stranger.deploy("delete", *mine).exit_code == 0


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


def _guesses() -> list[str]:
    return [SECRET, f"TOKEN={SECRET}", json.dumps({"TOKEN": SECRET}), json.dumps({"TOKEN": SECRET}, separators=(",", ":"))]


def _kept_texts(stranger: Stranger, name: str) -> str:
    """Tags and objects of a deployment, and the names of all of its resources."""
    sagemaker = stranger.here.boto("sagemaker")
    arns = [
        *(each["ModelArn"] for each in sagemaker.list_models(NameContains=name)["Models"]),
        *(each["EndpointConfigArn"] for each in sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"]),
        *(each["EndpointArn"] for each in sagemaker.list_endpoints(NameContains=name)["Endpoints"]),
    ]
    keys = [key.partition("/")[2] for key in stranger.everything()["objects"] if f"/{name}/" in key]
    assert arns and keys
    texts = [stranger.object_text(key) for key in keys if not key.endswith(".tar.gz")]
    return "\n".join([*arns, *keys, *texts, *(json.dumps(sagemaker.list_tags(ResourceArn=arn)["Tags"]) for arn in arns)])


def test_no_other_process_of_this_machine_can_read_a_secret_off_a_command_line(stranger: Stranger) -> None:
    if not Path("/proc/self/cmdline").exists():
        unavailable("there is no /proc to read command lines from")
    common = ("-t", "local", "-n", "keeper")
    with_file = stranger.directory / "local.yaml"
    with_file.write_text(f"targets: {{local: {{runtime: process, env: {{TOKEN: {SECRET}}}}}}}\n")
    assert stranger.deploy("create", *common, "-m", real_model(stranger), "-f", str(with_file)).exit_code == 0
    try:
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        assert not any(SECRET.encode() in line for line in lines)
    finally:
        assert stranger.deploy("delete", *common).exit_code == 0


def real_model(stranger: Stranger) -> str:
    """A model that the scoring runtime itself can load."""
    model = stranger.directory / "real"
    if not model.exists():
        shutil.copytree(stranger.good, model)
        source = """
            class Model:
                def predict(self, frame):
                    return [2 * x for x in frame["x"].tolist()]

            def _load_pyfunc(path):
                return Model()
        """
        (model / "code" / "multiplier.py").write_text(textwrap.dedent(source))
    return str(model)


# --- others see the same --------------------------------------------------------------------------------------------------------------


def test_boto3_and_the_aws_command_line_see_what_our_verbs_did_with_the_real_error_codes(stranger: Stranger) -> None:
    here, aws = stranger.here, shutil.which("aws")
    sagemaker, s3 = here.boto("sagemaker"), here.boto("s3")
    assert stranger.create("seen").exit_code == 0
    first = sagemaker.describe_endpoint(EndpointName="seen")
    assert (first["EndpointStatus"], stranger.answer("seen")) == ("InService", [2.0, 4.0])
    config = sagemaker.describe_endpoint_config(EndpointConfigName=first["EndpointConfigName"])
    container = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])["PrimaryContainer"]
    bucket, _, key = container["ModelDataUrl"].removeprefix("s3://").partition("/")
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] > 0
    if aws:
        asked = _aws(stranger, "sagemaker", "describe-endpoint", "--endpoint-name", "seen", "--query", "EndpointStatus", "--output", "text")
        assert (asked.returncode, asked.stdout) == (0, "InService\n")

    failed = stranger.deploy("update", "-t", "sagemaker", "-n", "seen", "-m", "broken")
    assert "generation" in failed.refused("rollout-failed", 5) and "No module named 'lightgbm'" in failed.err
    after = sagemaker.describe_endpoint(EndpointName="seen")
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", first["EndpointConfigName"])
    assert stranger.answer("seen") == [2.0, 4.0]

    assert stranger.deploy("delete", "-t", "sagemaker", "-n", "seen").exit_code == 0
    runtime = here.boto("sagemaker-runtime")
    for call, code, words in (
        (lambda: sagemaker.describe_endpoint(EndpointName="seen"), "ValidationException", "Could not find endpoint"),
        (lambda: sagemaker.describe_endpoint_config(EndpointConfigName=first["EndpointConfigName"]), "ValidationException", "Could not find"),
        (lambda: sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"]), "ValidationException", "Could not find model"),
        (lambda: sagemaker.delete_endpoint(EndpointName="seen"), "ValidationException", "Could not find endpoint"),
        (lambda: runtime.invoke_endpoint(EndpointName="seen", Body=b"{}"), "ValidationError", "seen"),
        (lambda: s3.head_object(Bucket=bucket, Key=key), "404", ""),
        (lambda: s3.get_object(Bucket=bucket, Key=key), "NoSuchKey", ""),
    ):
        refused, said = refusal_of(call)
        assert (refused, words in said) == (code, True), said
    if aws:
        asked = _aws(stranger, "sagemaker", "describe-endpoint", "--endpoint-name", "seen")
        assert asked.returncode in (254, 255), "version 2 of the aws command, or 1"
        assert "An error occurred (ValidationException) when calling the DescribeEndpoint operation: Could not find endpoint" in asked.stderr


def _aws(stranger: Stranger, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["aws", *arguments], capture_output=True, text=True, env=stranger.environment, timeout=60, check=False)


# --- run-local ------------------------------------------------------------------------------------------------------------------------


def test_run_local_detached_listens_on_this_machine_alone_and_is_gone_when_deleted(stranger: Stranger) -> None:
    started = stranger.deploy("run-local", "-t", "sagemaker", "-m", real_model(stranger), "--runtime", "process", "--detach", "-o", "json")
    assert started.exit_code == 0, started.said
    found = json.loads(started.out)
    try:
        ports = [int(found["url"].rpartition(":")[2]), *_ports_told(stranger.deploy("logs", "-t", "local", "-n", found["name"]).out)]
        assert len(ports) == 2, "its own port, and that of the process behind it"
        assert all(answers("127.0.0.1", port) for port in ports)
        # All of 127.0.0.0/8 is this machine: who listens on every address would answer there too.
        assert not any(answers("127.0.0.2", port) for port in ports)
        asked = subprocess.run(["bash", "-c", found["curl"]], capture_output=True, text=True, check=False)
        assert asked.returncode == 0 or not shutil.which("curl"), asked.stderr
    finally:
        assert stranger.deploy("delete", "-t", "local", "-n", found["name"]).exit_code == 0
    assert not any(answers("127.0.0.1", port) for port in ports)
    assert stranger.deploy("list", "-t", "local", "-o", "name").out == ""


def _ports_told(log: str) -> list[int]:
    return [int(line.rpartition(" ")[2]) for line in log.splitlines() if "listening on" in line]


def answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, port)) == 0


def test_a_port_of_one_s_own_choice_is_taken_as_asked(stranger: Stranger) -> None:
    port = free_port()
    started = stranger.deploy(
        "run-local", "-t", "sagemaker", "-m", real_model(stranger), "--runtime", "process", "--detach", "--port", str(port), "-o", "json"
    )
    found = json.loads(started.out)
    assert found["url"] == f"http://127.0.0.1:{port}"
    assert stranger.deploy("delete", "-t", "local", "-n", found["name"]).exit_code == 0
