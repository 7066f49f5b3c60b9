"""uv inside a container of the scoring image: where packages are resolved and built that have no wheel, so that their code runs on the image's
system and not on this machine's.

The container sees the model's directory, read-only, and one directory of this run; it has the network, for its build may need more packages. What
indexes want for credentials is given to the one process that needs it: no layer, label, history or argument has any, and the container is gone after.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployer_images import cache, engine
from deployer_images.faults import fault_of
from deployer_images.indexes import uv_variables
from deployer_images.runtimes.docker import NAME, OWNER, ourselves
from deployer_scoring.masking import without_secrets

if TYPE_CHECKING:
    from docker.models.containers import Container

_PYTHON, _UV = "/opt/deployer/venv/bin/python", "/opt/deployer/runtime/bin/uv"
# What only files say to uv is put where it never reaches a disk, from variables that this process alone has.
_START = """
for name in NETRC UV_CONFIG_FILE; do
  eval "text=\\$TEXT_OF_$name"
  if [ -n "$text" ]; then printf '%s' "$text" > /dev/shm/$name; export "$name=/dev/shm/$name"; fi
  unset "TEXT_OF_$name"
done
exec "$@" < "$INPUT"
"""
_PASSED = ("UV_", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy")
_OF_THIS_MACHINE = frozenset({"UV_CACHE_DIR", "UV_PYTHON", "UV_PYTHON_INSTALL_DIR", "UV_LINK_MODE", "UV_KEYRING_PROVIDER", "UV_CONFIG_FILE"})


@dataclass(frozen=True, slots=True)
class Inside:
    """A container to run uv in.

    Attributes:
        image: what it is one of, by its digest.
        directory: on this machine and there, under the same path; gone with the container.
    """

    image: str
    directory: Path
    container: Container

    @property
    def python(self) -> str:
        """The image's interpreter for models."""
        return _PYTHON

    def uv(self, *arguments: str, stdin: str, doing: str, ca_bundle: Path | None = None) -> str:
        """Run uv there and give its standard output.

        Raises:
            What `deployer_images.uv.uv` raises. TargetUnavailable: the engine fails.
        """
        from docker.errors import DockerException

        asked = self.directory / "asked.txt"
        asked.write_text(stdin)
        command = ["sh", "-c", _START, "sh", _UV, "--no-progress", "--color", "never", *arguments]
        variables = _variables(ca_bundle) | {"INPUT": str(asked), "UV_NO_CACHE": "1"}
        if certificates := variables.get("SSL_CERT_FILE"):
            variables["SSL_CERT_FILE"] = str(shutil.copy(certificates, str(self.directory)))
        try:
            code, output = self.container.exec_run(command, environment=variables, demux=True)
        except (DockerException, OSError) as fault:
            raise engine.fault(doing, fault) from fault
        said, complaints = (bytes(each or b"").decode(errors="replace") for each in output)
        if code:
            raise fault_of(doing, without_secrets(complaints))
        return said


@contextmanager
def inside(reference: str, image: str, more: Mapping[Path, bool], login: tuple[str, str] | None = None) -> Iterator[Inside]:
    """A container of an image, which the engine has or pulls, for as long as the block runs.

    Args:
        image: its digest.
        more: directories of this machine that it sees under the same paths, and whether it may write there.
        login: user and password of the image's registry; None leaves them to docker's own configuration.

    Raises:
        TargetUnavailable, ExtraMissing: no engine answers. Refused, PermissionDenied: what it says.
    """
    from docker.errors import DockerException, ImageNotFound
    from docker.types import Mount

    directory = Path(tempfile.mkdtemp(dir=cache.folder("builds")))
    seen = {directory: True, **more}
    try:
        with closing(engine.connect(timeout_seconds=1800)) as client:
            try:
                try:
                    client.images.get(reference)
                except ImageNotFound:
                    client.images.pull(reference, auth_config={"username": login[0], "password": login[1]} if login else None)
                container = client.containers.run(
                    reference,
                    entrypoint=[_PYTHON, "-c", "import time; time.sleep(86400)"],
                    command=[],
                    detach=True,
                    auto_remove=True,
                    init=True,
                    network_mode="host",
                    user=f"{os.getuid()}:{os.getgid()}",
                    environment={"PYTHONSAFEPATH": ""},
                    labels={OWNER: ourselves(), NAME: directory.name},
                    mounts=[Mount(str(path), str(path), type="bind", read_only=not writes) for path, writes in seen.items()],
                )
            except (DockerException, OSError) as fault:
                raise engine.fault("starting the container that packages are built in", fault) from fault
            try:
                yield Inside(image, directory, container)
            finally:
                with suppress(DockerException, OSError):
                    container.kill()
                    container.wait(condition="removed", timeout=60)  # a moment later, and its image can't go before
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _variables(ca_bundle: Path | None) -> dict[str, str]:
    """What uv is told of indexes and proxies on this machine, and the contents of the files that say the rest."""
    ours = uv_variables(ca_bundle)
    told = {name: value for name, value in ours.items() if name.startswith(_PASSED) and name not in _OF_THIS_MACHINE}
    files = {
        "NETRC": Path(ours.get("NETRC") or Path.home() / ".netrc"),
        "UV_CONFIG_FILE": Path(ours.get("UV_CONFIG_FILE") or Path(ours.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "uv" / "uv.toml"),
    }
    return told | {f"TEXT_OF_{name}": file.read_text() for name, file in files.items() if file.is_file()}
