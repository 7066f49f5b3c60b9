"""The nodes' login to a registry: one entry of docker's configuration, and none that ends before the pods do."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import kubernetes_validate
import pytest

from deployer.core.target import Verdict
from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes import manifests, names, pull_secrets
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.export import files_of
from deployer_targets.kubernetes.plan import plan
from deployer_targets.kubernetes.steps import PushImage
from deployer_targets.kubernetes.target import Kubernetes
from tests.unit.targets.kubernetes.builders import NAME, serving, spec


def configured(directory: Path, monkeypatch: pytest.MonkeyPatch, **entries: str) -> None:
    auths = {host: {"auth": base64.b64encode(login.encode()).decode()} for host, login in entries.items()}
    (directory / "config.json").write_text(json.dumps({"auths": auths}))
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))


def test_one_entry_is_given_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(tmp_path, monkeypatch, **{"registry.example": "robot:secret", "other.example": "me:mine"})
    given = json.loads(pull_secrets.content("registry.example", pull_secrets.login("registry.example")))
    auth = base64.b64encode(b"robot:secret").decode()
    assert given == {"auths": {"registry.example": {"username": "robot", "password": "secret", "auth": auth}}}


@pytest.mark.parametrize(
    ("registry", "login"),
    [
        ("1234.dkr.ecr.eu-west-1.amazonaws.com", "AWS:token"),
        ("1234.dkr.ecr.cn-north-1.amazonaws.com.cn", "AWS:token"),
        ("churn.azurecr.io", "00000000-0000-0000-0000-000000000000:token"),
        ("europe-docker.pkg.dev", "oauth2accesstoken:token"),
        ("eu.gcr.io", "oauth2accesstoken:token"),
        ("gcr.io", "_dcgcloud_token:token"),
        ("any.example", "<token>:refresh"),
    ],
)
def test_a_token_that_ends_soon_is_refused(registry: str, login: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(tmp_path, monkeypatch, **{registry: login})
    with pytest.raises(ConfigInvalid, match="token that lasts"):
        pull_secrets.login(registry)


@pytest.mark.parametrize(("registry", "login"), [("gcr.io", "_json_key:{}"), ("churn.azurecr.io", "robot:secret"), ("r.example:5000", "AWS:mine")])
def test_a_login_that_stays_is_taken(registry: str, login: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(tmp_path, monkeypatch, **{registry: login})
    assert pull_secrets.login(registry).username == login.partition(":")[0]


def token(form: str, end: datetime) -> str:
    """A password that says when it ends, as ECR's and as those in JWTs do."""
    said = base64.urlsafe_b64encode(json.dumps({"payload": "x", "expiration" if form == "ecr" else "exp": int(end.timestamp())}).encode()).decode()
    return said if form == "ecr" else f"e30.{said.rstrip('=')}.c2ln"


