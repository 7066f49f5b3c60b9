"""A cluster for all modules here, and the kinds that it lacks; each starts what it needs when it is first asked for."""

from __future__ import annotations

from tests.e2e.kubernetes.gateways import installed_kinds
from tests.kubernetes import cluster, cluster_image, cluster_repository, namespace

__all__ = ["cluster", "cluster_image", "cluster_repository", "installed_kinds", "namespace"]
