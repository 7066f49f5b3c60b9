"""A cluster's processes, in namespaces of their own: `unshare ... kubernetes_cluster.py DIRECTORY PROGRAMS IMAGES`, as the first process there.

A control plane (etcd, API server, controllers, scheduler) and one node (kubelet, kube-proxy, and a docker engine for its containers). It ends when
its standard input does, or one of them; with the first process of its namespaces the kernel ends the others, their containers and their mounts.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

NODE = "node-1"
BRIDGE, ADDRESS, PODS, SERVICES = "deployer-k8s", "10.253.0.1", "10.253.0.0/24", "10.252.0.0/24"
CGROUP = "deployer-kubernetes"
ADMIN, READY = "admin.conf", "ready"
_START_SECONDS, _STOP_SECONDS = 180, 10
_LENIENT_RUNC = Path(__file__).with_name("lenient-runc")
_PAUSE = "deployer-pause:local"


class Cluster:
    """One run of it; its state is in a directory that is thrown away afterwards, its images in one that is kept."""

    def __init__(self, directory: Path, programs: Path, images: Path) -> None:
        self._directory, self._programs, self._images = directory, programs, images
        self._keys = directory / "pki"
        self._admin, self._node = directory / ADMIN, directory / "node.conf"
        self._docker = f"unix://{directory / 'docker.sock'}"
        self._port, self._token, self._node_token = free_port(), secrets.token_hex(16), secrets.token_hex(16)
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Returns when a pod can be asked for."""
        self._keys.mkdir()
        # Where a kubelet keeps its pods' logs, whatever it is told: seen in here alone.
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/var/log"], check=True)
        self._start_docker()
        self._start_store_and_api()
        self._until("the API server", lambda: self._get("readyz", plain=True) == "ok")
        self._start_controllers()
        self._until("the node's engine", lambda: self._engine("version"))
        self._prepare_engine()
        self._start_node()
        self._until("the node", self._node_is_ready)
        self._until("the account of pods", lambda: self._get("api/v1/namespaces/default/serviceaccounts/default"))

    def watch(self) -> str:
        """Returns when told to end, or says who ended by itself."""
        while not select.select([sys.stdin], [], [], 0.2)[0]:
            while ended := _reaped():
                for name, process in self._started.items():
                    if process.pid == ended:
                        return f"{name} ended by itself: see {self._log(name)}"
        return ""

    def stop(self) -> None:
        """End what would leave something in the directory that is kept; the kernel ends the rest."""
        self._started["kubelet"].kill()
        self._remove_containers()
        self._started["docker"].terminate()
        self._started["docker"].wait(_STOP_SECONDS)

    # What is started

    def _start_docker(self) -> None:
        subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=True)
        subprocess.run(["ip", "address", "add", f"{ADDRESS}/24", "dev", BRIDGE], check=True)
        subprocess.run(["ip", "link", "set", BRIDGE, "up"], check=True)
        for rule in RULES:
            subprocess.run(["iptables", "-w", *rule], check=True)
        self._start(
            *("docker", "dockerd", "--host", self._docker, "--pidfile", str(self._directory / "docker.pid"), "--log-level", "warn"),
            *("--data-root", str(self._images), "--exec-root", str(self._directory / "exec"), "--cgroup-parent", f"/{CGROUP}"),
            *("--bridge", BRIDGE, "--iptables=false", "--ip-masq=false"),
            *("--add-runtime", f"lenient={_LENIENT_RUNC}", "--default-runtime", "lenient"),
        )

    def _start_store_and_api(self) -> None:
        store, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._start(
            *("etcd", "etcd", "--data-dir", str(self._directory / "etcd"), "--unsafe-no-fsync", "--initial-cluster", f"default={peer}"),
            *("--listen-client-urls", store, "--advertise-client-urls", store),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
        )
        self._make_keys()
        _write(self._directory / "tokens", f'{self._token},admin,1,"system:masters"\n{self._node_token},system:node:{NODE},2,"system:nodes"\n')
        _write(self._admin, self._kubeconfig(self._token))
        _write(self._node, self._kubeconfig(self._node_token))
        self._start(
            *("apiserver", "kube-apiserver", "--etcd-servers", store, "--service-cluster-ip-range", SERVICES, "--allow-privileged=true"),
            *("--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", str(self._port)),
            *("--tls-cert-file", str(self._keys / "api.crt"), "--tls-private-key-file", str(self._keys / "api.key")),
            *("--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", str(self._keys / "accounts.key")),
            *("--service-account-signing-key-file", str(self._keys / "accounts.key"), "--token-auth-file", str(self._directory / "tokens")),
            *("--authorization-mode", "Node,RBAC", "--kubelet-preferred-address-types", "InternalIP"),
        )

    def _start_controllers(self) -> None:
        common = ("--kubeconfig", str(self._admin), "--leader-elect=false", "--port", "0")
        self._start(
            *("controllers", "kube-controller-manager", *common, "--secure-port", str(free_port()), "--cert-dir", str(self._keys / "controllers")),
            *("--service-account-private-key-file", str(self._keys / "accounts.key"), "--root-ca-file", str(self._keys / "api.crt")),
            # Tests run side by side here: thousands of objects that one of them makes must not hold up another's.
            *("--horizontal-pod-autoscaler-sync-period", "5s", "--kube-api-qps", "500", "--kube-api-burst", "1000"),
        )
        self._start("scheduler", "kube-scheduler", *common, "--secure-port", str(free_port()), "--cert-dir", str(self._keys / "scheduler"))

    def _prepare_engine(self) -> None:
        self._remove_containers()  # of a run that was killed
        if not self._engine("image", "inspect", _PAUSE):
            with subprocess.Popen(["tar", "-C", str(self._programs), "-c", "pause"], stdout=subprocess.PIPE) as tar:
                imported = ["docker", "import", "--change", 'ENTRYPOINT ["/pause"]', "-", _PAUSE]
                subprocess.run(imported, stdin=tar.stdout, env=self._environment(), stdout=subprocess.DEVNULL, check=True)

    def _start_node(self) -> None:
        settings = {
            **{"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "address": ADDRESS, "port": free_port()},
            **{"readOnlyPort": 0, "healthzPort": 0, "cgroupDriver": "cgroupfs", "cgroupsPerQOS": False, "enforceNodeAllocatable": []},
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            # The machine's disk and swap are its own affair.
            **{"failSwapOn": False, "evictionHard": {}, "imageGCHighThresholdPercent": 100},
            **{"syncFrequency": "5s", "nodeStatusUpdateFrequency": "5s"},
            # As kubelets have it since Kubernetes 1.27; and a pull from nowhere holds up no other.
            **{"kubeAPIQPS": 50, "kubeAPIBurst": 100, "eventRecordQPS": 50, "eventBurst": 100, "serializeImagePulls": False},
        }
        _write(self._directory / "kubelet.yaml", json.dumps(settings))
        self._start(
            *("kubelet", "kubelet", "--kubeconfig", str(self._node), "--config", str(self._directory / "kubelet.yaml"), "--hostname-override", NODE),
            *("--node-ip", ADDRESS, "--root-dir", str(self._directory / "kubelet"), "--cert-dir", str(self._keys / "kubelet")),
            *("--pod-infra-container-image", _PAUSE, "--docker-endpoint", self._docker),
            *("--experimental-dockershim-root-directory", str(self._directory / "dockershim")),
            *("--volume-plugin-dir", str(self._directory / "volume-plugins"), "--cni-cache-dir", str(self._directory / "cni")),
        )
        self._start(
            *("proxy", "kube-proxy", "--kubeconfig", str(self._admin), "--hostname-override", NODE, "--proxy-mode", "iptables", "--masquerade-all"),
            # A sandbox doesn't let the kernel's table of connections be set.
            *("--conntrack-max-per-core", "0", "--conntrack-tcp-timeout-established", "0s", "--conntrack-tcp-timeout-close-wait", "0s"),
            *("--healthz-bind-address", f"127.0.0.1:{free_port()}", "--metrics-bind-address", f"127.0.0.1:{free_port()}"),
        )

    # How

    def _start(self, name: str, program: str, *arguments: str) -> None:
        built = self._programs / program
        with self._log(name).open("wb") as log:
            command = [str(built) if built.exists() else program, *arguments]
            self._started[name] = subprocess.Popen(
                command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _until(self, what: str, done: Callable[[], object]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not done():
            gone = [name for name, process in self._started.items() if process.poll() is not None]
            if gone or time.monotonic() > deadline:
                logs = [self._log(name) for name in gone or self._started]
                raise RuntimeError(f"{what} doesn't come up: {', '.join(gone) or 'nothing'} ended\n" + "\n".join(map(_last_lines, logs)))
            time.sleep(0.1)

    def _node_is_ready(self) -> bool:
        node = self._get(f"api/v1/nodes/{NODE}") or {}
        return any(each["type"] == "Ready" and each["status"] == "True" for each in node.get("status", {}).get("conditions", ()))

    def _get(self, path: str, *, plain: bool = False) -> Any:
        """What the API server says; None where it doesn't answer, or says no."""
        request = urllib.request.Request(f"https://127.0.0.1:{self._port}/{path}", headers={"Authorization": f"Bearer {self._token}"})
        try:
            trusted = ssl.create_default_context(cafile=str(self._keys / "api.crt"))
            with urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusted)).open(request) as answer:
                return answer.read().decode() if plain else json.load(answer)
        except OSError:
            return None

    def _engine(self, *arguments: str) -> bool:
        ran = subprocess.run(["docker", *arguments], env=self._environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return ran.returncode == 0

    def _remove_containers(self) -> None:
        listed = subprocess.run(["docker", "ps", "-aq"], env=self._environment(), capture_output=True, text=True, check=False)
        if listed.stdout:
            self._engine("rm", "--force", "--volumes", *listed.stdout.split())

    def _make_keys(self) -> None:
        def openssl(*arguments: str) -> None:
            subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        openssl("genrsa", "-out", str(self._keys / "accounts.key"), "2048")
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-keyout", str(self._keys / "api.key"), "-out", str(self._keys / "api.crt")),
        )

    def _kubeconfig(self, token: str) -> str:
        cluster = {"server": f"https://127.0.0.1:{self._port}", "certificate-authority": str(self._keys / "api.crt")}
        name = "deployer-kubernetes"
        document = {
            **{"apiVersion": "v1", "kind": "Config", "current-context": name},
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
        }
        return json.dumps(document, indent=1)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_HOST": self._docker}

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"


RULES = (
    ("-I", "FORWARD", "-i", BRIDGE, "-j", "ACCEPT"),
    ("-I", "FORWARD", "-o", BRIDGE, "-j", "ACCEPT"),
    ("-t", "nat", "-I", "POSTROUTING", "-s", PODS, "!", "-o", BRIDGE, "-j", "MASQUERADE"),
)
"""What lets pods out, as iptables takes it."""


def clean(directory: Path) -> None:
    """Remove what a cluster that has ended leaves in the kernel, and its state."""
    for family in ("iptables", "ip6tables"):
        saved = subprocess.run([f"{family}-save"], capture_output=True, text=True, check=False).stdout
        subprocess.run([f"{family}-restore", "--noflush", "--wait"], input=undone(saved), text=True, stderr=subprocess.DEVNULL, check=False)
    subprocess.run(["ip", "link", "delete", BRIDGE], stderr=subprocess.DEVNULL, check=False)
    for group in [*Path("/sys/fs/cgroup").glob(f"*/{CGROUP}"), *Path("/sys/fs/cgroup").glob(CGROUP)]:
        for each in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            each.rmdir()
        group.rmdir()
    shutil.rmtree(directory, ignore_errors=True)


def undone(saved: str) -> str:
    """What takes Kubernetes' rules and chains, and ours, out of the tables that iptables-save has shown; all others stay."""
    lines: list[str] = []
    emptied: list[str] = []
    deleted: list[str] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            lines, emptied, deleted = [*lines, line], [], []
        elif line.startswith(":KUBE-"):
            emptied.append(line)  # restoring a chain empties it
            deleted.append(f"-X {line[1:].split()[0]}")
        elif line.startswith("-A ") and not line.startswith("-A KUBE-") and ("KUBE-" in line or BRIDGE in line):
            emptied.append(line.replace("-A", "-D", 1))
        elif line == "COMMIT":
            lines += [*emptied, *deleted, line]
    return "\n".join([*lines, ""])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _reaped() -> int:
    """A process that has ended, of all that have the first one as their parent by now; 0 for none."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0]
    except ChildProcessError:
        return 0


def _write(file: Path, content: str) -> None:
    file.touch(mode=0o600)
    file.write_text(content)


def _last_lines(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
    return "\n".join([f"{log}:", *lines])


def main() -> int:
    cluster = Cluster(*map(Path, sys.argv[1:4]))
    try:
        cluster.start()
    except (RuntimeError, subprocess.CalledProcessError) as failed:
        print(failed, file=sys.stderr)
        return 1
    Path(sys.argv[1], READY).touch()
    if why := cluster.watch():
        print(why, file=sys.stderr)
        return 1
    cluster.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
