"""All that a deploy needs of a cluster, looked at one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress

from deployer.core.target import Diagnosis, Verdict
from deployer.errors import DeployerError
from deployer_targets.kubernetes import images
from deployer_targets.kubernetes.client import Kube

NEEDED = (
    ("apps", "deployments", ("get", "list", "create", "patch", "delete")),
    ("", "services", ("get", "list", "create", "patch", "delete")),
    ("", "configmaps", ("get", "list", "create", "patch", "delete")),
    ("", "secrets", ("get", "list", "create", "patch", "delete")),
    ("", "pods", ("list",)),
    ("", "pods/log", ("get",)),
    ("", "pods/proxy", ("get",)),
    ("", "services/proxy", ("create",)),
)
"""What all verbs together take: API group, resource, verbs. docs/examples/kubernetes-role.yaml says the same."""


def findings(cloud: Kube) -> Iterator[Diagnosis]:
    """One line a subject; none raises."""
    try:
        version = cloud.connection.call("ask for the version", "GET", "version")
    except DeployerError as error:
        yield Diagnosis("cluster", Verdict.WRONG, f"{error.message} {error.why}".strip(), error.advice)
        return
    yield Diagnosis("cluster", Verdict.OK, f"{cloud.connection.context}, Kubernetes {version['gitVersion']}, namespace {cloud.namespace}")
    yield _namespace(cloud)
    yield _rights(cloud)
    yield from _quotas(cloud)
    yield _registry(cloud)


def _namespace(cloud: Kube) -> Diagnosis:
    try:
        found = cloud.connection.call("get the namespace", "GET", f"api/v1/namespaces/{cloud.namespace}")
    except DeployerError as error:
        if "not found" in error.message:
            return Diagnosis("namespace", Verdict.WRONG, f"there is no namespace {cloud.namespace}", f"kubectl create namespace {cloud.namespace}")
        return Diagnosis("namespace", Verdict.WARNING, error.message, error.advice)
    level = (found["metadata"].get("labels") or {}).get("pod-security.kubernetes.io/enforce", "")
    return Diagnosis("namespace", Verdict.OK, f"enforces Pod Security {level}, which ours keep" if level else "enforces no Pod Security standard")


def _rights(cloud: Kube) -> Diagnosis:
    missing = []
    for group, resource, verbs in NEEDED:
        main, _, sub = resource.partition("/")
        for verb in verbs:
            asked = {"namespace": cloud.namespace, "verb": verb, "group": group, "resource": main, "subresource": sub}
            review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": asked}}
            try:
                answer = cloud.connection.call(
                    "review access",
                    "POST",
                    "apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                    body=json.dumps(review).encode(),
                    headers={"Content-Type": "application/json"},
                )
            except DeployerError as error:
                return Diagnosis("rights", Verdict.WARNING, error.message, error.advice)
            if not answer["status"].get("allowed"):
                missing.append(f"{verb} {resource}")
    if missing:
        return Diagnosis("rights", Verdict.WRONG, f"not allowed: {', '.join(missing)}", "docs/kubernetes.md has the Role that is needed")
    return Diagnosis("rights", Verdict.OK, "all that the verbs take is allowed")


def _quotas(cloud: Kube) -> Iterator[Diagnosis]:
    with suppress(DeployerError):
        for quota in cloud.connection.call("list quotas", "GET", f"api/v1/namespaces/{cloud.namespace}/resourcequotas")["items"] or ():
            hard, used = (quota.get("status") or {}).get("hard") or {}, (quota.get("status") or {}).get("used") or {}
            told = ", ".join(f"{used.get(each, '0')} of {most} {each}" for each, most in sorted(hard.items()))
            yield Diagnosis(f"quota {quota['metadata']['name']}", Verdict.OK, f"used: {told}")


def _registry(cloud: Kube) -> Diagnosis:
    try:
        ours = images.repository(cloud.config)
        count = len(ours.tags())
    except DeployerError as error:
        return Diagnosis("registry", Verdict.WRONG, error.message, error.advice)
    if not count:
        advice = "deploy build-and-push-container -t kubernetes makes the scoring image there, without docker"
        return Diagnosis("registry", Verdict.WARNING, f"{ours.uri} answers, and has no image yet", advice)
    return Diagnosis("registry", Verdict.OK, f"{ours.uri} answers, {count} tags")
