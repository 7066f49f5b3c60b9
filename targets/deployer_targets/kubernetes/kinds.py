"""The kinds of objects that are dealt with, and where an API server has them. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """One kind.

    Attributes:
        versions: of its group that have it in the shape that is written here, the one to prefer first.
        comes_with: what has to be there in a cluster that lacks it; "" for what any cluster has.
        installed: it is defined by a CustomResourceDefinition, beside what Kubernetes has by itself.
        in_namespace: it is in a namespace, not the cluster's.
    """

    group: str
    versions: tuple[str, ...]
    plural: str
    comes_with: str = ""
    installed: bool = False
    in_namespace: bool = True

    @property
    def everywhere(self) -> bool:
        """Whether any cluster has it, in this version."""
        return self.group in ("", "apps")

    @property
    def served_as(self) -> tuple[str, ...]:
        """GROUP/VERSION, the one to prefer first."""
        return tuple(f"{self.group}/{version}" if self.group else version for version in self.versions)


KINDS = {
    "Service": ObjectKind("", ("v1",), "services"),
    "Secret": ObjectKind("", ("v1",), "secrets"),
    "ConfigMap": ObjectKind("", ("v1",), "configmaps"),
    "Pod": ObjectKind("", ("v1",), "pods"),
    "PersistentVolumeClaim": ObjectKind("", ("v1",), "persistentvolumeclaims"),
    "Event": ObjectKind("", ("v1",), "events"),
    "Node": ObjectKind("", ("v1",), "nodes", in_namespace=False),
    "Deployment": ObjectKind("apps", ("v1",), "deployments"),
    "HorizontalPodAutoscaler": ObjectKind("autoscaling", ("v2", "v2beta2"), "horizontalpodautoscalers", "Kubernetes 1.12 or newer"),
    "PodDisruptionBudget": ObjectKind("policy", ("v1", "v1beta1"), "poddisruptionbudgets", "Kubernetes 1.5 or newer"),
    "Ingress": ObjectKind("networking.k8s.io", ("v1",), "ingresses", "Kubernetes 1.19 or newer"),
    "NetworkPolicy": ObjectKind("networking.k8s.io", ("v1",), "networkpolicies", "Kubernetes 1.7 or newer"),
    "HTTPRoute": ObjectKind(
        "gateway.networking.k8s.io", ("v1", "v1beta1"), "httproutes", "the Gateway API, which a gateway's controller installs", True
    ),
    "PodMonitor": ObjectKind("monitoring.coreos.com", ("v1",), "podmonitors", "the Prometheus operator", True),
    "ServiceMonitor": ObjectKind("monitoring.coreos.com", ("v1",), "servicemonitors", "the Prometheus operator", True),
}
