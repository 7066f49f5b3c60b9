"""What pods say of themselves: which are ready, and why others aren't, in words, with whether waiting longer can help. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

Pod = Mapping[str, Any]
Event = Mapping[str, Any]

_CRASHES = 3
"""So often a container may end by itself before it counts as one that can't run."""
_OWN_CODES = frozenset({1, 2})
"""With these the runtime ends where the model can't be loaded or a setting is wrong: it has said why, and won't say otherwise."""
_NO_IMAGE = ("not found", "manifest unknown", "unauthorized", "denied", "no basic auth", "name unknown", "forbidden")
NO_ROOM = "no node has room for it"
_GROWS, _GROWS_NOT = ("TriggeredScaleUp", "Nominated"), "NotTriggerScaleUp"
"""What the cluster's autoscaler says of a pod without a node; Karpenter says Nominated."""
_BUSY = ("429", "toomanyrequests", "timeout", "deadline exceeded", "connection refused", "no route", "i/o timeout")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a pod isn't ready.

    Attributes:
        what: a phrase; `why` is the cluster's own sentence, `lines` the container's last ones.
        certain: waiting longer won't help.
        pod: whose events may say more.
    """

    what: str
    why: str = ""
    advice: str = ""
    lines: tuple[str, ...] = ()
    certain: bool = False
    pod: str = ""


def here(pods: Iterable[Pod]) -> list[Pod]:
    """Those that aren't on their way out."""
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def ready(pod: Pod) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in _status(pod).get("conditions") or ())


def worst(pods: Iterable[Pod], *, ours: bool = True) -> Trouble | None:
    """What is the matter, of the pods that aren't ready: what is certain first.

    Args:
        ours: the container runs our runtime, whose exit codes are known.
    """
    found = [trouble for pod in pods if not ready(pod) and (trouble := _trouble(pod, ours))]
    return next((each for each in found if each.certain), found[0] if found else None)


def grown(trouble: Trouble, events: Iterable[Event]) -> Trouble:
    """What an autoscaler says of a pod that no node has room for, if one has."""
    said = sorted((each for each in events if each.get("reason") in (*_GROWS, _GROWS_NOT)), key=_last_seen)
    if not said:
        return trouble
    message = said[-1].get("message", "")
    if said[-1]["reason"] in _GROWS:
        return replace(trouble, what=f"{NO_ROOM} yet, and one is on its way", why=message)
    return replace(trouble, what=f"{NO_ROOM}, and the cluster's autoscaler makes none", why=f"{message}; {trouble.why}" if trouble.why else message)


def probed(events: Iterable[Event]) -> str:
    """What the last probe that failed was answered; "" where none has failed."""
    said = sorted((each for each in events if each.get("reason") == "Unhealthy"), key=_last_seen)
    return str(said[-1].get("message", "")).strip() if said else ""


def _last_seen(event: Event) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")


def _trouble(pod: Pod, ours: bool) -> Trouble | None:
    for container in (*(_status(pod).get("initContainerStatuses") or ()), *(_status(pod).get("containerStatuses") or ())):
        if found := _of_container(container, pod, ours):
            return found
    for condition in _status(pod).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False" and condition.get("reason") == "Unschedulable":
            advice = "-C resources asks for less; or more nodes: an autoscaler that acts is waited for until progress_deadline"
            return Trouble(NO_ROOM, condition.get("message", ""), advice, pod=pod["metadata"]["name"])
    if _status(pod).get("reason") == "Evicted":
        return Trouble("the node put it out", _status(pod).get("message", ""))
    return None


def _of_container(container: Mapping[str, Any], pod: Pod, ours: bool) -> Trouble | None:
    state, last = container.get("state") or {}, container.get("lastState") or {}
    ended = state.get("terminated") or last.get("terminated")
    if ended and ended.get("exitCode") != 0:
        return _crashed(container, ended, pod, ours)
    waiting = state.get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"):
        return _no_image(container, reason, message)
    if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        certain = any(word in message for word in ("runAsNonRoot", "exec format error", "no such file"))
        return Trouble("its container can't be started", message, certain=certain)
    return None


def _crashed(container: Mapping[str, Any], ended: Mapping[str, Any], pod: Pod, ours: bool) -> Trouble:
    running = "running" in (container.get("state") or {})  # else it ended, or waits after that to be started once more
    crashes, code = int(container.get("restartCount") or 0) + (not running), ended.get("exitCode")
    said = str(ended.get("message") or "").strip()
    lines = tuple(said.splitlines()[-20:])
    if ended.get("reason") == "OOMKilled":
        limit = next((each["resources"].get("limits", {}).get("memory", "") for each in pod["spec"]["containers"]), "")
        advice = "-C resources gives it more: {requests: …, limits: {memory: …}}"
        return Trouble("it was killed for memory", f"it used more than its limit of {limit} (OOMKilled)", advice, lines, certain=True)
    if "exec format error" in said:
        advice = "build the scoring image for the nodes: deploy build-and-push-container --platform"
        return Trouble("the image is for another architecture than the node", said[-300:], advice, certain=True)
    why = lines[-1] if lines else f"its container ended with exit code {code}"
    return Trouble("its container ends by itself", why, lines=lines, certain=crashes >= _CRASHES or (ours and code in _OWN_CODES))


def _no_image(container: Mapping[str, Any], reason: str, message: str) -> Trouble:
    text = message.lower()
    missing = any(word in text for word in _NO_IMAGE) and not any(word in text for word in _BUSY)
    advice = "image_pull_secrets names what the nodes log in with; kubectl describe pod has all of it" if missing else ""
    return Trouble(
        f"the node can't pull {container.get('image', 'the image')}", message or reason, advice, certain=missing or reason == "InvalidImageName"
    )


def _status(pod: Pod) -> Mapping[str, Any]:
    return pod.get("status") or {}
