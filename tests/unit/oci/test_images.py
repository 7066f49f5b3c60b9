"""What an image says of itself, how it is tagged, and in which formats registries describe it."""

import base64
import json
from pathlib import Path

import pytest

from deployer.errors import ConfigInvalid
from deployer.oci import Credentials, ModelFacts, Repository, configured, general_tag, inputs_tag, labels, model_tag
from deployer.oci.manifest import DOCKER_LAYER, DOCKER_MANIFEST, OCI_INDEX, Descriptor, Manifest, docker_manifest, platform_of, sha256


def facts(*requirements: str, python: str = "3.11.7") -> ModelFacts:
    return ModelFacts("models:/churn/3", sha256(b"model"), python_version=python, requirements=requirements)


def test_the_general_tag_names_version_and_minor() -> None:
    assert general_tag("3.11.7", "0.1.0") == general_tag("3.11", "0.1.0") == "0.1.0-py311"
    assert general_tag("3.9", "0.1.0.dev3+g12ab") == "0.1.0.dev3-g12ab-py39"


def test_models_with_the_same_requirements_share_a_tag() -> None:
    one, same = facts("numpy==2.1.0", "Scikit_Learn==1.5"), facts("scikit-learn == 1.5", "numpy==2.1.0", python="3.11.2")
    assert model_tag(one, "0.1.0") == model_tag(same, "0.1.0")
    assert model_tag(one, "0.1.0").startswith("0.1.0-py311-")
    assert len({model_tag(each, "0.1.0") for each in (one, facts("numpy==2.1.1", "scikit-learn==1.5"), facts(*one.requirements, python="3.12"))}) == 3


def test_the_tag_of_inputs_ends_with_ten_digits_of_their_digest() -> None:
    assert inputs_tag("3.11", "sha256:" + "ab" * 32, "0.1.0") == "0.1.0-py311-ababababab"


def test_packages_are_read_from_the_label_that_was_written() -> None:
    label = {labels.PACKAGES: labels.packages_label(["pandas==2.2.3", "numpy==2.1.0", "ours @ https://example.com/ours.whl"])}
    assert labels.package_versions(label) == {"numpy": "2.1.0", "pandas": "2.2.3", "ours": "https://example.com/ours.whl"}


@pytest.mark.parametrize("label", [{}, {labels.PACKAGES: "numpy"}, {labels.PACKAGES: '{"numpy": "1"}'}])
def test_an_image_of_somebody_else_lists_no_packages(label: dict[str, str]) -> None:
    assert labels.package_versions(label) is None


def test_a_platform_is_named_as_registries_name_it() -> None:
    assert platform_of({"os": "linux", "architecture": "arm64", "variant": "v8"}) == "linux/arm64"
    assert platform_of({"os": "linux", "architecture": "arm", "variant": "v7"}) == "linux/arm/v7"


def test_attestations_in_an_index_are_no_platforms() -> None:
    entries = [
        {"digest": "sha256:1", "platform": {"os": "linux", "architecture": "amd64"}},
        {"digest": "sha256:2", "platform": {"os": "unknown", "architecture": "unknown"}},
    ]
    assert Manifest(OCI_INDEX, json.dumps({"manifests": entries}).encode()).platforms == {"linux/amd64": "sha256:1"}


def test_a_manifest_is_read_back_as_it_was_made() -> None:
    config, layer = Descriptor("application/json", sha256(b"c"), 1), Descriptor(DOCKER_LAYER, sha256(b"l"), 1)
    manifest = docker_manifest(config, (layer,))
    assert manifest.media_type == manifest.document["mediaType"] == DOCKER_MANIFEST
    assert (manifest.config, manifest.layers, manifest.digest) == (config, (layer,), sha256(manifest.body))


def test_plain_http_is_refused_over_a_network_and_taken_on_this_machine() -> None:
    with pytest.raises(ConfigInvalid, match="in the clear"):
        Repository("http://registry.example.com", "scoring")
    assert Repository("http://127.0.0.1:5000", "scoring").uri == "127.0.0.1:5000/scoring"


def test_credentials_are_never_printed() -> None:
    assert "hunter2" not in repr(Credentials("me", "hunter2"))


def test_what_docker_login_left_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert configured("registry.example.com") is None
    entry = {"auth": base64.b64encode(b"me:with:colons").decode()}
    hub = {"username": "hubber", "password": "x"}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"https://registry.example.com": entry, "https://index.docker.io/v1/": hub}}))
    assert configured("registry.example.com") == Credentials("me", "with:colons")
    assert configured("docker.io") == Credentials("hubber", "x")
    assert configured("elsewhere.example.com") is None


def test_a_credential_helper_is_asked_by_its_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text('#!/bin/sh\nread host\n[ "$1 $host" = "get registry.example.com" ] && echo \'{"Username": "me", "Secret": "s"}\'\n')
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"registry.example.com": "test"}, "credsStore": "absent"}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert configured("registry.example.com") == Credentials("me", "s")
    assert configured("other.example.com") is None
