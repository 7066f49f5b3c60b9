"""An image's config and manifest, of those of what it stands on."""

import json
from dataclasses import replace

from deployer.oci import Compression, Descriptor
from deployer.oci.manifest import DOCKER_LAYER, DOCKER_MANIFEST, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, OCI_ZSTD, sha256
from deployer_images.context import DOCKERFILE
from deployer_images.layers.archive import Layer
from deployer_images.layers.composing import compose
from deployer_images.layers.dockerfile import settings

BASE = {
    "os": "linux",
    "architecture": "amd64",
    "container": "left over from a build",
    "config": {"Env": ["PATH=/usr/bin", "LANG=de", "PYTHON_VERSION=3.11.7"], "Labels": {"theirs": "1"}, "Cmd": ["python3"]},
    "history": [{"created_by": "base"}],
    "rootfs": {"type": "layers", "diff_ids": [sha256(b"below")]},
}
LAYER = Layer(sha256(b"packed"), sha256(b"plain"), 6, 5)


def test_the_dockerfile_says_what_an_image_is_like() -> None:
    found = settings(DOCKERFILE.read_text())
    assert found["Entrypoint"] == ["/opt/deployer/venv/bin/python", "-m", "deployer_scoring"]
    assert found["Cmd"] == ["serve"]
    assert found["WorkingDir"] == "/opt/deployer"
    assert found["ExposedPorts"] == {"8080/tcp": {}}
    assert found["Labels"] == {"com.amazonaws.sagemaker.capabilities.accept-bind-to-port": "true"}
    variables = dict(each.split("=", 1) for each in found["Env"])
    assert variables.keys() == {"PATH", "HOME", "LANG", "PYTHONDONTWRITEBYTECODE", "PYTHONSAFEPATH", "PYTHONUNBUFFERED"}
    assert variables["PATH"].startswith("/opt/deployer/venv/bin:")


def test_an_image_is_its_base_with_layers_on_top() -> None:
    image = compose(BASE, [Descriptor(OCI_LAYER, sha256(b"there"), 3)], [(LAYER, "packages")], settings(DOCKERFILE.read_text()))
    document = json.loads(image.config)
    assert document["rootfs"]["diff_ids"] == [sha256(b"below"), sha256(b"plain")]
    assert [each["created_by"] for each in document["history"]] == ["base", "packages"]
    assert "container" not in document
    variables = dict(each.split("=", 1) for each in document["config"]["Env"])
    assert (variables["LANG"], variables["PYTHON_VERSION"]) == ("C.UTF-8", "3.11.7")
    assert document["config"]["Labels"]["theirs"] == "1"
    assert document["config"]["Cmd"] == ["serve"]
    assert image.manifest.media_type == DOCKER_MANIFEST
    assert [(each.digest, each.size, each.media_type) for each in image.manifest.layers] == [
        (sha256(b"there"), 3, DOCKER_LAYER),
        (sha256(b"packed"), 6, DOCKER_LAYER),
    ]
    assert image.manifest.config.digest == sha256(image.config)


def test_the_same_inputs_give_the_same_image() -> None:
    first, second = (compose(BASE, [Descriptor(OCI_LAYER, sha256(b"there"), 3)], [(LAYER, "packages")]) for _ in range(2))
    assert first == second
    assert json.loads(first.config)["config"]["Cmd"] == ["python3"]


def test_layers_by_zstd_are_in_an_image_of_oci_s_form() -> None:
    """With those below as they are: Docker's manifest has no name for it."""
    layer = replace(LAYER, compression=Compression.ZSTD)
    image = compose(BASE, [Descriptor(DOCKER_LAYER, sha256(b"there"), 3)], [(layer, "packages")])
    assert image.manifest.media_type == OCI_MANIFEST
    assert image.manifest.config.media_type == OCI_CONFIG
    assert [each.media_type for each in image.manifest.layers] == [OCI_LAYER, OCI_ZSTD]
    assert image.config == compose(BASE, [Descriptor(DOCKER_LAYER, sha256(b"there"), 3)], [(LAYER, "packages")]).config
    on_top = compose(json.loads(image.config), image.manifest.layers, [(LAYER, "model")])
    assert [each.media_type for each in on_top.manifest.layers] == [OCI_LAYER, OCI_ZSTD, OCI_LAYER]
