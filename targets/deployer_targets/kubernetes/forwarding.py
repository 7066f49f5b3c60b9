"""Requests to one pod by a port-forward, which ends at its own localhost: a mesh that refuses the API server's proxy lets it through."""

from __future__ import annotations

import http.client
import random
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from deployer.core.state import DeploymentName
from deployer.core.target import Payload
from deployer_targets.kubernetes import manifests, pods
from deployer_targets.kubernetes.client import Kube, Object
from deployer_targets.kubernetes.faults import ApiError, KubernetesFaults, unavailable

_PIECE = 64 * 1024


class Forwarded:
    """The answer of a pod, read as far as is asked for."""

    def __init__(self, forward: Any, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        self.headers: Mapping[str, str] = dict(answer.headers.items())
        self._forward, self._connection, self._answer = forward, connection, answer

    @property
    def data(self) -> bytes:
        """All of it."""
        try:
            return self._answer.read()
        finally:
            self.close()

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        """The pieces as they come."""
        while piece := self._answer.read1(_PIECE):
            yield piece

    def close(self) -> None:
        self._connection.close()
        self._forward.close()


def ask(name: DeploymentName, payload: Payload, cloud: Kube, path: str, seconds: float) -> Forwarded:
    """Send one request to a pod that is ready.

    Raises:
        ApiError: the pod's own no; or, as one that may pass, that none answers. PermissionDenied.
    """
    pod = _one_of(name, cloud)
    forward = _opened(pod, cloud)
    try:
        socket = forward.socket(manifests.PORT)
        socket.settimeout(seconds)
        connection = http.client.HTTPConnection("localhost", timeout=seconds)
        connection.sock = socket
        connection.request("POST", path, payload.body, {"Content-Type": payload.content_type, "Accept": payload.accept})
        answer = connection.getresponse()
        if answer.status >= 300:
            raise ApiError(answer.status, answer.read())
    except (OSError, http.client.HTTPException) as error:
        why = forward.error(manifests.PORT) or str(error)
        forward.close()
        raise unavailable(f"the pod {pod} does not answer through a port-forward: {why.strip()}") from error
    except BaseException:
        forward.close()
        raise
    return Forwarded(forward, connection, answer)


def _one_of(name: DeploymentName, cloud: Kube) -> str:
    """Of the ready pods that the Service leads to."""
    selector = cloud.get("Service", name)["spec"].get("selector") or {}
    ready: list[Object] = [each for each in pods.here(cloud.list("Pod", dict(selector))) if pods.ready(each)]
    if not ready:
        raise unavailable(f"no pod of {name} is ready")
    return str(random.choice(ready)["metadata"]["name"])


def _opened(pod: str, cloud: Kube) -> Any:
    """The connection to a pod's port, through the API server."""
    from kubernetes.stream.ws_client import PortForward, create_websocket
    from websocket import WebSocketBadStatusException

    client = cloud.connection.client()
    headers = {setting["key"].lower(): setting["value"] for setting in client.configuration.auth_settings().values()}
    host = client.configuration.host.replace("http", "ws", 1)
    address = f"{host}/{cloud.path('Pod', pod)}/portforward?{urlencode({'ports': manifests.PORT})}"
    opened: Any = create_websocket  # has no types
    try:
        socket = opened(client.configuration, address, {**headers, "sec-websocket-protocol": "v4.channel.k8s.io"})
    except WebSocketBadStatusException as refused:
        said = ApiError(refused.status_code, refused.resp_body or b"")
        raise KubernetesFaults(cloud.connection.context).translated(said, f"forward a port of Pod {pod}") or said from refused
    forward: Any = PortForward
    return forward(socket, [manifests.PORT])
