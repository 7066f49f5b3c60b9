"""What verbs and options take of RBAC, and what of it is missing: asked of the API server's own authorizer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from deployer.core.target import Diagnosis, Verdict
from deployer.errors import DeployerError
from deployer_targets.kubernetes import attachments, delivery, taints
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.kinds import KINDS

_CHANGES = ("get", "list", "create", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Right:
    """To do something with a resource: pods, pods/log, ..."""

    group: str
    resource: str
    verbs: tuple[str, ...]

    @property
    def in_namespace(self) -> bool:
        return self.resource != KINDS["Node"].plural


@dataclass(frozen=True, slots=True)
class RoleOfOption:
    """What is for some deployments alone.

    Attributes:
        what: takes these rights, and `role` has them.
        otherwise: what is done without; "" where nothing is.
    """

    what: str
    role: str
    rights: tuple[Right, ...]
    otherwise: str = ""


NEEDED = (
    Right("apps", "deployments", _CHANGES),
    Right("", "services", _CHANGES),
    Right("", "configmaps", _CHANGES),
    Right("", "secrets", _CHANGES),
    Right("", "pods", ("list",)),
    Right("", "events", ("list",)),
    Right("", "pods/log", ("get",)),
    Right("", "pods/proxy", ("get",)),
    Right("", "services/proxy", ("create",)),
)
"""What all verbs together take of any deployment. docs/examples/kubernetes-role.yaml says the same, and what options take."""
_TRIES = Right("", "pods", ("create", "get", "delete"))
IN_A_MESH = RoleOfOption(
    "deploy predict in a mesh with strict mTLS",
    "predict-in-a-mesh",
    (Right("", "services", ("get",)), Right("", "pods", ("list",)), Right("", "pods/portforward", ("get", "create"))),
    "it is asked by the URL of its ingress or route",
)


def findings(cloud: Kube) -> Iterator[Diagnosis]:
    """Whether all is allowed that the verbs take, and the options that are named. None raises."""
    try:
        if lacking := missing(cloud, NEEDED):
            yield Diagnosis("rights", Verdict.WRONG, f"not allowed: {', '.join(lacking)}", "docs/kubernetes.md has the Role that is needed")
        else:
            yield Diagnosis("rights", Verdict.OK, "all that the verbs take is allowed")
        for each in of_options(cloud.config):
            if lacking := missing(cloud, each.rights):
                yield told(each, lacking)
    except DeployerError as error:
        yield Diagnosis("rights", Verdict.WARNING, error.message, error.advice)


def told(needs: RoleOfOption, lacking: Iterable[str]) -> Diagnosis:
    """That something is missing for it."""
    detail = f"not allowed, for {needs.what}: {', '.join(lacking)}" + (f"; without, {needs.otherwise}" if needs.otherwise else "")
    return Diagnosis(
        "rights", Verdict.WARNING if needs.otherwise else Verdict.WRONG, detail, f"docs/kubernetes/{needs.role}.yaml has the Role for it"
    )


def of_options(config: KubernetesConfig) -> Iterator[RoleOfOption]:
    """What these options take beside. Pure."""
    for kind in attachments.kinds(config):
        if not KINDS[kind].everywhere:
            yield RoleOfOption(f"the {kind} that is asked for", "deploy", (Right(KINDS[kind].group, KINDS[kind].plural, _CHANGES),))
    if delivery.mounted(config):
        yield RoleOfOption("model_delivery=image_volume", "image-volume", (_TRIES,))
    if delivery.filled(config):
        yield RoleOfOption("a volume that is made", "volume", (Right("", "persistentvolumeclaims", _CHANGES), _TRIES))
    if asked := taints.devices(config):
        known = ", ".join(map(taints.written, taints.well_known(asked)))
        yield RoleOfOption(f"the taints of nodes with {', '.join(asked)}", "nodes", (Right("", "nodes", ("list",)),), f"pods tolerate {known} alone")


def missing(cloud: Kube, rights: Iterable[Right]) -> list[str]:
    """Those that who asks hasn't got: "list pods"."""
    return [f"{verb} {right.resource}" for right in rights for verb in right.verbs if not _allowed(cloud, right, verb)]


def _allowed(cloud: Kube, right: Right, verb: str) -> bool:
    main, _, sub = right.resource.partition("/")
    asked = {"namespace": cloud.namespace if right.in_namespace else "", "verb": verb, "group": right.group, "resource": main, "subresource": sub}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": asked}}
    path, headers = "apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"Content-Type": "application/json"}
    answer = cloud.connection.call("review access", "POST", path, body=json.dumps(review).encode(), headers=headers)
    return bool(answer["status"].get("allowed"))