@pytest.mark.parametrize("form", ["ecr", "jwt"])
@pytest.mark.parametrize(("hours", "verdict"), [(5, Verdict.OK), (-5, Verdict.WRONG)])
def test_doctor_tells_when_a_token_ends(form: str, hours: int, verdict: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = datetime.now(UTC) + timedelta(hours=hours)
    registry = "1234.dkr.ecr.eu-west-1.amazonaws.com" if form == "ecr" else "registry.example"
    configured(tmp_path, monkeypatch, **{registry: f"AWS:{token(form, end)}"})
    told = pull_secrets.told(registry)
    assert (told.verdict, f"{end:%Y-%m-%d %H:%M} UTC" in told.detail) == (verdict, True), told
    with pytest.raises(ConfigInvalid, match="token that lasts"):
        pull_secrets.login(registry)


@pytest.mark.parametrize(
    ("login", "said"),
    [("robot:secret", "robot at registry.example, with no end"), ("robot:a.b.c", "no end"), ("<token>:refresh", "for a session"), ("", "has none")],
)
def test_doctor_tells_what_a_login_is_good_for(login: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(tmp_path, monkeypatch, **({"registry.example": login} if login else {}))
    told = pull_secrets.told("registry.example")
    assert (told.verdict, said in told.detail, "secret" in told.detail.replace("pull_secret", "")) == (Verdict.OK, True, False), told


def test_no_login_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(tmp_path, monkeypatch, **{"other.example": "me:mine"})
    with pytest.raises(ConfigInvalid, match=r"no login for registry\.example") as told:
        pull_secrets.login("registry.example")
    assert told.value.advice == "docker login registry.example"


def test_pods_name_it_and_it_stays_as_long_as_a_generation_needs_it() -> None:
    one, two = spec("one", pull_secret=True, image_pull_secrets=["mine"]), spec("two")
    assert manifests.pod(one, "image")["imagePullSecrets"] == [{"name": "mine"}, {"name": f"{NAME}-pull"}]
    made = plan(one, None, Kubernetes())
    assert "MakePullSecret" in [type(each).__name__ for each in made.forward]
    secret = next(each.makes for each in made.forward if isinstance(each, pull_secrets.MakePullSecret))
    assert secret in plan(two, serving(one), Kubernetes()).keep
    assert secret not in plan(two, serving(spec("one")), Kubernetes()).keep
    assert secret.name == names.pull_secret(NAME)


def test_it_is_in_no_file() -> None:
    made = files_of(spec(pull_secret=True), "plain", "image")
    assert "imagePullSecrets" not in made.files["deployment.yaml"]
    assert "docker-registry" in made.needs[0]


def test_a_model_on_a_volume_is_mounted_for_reading_and_on_no_image() -> None:
    wanted = spec(model_delivery={"pvc": {"claim": "models", "path": "churn/3"}})
    made = manifests.deployment(wanted)
    kubernetes_validate.validate(made, "1.33", strict=True)
    pod = made["spec"]["template"]["spec"]
    assert pod["volumes"][1] == {"name": "model", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}}
    (container,) = pod["containers"]
    assert container["volumeMounts"][1] == {"name": "model", "mountPath": "/opt/ml/model", "readOnly": True, "subPath": "churn/3"}
    (pushed,) = (each for each in plan(wanted, None, Kubernetes()).forward if isinstance(each, PushImage))
    assert not pushed.image.has_model
    assert wanted.generation != spec().generation


@pytest.mark.parametrize("path", ["/churn", "../churn", "a/../../b"])
def test_a_path_stays_in_its_volume(path: str) -> None:
    with pytest.raises(ConfigInvalid, match="from the volume's root"):
        spec(model_delivery={"pvc": {"claim": "models", "path": path}})


def secret(**entry: str) -> dict[str, object]:
    content = json.dumps({"auths": {"https://index.docker.io/v1/": entry}}).encode()
    return {"metadata": {"name": "mine"}, "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": base64.b64encode(content).decode()}}


@pytest.mark.parametrize(
    ("registry", "entry", "verdict", "said"),
    [
        ("docker.io", {"username": "robot", "password": "secret"}, Verdict.OK, "robot at docker.io"),
        ("registry-1.docker.io", {"auth": base64.b64encode(b"robot:secret").decode()}, Verdict.OK, "robot at"),
        (
            "other.example",
            {"username": "robot", "password": "secret"},
            Verdict.WARNING,
            "has no login for other.example: it has https://index.docker.io",
        ),
        ("docker.io", {}, Verdict.WRONG, "a node could read"),
    ],
)
def test_a_login_that_nodes_have_is_told(registry: str, entry: dict[str, str], verdict: Verdict, said: str) -> None:
    (found,) = pull_secrets.given(kept(secret(**entry)), registry)
    assert (found.subject, found.verdict, said in found.detail) == ("secret mine", verdict, True), found


def test_the_end_of_a_login_that_nodes_have_is_told() -> None:
    now = datetime.now(UTC)
    for end, verdict in ((now - timedelta(hours=1), Verdict.WRONG), (now + timedelta(hours=1), Verdict.WARNING)):
        (found,) = pull_secrets.given(kept(secret(username="robot", password=token("jwt", end))), "docker.io")
        assert (found.verdict, f"{end:%H:%M} UTC" in found.detail) == (verdict, True), found


def test_a_login_that_is_named_and_not_there_is_told() -> None:
    (found,) = pull_secrets.given(kept(None), "docker.io")
    assert (found.subject, found.verdict) == ("secret mine", Verdict.WRONG)


def kept(found: object) -> Kube:
    """A namespace with this Secret, which is named by an option."""
    config = KubernetesConfig.parse({"image_pull_secrets": ["mine"]}, target="kubernetes")
    return cast(Kube, SimpleNamespace(config=config, namespace="ml", list=lambda *_, **__: [], find=lambda *_: found))
