"""Kubernetes' programs from Debian's source package, whose signatures apt checks: some 4 minutes on two cores, once per machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
PAUSE = "pause"
VERSION = "v1.20.2"
_RELEASE = "12"
_GO = Path("/usr/lib/go-1.19")
_TOOLS = ("dpkg-dev", "golang-1.19-go", "golang-github-modern-go-reflect2-dev", "make", "rsync", "etcd-server", "openssl")
_REFLECT2 = "github.com/modern-go/reflect2"
# What holds a pod's network while its containers come and go.
_PAUSE = """package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGINT, syscall.SIGTERM)
	<-told
}
"""


class NotHere(Exception):
    """This machine can't build it; says why."""


def build(into: Path) -> None:
    """Build the programs, and a pause, into a directory that appears when it is whole."""
    if os.geteuid() != 0 or f'VERSION_ID="{_RELEASE}"' not in Path("/etc/os-release").read_text():
        raise NotHere(f"Kubernetes is built from the source package of Debian {_RELEASE}, by root")
    print(f"building Kubernetes {VERSION} from Debian's source package: some 4 minutes, once per machine", file=sys.stderr)
    run("apt-get", "update", "-qq")
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *_TOOLS, DEBIAN_FRONTEND="noninteractive")
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kubernetes-build-", ignore_cleanup_errors=True) as directory:
        work = Path(directory)
        source = unpacked(work)
        half = into.with_suffix(".half")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir()
        compiled(work, source, half)
        half.replace(into)
        run("chmod", "-R", "u+w", directory)  # Go's caches are not writable, and so not removable


def unpacked(work: Path) -> Path:
    """The source, where Go looks for it. The machine's own list of sources stays as it is."""
    sources, lists = work / "source.list", work / "lists"
    (lists / "partial").mkdir(parents=True)
    mirror = deb822() or one_line()
    sources = sources.with_suffix(".sources" if mirror.startswith("Types:") else ".list")
    sources.write_text(mirror)
    apt = ("apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=-", "-o", f"Dir::State::lists={lists}")
    run(*apt, "-o", "APT::Sandbox::User=root", "update")
    run(*apt, "-o", "APT::Sandbox::User=root", "source", "--download-only", "kubernetes", cwd=work)
    source = work / "go" / "src" / "k8s.io" / "kubernetes"
    source.parent.mkdir(parents=True)
    (description,) = work.glob("kubernetes_*.dsc")
    run("dpkg-source", "--no-check", "-x", str(description), str(source))
    # The reflect2 that Kubernetes brings crashes under Go 1.18 and newer; Debian's own works.
    vendored = source / "vendor" / _REFLECT2
    shutil.rmtree(vendored)
    shutil.copytree(Path("/usr/share/gocode/src") / _REFLECT2, vendored, ignore=shutil.ignore_patterns("*_test.go"))
    return source


def compiled(work: Path, source: Path, into: Path) -> None:
    """The programs, linked without C's library."""
    major, minor, _ = VERSION.removeprefix("v").split(".")
    go = {
        **{"PATH": f"{_GO / 'bin'}:{os.environ['PATH']}", "GOROOT": str(_GO), "GOPATH": str(work / "go"), "GOCACHE": str(work / "cache")},
        **{"GO111MODULE": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"},
        **{
            "KUBE_GIT_VERSION": VERSION,
            "KUBE_GIT_MAJOR": major,
            "KUBE_GIT_MINOR": minor,
            "KUBE_GIT_TREE_STATE": "clean",
            "KUBE_GIT_COMMIT": "debian",
        },
    }
    run("make", "WHAT=" + " ".join(f"cmd/{each}" for each in PROGRAMS), "GOLDFLAGS=-s -w", cwd=source, **go)
    for each in PROGRAMS:
        shutil.copy2(source / "_output" / "bin" / each, into / each)
    pause = work / "pause.go"
    pause.write_text(_PAUSE)
    run("go", "build", "-ldflags", "-s -w", "-o", str(into / PAUSE), str(pause), cwd=work, **go)


def deb822() -> str:
    """Debian's own mirror, as the machine's newer kind of list has it."""
    file = Path("/etc/apt/sources.list.d/debian.sources")
    return file.read_text().replace("Types: deb\n", "Types: deb-src\n") if file.exists() else ""


def one_line() -> str:
    """The same in the older kind."""
    lines = Path("/etc/apt/sources.list").read_text().splitlines()
    return "".join(f"deb-src{line.removeprefix('deb')}\n" for line in lines if line.startswith("deb "))


def run(*command: str, cwd: Path | None = None, **more: str) -> None:
    """Run a command; what it says is shown where it fails."""
    ran = subprocess.run(command, cwd=cwd, env={**os.environ, **more}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ran.returncode:
        raise NotHere("\n".join([" ".join(command[:4]) + " failed:", *ran.stdout.splitlines()[-20:]]))
