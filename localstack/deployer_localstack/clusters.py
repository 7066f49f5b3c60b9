"""A Kubernetes of one's own on this machine: made by kind, k3d or minikube, whichever is installed, with a registry that its nodes pull from.

Not yet seen: none of the three has been run by us; what is done is what each one's documentation says of local registries.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deployer.errors import MachineFault
from deployer_localstack.options import INSTANCE_LABEL

_STATE, _KUBECONFIG, _MIRRORS = "kubernetes.json", "kubeconfig", "k3d-registries.yaml"
_REGISTRY_IMAGE = "registry:2"
_CERTIFICATES = "/etc/containerd/certs.d"
_KIND = f"""kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
- |-
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{_CERTIFICATES}"
"""


@dataclass(frozen=True, slots=True)
class LocalCluster:
    """A cluster that was made for a local cloud.

    Attributes:
        maker: kind, k3d or minikube.
        name: that it has there.
        kubeconfig: the file that names it.
        registry: host:port, for this machine and for its nodes.
    """

    maker: str
    name: str
    kubeconfig: str
    registry: str


def up(directory: Path) -> LocalCluster:
    """The cluster of a local cloud's directory, made where there is none.

    Raises:
        MachineFault: none of the three programs is installed, or one of them fails.
    """
    if found := present(directory):
        return found
    maker = next((each for each in _MAKERS if shutil.which(each)), None)
    if maker is None or not shutil.which("docker"):
        raise MachineFault(
            "no program that makes a Kubernetes is installed",
            why="looked for kind, k3d and minikube, which run it in docker",
            advice="install docker, and kind (https://kind.sigs.k8s.io), or name a cluster of yours: deploy -t kubernetes:/CONTEXT",
        )
    name = f"deployer-{hashlib.sha256(str(directory).encode()).hexdigest()[:8]}"
    cluster = LocalCluster(maker, name, str(directory / _KUBECONFIG), "")
    _remove(cluster)  # of a run that was killed
    try:
        cluster = LocalCluster(maker, name, cluster.kubeconfig, _start_registry(name, directory))
        _MAKERS[maker].make(cluster)
    except BaseException:
        _remove(cluster)
        raise
    (directory / _STATE).write_text(json.dumps({each: getattr(cluster, each) for each in LocalCluster.__slots__}))
    return cluster


def present(directory: Path) -> LocalCluster | None:
    """What `up` has made and `down` hasn't removed."""
    try:
        return LocalCluster(**json.loads((directory / _STATE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def down(directory: Path) -> bool:
    """Remove the cluster and its registry; whether there was one."""
    if not (cluster := present(directory)):
        return False
    _remove(cluster)
    for name in (_STATE, _KUBECONFIG, _MIRRORS):
        (directory / name).unlink(missing_ok=True)
    return True


def environment(cluster: LocalCluster) -> dict[str, str]:
    """The variables that point kubectl and our target at it."""
    return {"KUBECONFIG": cluster.kubeconfig, "DEPLOYER_IMAGE_REPOSITORY": f"{cluster.registry}/scoring"}


def _kind(cluster: LocalCluster) -> None:
    _run(["kind", "create", "cluster", "--name", cluster.name, "--kubeconfig", cluster.kubeconfig, "--config", "-"], given=_KIND)
    for node in _run(["kind", "get", "nodes", "--name", cluster.name]).split():
        _tell_node(node, cluster)
    _run(["docker", "network", "connect", "kind", _registry_of(cluster.name)])


def _k3d(cluster: LocalCluster) -> None:
    mirrors = Path(cluster.kubeconfig).with_name(_MIRRORS)
    mirrors.write_text(json.dumps({"mirrors": {cluster.registry: {"endpoint": [_inside(cluster)]}}}))
    kept = ("--kubeconfig-update-default=false", "--kubeconfig-switch-context=false")
    _run(["k3d", "cluster", "create", cluster.name, *kept, "--registry-config", str(mirrors)])
    _run(["docker", "network", "connect", f"k3d-{cluster.name}", _registry_of(cluster.name)])
    written = Path(cluster.kubeconfig)
    written.touch(mode=0o600)
    written.write_text(_run(["k3d", "kubeconfig", "get", cluster.name]))


def _minikube(cluster: LocalCluster) -> None:
    started = ["minikube", "start", "--profile", cluster.name, "--driver", "docker", "--container-runtime", "containerd"]
    _run(started, KUBECONFIG=cluster.kubeconfig)
    _tell_node(cluster.name, cluster)
    _run(["docker", "network", "connect", cluster.name, _registry_of(cluster.name)])


@dataclass(frozen=True, slots=True)
class _Maker:
    make: Callable[[LocalCluster], None]
    removal: Sequence[str]


_MAKERS: Mapping[str, _Maker] = {
    "kind": _Maker(_kind, ("delete", "cluster", "--name")),
    "k3d": _Maker(_k3d, ("cluster", "delete")),
    "minikube": _Maker(_minikube, ("delete", "--profile")),
}


def _start_registry(name: str, directory: Path) -> str:
    """A registry on a free port of this machine, which a local cloud's `down` finds by its label; host and port."""
    labelled = ("--label", f"{INSTANCE_LABEL}={directory}", "--name", _registry_of(name))
    _run(["docker", "run", "--detach", *labelled, "--publish", "127.0.0.1::5000", _REGISTRY_IMAGE])
    return f"localhost:{_run(['docker', 'port', _registry_of(name), '5000/tcp']).strip().rpartition(':')[2]}"


def _tell_node(node: str, cluster: LocalCluster) -> None:
    """Have a node's containerd ask the registry's container where an image names the registry as this machine does."""
    directory = f"{_CERTIFICATES}/{cluster.registry}"
    command = f"mkdir -p {directory} && cat > {directory}/hosts.toml"
    _run(["docker", "exec", "--interactive", node, "sh", "-c", command], given=f'[host."{_inside(cluster)}"]\n')


def _registry_of(name: str) -> str:
    return f"{name}-registry"


def _inside(cluster: LocalCluster) -> str:
    return f"http://{_registry_of(cluster.name)}:5000"


def _remove(cluster: LocalCluster) -> None:
    for command in ([cluster.maker, *_MAKERS[cluster.maker].removal, cluster.name], ["docker", "rm", "--force", _registry_of(cluster.name)]):
        if shutil.which(command[0]):
            subprocess.run(command, capture_output=True, check=False)


def _run(command: Sequence[str], *, given: str = "", **more: str) -> str:
    ran = subprocess.run(command, input=given, capture_output=True, text=True, env={**os.environ, **more}, check=False)
    if ran.returncode:
        why = " ".join(ran.stderr.split()[-60:])
        raise MachineFault(f"{' '.join(command[:3])} failed", why=why, advice=f"{command[0]} itself says more; what was begun is removed")
    return ran.stdout
