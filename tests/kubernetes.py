"""A Kubernetes for tests that need a real one.

    cluster             the kubeconfig of a cluster, which KUBECONFIG names for as long as the tests run
    namespace           the name of a namespace of the test's own, removed after it
    cluster_repository  of images, which this machine pushes to and the cluster's nodes pull from
    cluster_image       the scoring image in it, by digest

The cluster is KUBE_CONTEXT's where that is set, in a namespace of its own, with the repository DEPLOYER_IMAGE_REPOSITORY. Else it is Debian's own,
where it is built and root may (scripts/kubernetes-engine), shared by all test processes and stopped by the last, with an empty registry on this
machine. Else kind, k3d or minikube makes one, where one of them is installed (deployer_localstack/clusters.py). Elsewhere the tests are skipped and
say so; with CI=true they fail.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from deployer.errors import MachineFault
from deployer.events import silent
from deployer.oci import Repository
from deployer_images.builder import LAYERS, BuildOptions, build_and_push
from deployer_localstack import clusters
from tests.docker import root_directory, serving_registry, unavailable

ENGINE = Path(__file__).parents[1] / "scripts" / "kubernetes-engine"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The kubeconfig of a cluster whose administrator we are."""
    if not shutil.which("kubectl"):
        unavailable("no kubectl: apt-get install kubernetes-client")
    if context := os.environ.get("KUBE_CONTEXT"):
        kubeconfig = tmp_path_factory.mktemp("kubernetes") / "config"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(_said("config", "view", "--raw", "--minify", "--flatten", "--context", context))
        with _named(str(kubeconfig)), new_namespace() as name:
            kubectl("config", "set-context", "--current", "--namespace", name)
            yield str(kubeconfig)
        return
    with ExitStack() as stack:
        try:
            found = stack.enter_context(debians_cluster())
        except NoEngine as why:
            directory = tmp_path_factory.mktemp("cluster")
            try:
                found = clusters.up(directory).kubeconfig
            except MachineFault as fault:
                unavailable(f"no Kubernetes: {why}; {fault.message}; or name one of yours: KUBE_CONTEXT")
            stack.callback(clusters.down, directory)
        with _named(found):
            yield found


class NoEngine(Exception):
    """Debian's own doesn't start here; says why."""


@contextmanager
def debians_cluster() -> Iterator[str]:
    """The kubeconfig of Debian's own, which this process uses for as long as the block runs.

    Raises:
        NoEngine: it isn't built, or this user may not run it.
    """
    user = ("--for", str(os.getpid()))
    up = subprocess.run([sys.executable, str(ENGINE), "up", *user], capture_output=True, text=True, check=False)
    if up.returncode:
        raise NoEngine(up.stderr.strip())
    try:
        yield shlex.split(up.stdout)[1].partition("=")[2]
    finally:
        subprocess.run([sys.executable, str(ENGINE), "down", *user], check=False)


@pytest.fixture
def namespace(cluster: str) -> Iterator[str]:
    """A namespace of one's own; what is in it is removed in its own time."""
    with new_namespace() as name:
        yield name


@pytest.fixture(scope="session")
def cluster_repository(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """A repository that the cluster's nodes know by the same name as we do."""
    if made := clusters.present(Path(cluster).parent):
        yield Repository(made.registry, "scoring")
        return
    if os.environ.get("KUBE_CONTEXT"):
        if not (named := os.environ.get("DEPLOYER_IMAGE_REPOSITORY")):
            unavailable("the nodes of KUBE_CONTEXT don't reach a registry of this machine: DEPLOYER_IMAGE_REPOSITORY names one that they do")
        host, _, path = named.partition("/")
        yield Repository(host, path)
        return
    with serving_registry(tmp_path_factory.mktemp("registry")) as host:
        yield Repository(host, "scoring")


@pytest.fixture(scope="session")
def cluster_image(cluster_repository: Repository) -> str:
    """The scoring image, put together without an engine."""
    options = BuildOptions(base_image=str(root_directory()), python="3.11", runtime=LAYERS)
    return build_and_push(options, cluster_repository, silent).reference


def kubectl(*arguments: str, given: object = None) -> Any:
    """What kubectl says, read from JSON where it is asked for that; `given` is an object for its `-f -`.

    Raises:
        AssertionError: it failed; says why.
    """
    said = _said(*arguments, given=given)
    return json.loads(said) if "json" in arguments else said


def _said(*arguments: str, given: object = None) -> str:
    ran = subprocess.run(["kubectl", *arguments], input=json.dumps(given) if given else None, capture_output=True, text=True, check=False)
    assert not ran.returncode, f"kubectl {' '.join(arguments)}: {ran.stderr}"
    return ran.stdout


def _is_there(what: str, namespace: str) -> bool:
    return bool(_said("get", what, "-n", namespace, "--ignore-not-found", "-o", "name"))


@contextmanager
def new_namespace() -> Iterator[str]:
    name = f"deployer-test-{uuid.uuid4().hex[:12]}"
    kubectl("create", "namespace", name)
    try:
        deadline = time.monotonic() + 30
        while not _is_there("serviceaccount/default", name):  # without which no pod is admitted
            assert time.monotonic() < deadline, f"namespace {name} has no service account"
            time.sleep(0.1)
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


@contextmanager
def _named(kubeconfig: str) -> Iterator[None]:
    before = os.environ.get("KUBECONFIG")
    os.environ["KUBECONFIG"] = kubeconfig
    try:
        yield
    finally:
        os.environ.pop("KUBECONFIG", None)
        os.environ.update({"KUBECONFIG": before} if before else {})
