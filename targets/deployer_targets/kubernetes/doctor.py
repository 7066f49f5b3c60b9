"""All that a deploy needs of a cluster, looked at one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from deployer.core.target import Diagnosis, Verdict
from deployer.errors import DeployerError
from deployer_targets.kubernetes import images, pull_secrets, rights
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.kinds import KINDS


def findings(cloud: Kube) -> Iterator[Diagnosis]:
    """One line a subject; none raises."""
    try:
        version = cloud.connection.call("ask for the version", "GET", "version")
    except DeployerError as error:
        yield Diagnosis("cluster", Verdict.WRONG, f"{error.message} {error.why}".strip(), error.advice)
        return
    yield Diagnosis("cluster", Verdict.OK, f"{cloud.connection.context}, Kubernetes {version['gitVersion']}, namespace {cloud.namespace}")
    yield from _namespace(cloud)
    yield from rights.findings(cloud)
    yield from _kinds(cloud)
    yield from _quotas(cloud)
    yield from _registry(cloud)


def _namespace(cloud: Kube) -> Iterator[Diagnosis]:
    try:
        found = cloud.connection.call("get the namespace", "GET", f"api/v1/namespaces/{cloud.namespace}")
    except DeployerError as error:
        if "not found" in error.message:
            yield Diagnosis("namespace", Verdict.WRONG, f"there is no namespace {cloud.namespace}", f"kubectl create namespace {cloud.namespace}")
        else:
            yield Diagnosis("namespace", Verdict.WARNING, error.message, error.advice)
        return
    labels = found["metadata"].get("labels") or {}
    level = labels.get("pod-security.kubernetes.io/enforce", "")
    yield Diagnosis("namespace", Verdict.OK, f"enforces Pod Security {level}, which ours keep" if level else "enforces no Pod Security standard")
    if mesh := mesh_of(labels, found["metadata"].get("annotations") or {}):
        yield Diagnosis(
            "service mesh", Verdict.OK, f"{mesh} puts a sidecar into the pods of this namespace; with strict mTLS predict forwards a port"
        )
        with suppress(DeployerError):
            if lacking := rights.missing(cloud, rights.IN_A_MESH.rights):
                yield rights.told(rights.IN_A_MESH, lacking)


def mesh_of(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """The mesh that a namespace says its pods belong to; "" for none."""
    if labels.get("istio-injection") == "enabled" or "istio.io/rev" in labels:
        return "Istio"
    return "Linkerd" if annotations.get("linkerd.io/inject") in ("enabled", "ingress") else ""


def _kinds(cloud: Kube) -> Iterator[Diagnosis]:
    """Which of the options for what stands beside the pods the cluster can have."""
    discovery = cloud.connection.discovery
    try:
        found = {kind: discovery.find(kind) for kind, each in KINDS.items() if not each.everywhere}
        counted = {group: discovery.has_group(group) for group in ("metrics.k8s.io", "custom.metrics.k8s.io")}
    except DeployerError as error:
        yield Diagnosis("beside the pods", Verdict.WARNING, error.message, error.advice)
        return
    here = ", ".join(f"{kind} ({version})" for kind, version in found.items() if version)
    lacking = [f"{kind} (it comes with {KINDS[kind].comes_with})" for kind, version in found.items() if not version]
    yield Diagnosis("beside the pods", Verdict.OK, f"has {here or 'nothing'}" + (f"; lacks {', '.join(lacking)}" if lacking else ""))
    if counted["metrics.k8s.io"]:
        told = "autoscaling goes by cpu and memory" + (", and by metrics" if counted["custom.metrics.k8s.io"] else "; by metrics it needs an adapter")
        yield Diagnosis("metrics server", Verdict.OK, told)
    else:
        yield Diagnosis(
            "metrics server", Verdict.WARNING, "there is none: autoscaling keeps min and max alone", "install metrics-server in the cluster"
        )


def _quotas(cloud: Kube) -> Iterator[Diagnosis]:
    with suppress(DeployerError):
        for quota in cloud.connection.call("list quotas", "GET", f"api/v1/namespaces/{cloud.namespace}/resourcequotas")["items"] or ():
            hard, used = (quota.get("status") or {}).get("hard") or {}, (quota.get("status") or {}).get("used") or {}
            told = ", ".join(f"{used.get(each, '0')} of {most} {each}" for each, most in sorted(hard.items()))
            yield Diagnosis(f"quota {quota['metadata']['name']}", Verdict.OK, f"used: {told}")
    with suppress(DeployerError):
        for found in cloud.connection.call("list limit ranges", "GET", f"api/v1/namespaces/{cloud.namespace}/limitranges")["items"] or ():
            if told := bounds_of(found["spec"]["limits"]):
                yield Diagnosis(f"limit range {found['metadata']['name']}", Verdict.OK, f"of a container: {told}; -C resources has to be within")


def bounds_of(limits: Iterable[Mapping[str, Any]]) -> str:
    """What a limit range lets a container have, in words; "" where it bounds none."""
    words = {"min": "at least", "max": "at most", "maxLimitRequestRatio": "a limit at most so many times the request:"}
    bounds = ((words[key], each[key]) for each in limits if each.get("type") == "Container" for key in words if each.get(key))
    return ", ".join(f"{word} {amount} {resource}" for word, amounts in bounds for resource, amount in sorted(amounts.items()))


def _registry(cloud: Kube) -> Iterator[Diagnosis]:
    try:
        ours = images.repository(cloud.config)
    except DeployerError as error:
        yield Diagnosis("registry", Verdict.WRONG, error.message, error.advice)
        return
    yield pull_secrets.told(ours.registry)
    try:
        yield from pull_secrets.given(cloud, ours.registry)
    except DeployerError as error:
        yield Diagnosis("pull secrets", Verdict.WARNING, error.message, error.advice)
    try:
        count = len(ours.tags())
    except DeployerError as error:
        yield Diagnosis("registry", Verdict.WRONG, error.message, error.advice)
        return
    if count:
        yield Diagnosis("registry", Verdict.OK, f"{ours.uri} answers, {count} tags")
    else:
        advice = "deploy build-and-push-container -t kubernetes makes the scoring image there, without docker"
        yield Diagnosis("registry", Verdict.WARNING, f"{ours.uri} answers, and has no image yet", advice)
