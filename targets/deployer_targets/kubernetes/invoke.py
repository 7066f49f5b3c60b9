"""Requests to a deployment through the API server: by its proxy, and by a port-forward where pods refuse that. Who may ask is a matter of RBAC."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from deployer.core.seam import Seam
from deployer.core.state import DeploymentName
from deployer.core.target import Payload
from deployer.errors import ConfigInvalid, DeployerError, DeploymentNotFound, PermissionDenied, TargetUnavailable
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.faults import Absent, ApiError, KubernetesFaults, refused_the_proxy, status_of, unavailable

_AGAIN_SECONDS = 5.0
"""How long a request that reached no pod is sent again."""
_PREDICT_SECONDS = 3700.0
_PLACE = "/invocations"
_REFUSED, _REFUSALS = "the proxy was refused", 2
"""So often on end, and a port-forward is the first way tried: a pod that ends refuses it, too, once."""


def predict(name: DeploymentName, payload: Payload, cloud: Kube) -> Payload:
    """One request's answer.

    Raises:
        DeploymentNotFound, TargetUnavailable. ConfigInvalid: the container refuses the request, in its own words.
    """
    answer = _sent(name, payload, cloud, stream=False)
    return Payload(answer.data, answer.headers.get("Content-Type", "application/json"), payload.accept)


def predict_stream(name: DeploymentName, payload: Payload, cloud: Kube) -> Iterator[bytes]:
    """The answer's pieces as the model makes them; raises as `predict` does, in the middle too."""
    answer = _sent(name, payload, cloud, stream=True)
    try:
        yield from answer.stream(None, decode_content=True)
    except Exception as error:
        raise KubernetesFaults(name).translated(error, f"the answer of {name}") or error from error
    finally:
        answer.close()


def _sent(name: DeploymentName, payload: Payload, cloud: Kube, *, stream: bool) -> Any:
    path = f"api/v1/namespaces/{cloud.namespace}/services/{name}:http/proxy{_PLACE}"
    headers = {"Content-Type": payload.content_type, "Accept": payload.accept}
    denied: list[PermissionDenied] = []

    def send() -> Any:
        try:
            if cloud.learnt.get((_REFUSED, name), 0) >= _REFUSALS:
                return _forwarded(name, payload, cloud)
            answer = cloud.connection.send("POST", path, body=payload.body, headers=headers, stream=stream, seconds=_PREDICT_SECONDS)
            cloud.learnt.pop((_REFUSED, name), None)
            return answer
        except ApiError as error:
            if status_of(error.body) is None:
                raise _of_the_model(name, error) from error
            if error.status == 404 and _is_there(name, cloud):
                raise unavailable("its Service has no endpoints yet") from error
            if refused_the_proxy(error) and not denied:
                try:
                    answer = _forwarded(name, payload, cloud)
                    cloud.learnt[_REFUSED, name] = cloud.learnt.get((_REFUSED, name), 0) + 1
                    return answer
                except PermissionDenied as no:
                    denied.append(no)
            raise

    try:
        return Seam(KubernetesFaults(f"the cluster of {name}"), deadline_seconds=_AGAIN_SECONDS).call(send, f"ask {name}")
    except Absent as absent:
        raise DeploymentNotFound(
            f"there is no deployment {name} in namespace {cloud.namespace}", advice="deploy list shows what is there"
        ) from absent
    except TargetUnavailable as late:
        if not denied:
            raise
        raise TargetUnavailable(
            f"the pods of {name} refuse the API server's proxy, as in a mesh with strict mTLS, and a port-forward is not allowed",
            why=f"{late.why}; {denied[0].why}",
            advice="docs/kubernetes/predict-in-a-mesh.yaml has the Role for it; or ask the URL of its ingress or route",
        ) from late


def _forwarded(name: DeploymentName, payload: Payload, cloud: Kube) -> Any:
    from deployer_targets.kubernetes.forwarding import ask  # with the library of WebSockets, for those alone that need it

    return ask(name, payload, cloud, _PLACE, _PREDICT_SECONDS)


def _is_there(name: DeploymentName, cloud: Kube) -> bool:
    """Whether there is such a Service: one whose Endpoints a controller has still to make is not found either, by the API server's words."""
    try:
        return cloud.find("Service", name) is not None
    except PermissionDenied:
        return False


def _of_the_model(name: str, error: ApiError) -> DeployerError:
    """The container's own answer."""
    try:
        said = str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        said = error.body[:500].decode(errors="replace")
    advice = f"deploy logs -n {name} has the container's side of it"
    if error.status in (502, 503, 504):
        return TargetUnavailable(f"{name} can't answer now", why=said, advice=advice)
    what = f"the model behind {name} failed" if error.status >= 500 else f"the model behind {name} refuses the request"
    return ConfigInvalid(f"{what} (HTTP {error.status})", why=said, advice=advice)
