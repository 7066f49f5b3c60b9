"""What is there, and what a removal would take: verbs that change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from deployer.core.plan import Plan
from deployer.core.target import Diagnosis, LogLine
from deployer.verbs import lifecycle
from deployer.verbs.deployment import Deployment, Deployments
from deployer.verbs.optional import Config, OptionalVerbs


class ReadingVerbs(OptionalVerbs):
    """Part of the client."""

    def get_deployment(self, name: str, endpoint: str | None = None) -> Deployment:
        """One deployment.

        Raises:
            DeploymentNotFound: there is none.
        """
        return Deployment.observed(lifecycle.present(self.target, self._reached(endpoint), self.target.check_name(name)), self.uri)

    def list_deployments(self, endpoint: str | None = None, *, selector: str | None = None, all_namespaces: bool = False) -> Deployments:
        """All deployments of ours on this target, or behind one endpoint of it, by name.

        Args:
            selector: those alone whose labels (on Kubernetes) or tags (elsewhere) are so: `team=ml,env!=test`.
            all_namespaces: of the whole cluster, each with the `target` that it is reached under.

        Raises:
            ConfigInvalid: the selector can't be read; the target has no namespaces.
        """
        found = self._listed(endpoint, selector, all_namespaces=all_namespaces)
        return Deployments(sorted((Deployment.summarized(each, self.uri) for each in found), key=lambda each: (each.name, each.target)))

    def logs(self, name: str, endpoint: str | None = None, *, follow: bool = False, tail: int = 0) -> Iterator[LogLine]:
        """The container's lines, oldest first: the last `tail` (0: all), then, if `follow`, those that come, until the iterator is closed."""
        return self.target.logs(self.target.check_name(name), self._reached(endpoint), follow=follow, tail=tail)

    def doctor(self, *, trial: bool = False) -> Iterator[Diagnosis]:
        """All that a deployment here would need, looked at one by one; `trial`: and what takes making something small, which is removed.

        Raises:
            ConfigInvalid: the target has nothing to try.
        """
        tried = self._trial() if trial else iter(())
        return chain(self.target.doctor(self._cloud()), tried)

    def plan_delete(self, name: str, config: Config = None, endpoint: str | None = None) -> tuple[str, ...]:
        """What `delete_deployment` would remove; changes nothing."""
        options = self._parse(self._settings(config))
        return removed_by(lifecycle.prospect_delete(self.target, self._reached(endpoint, options), self.target.check_name(name), options))

    def plan_prune(self, name: str, config: Config = None, endpoint: str | None = None) -> tuple[str, ...]:
        """What `prune` would remove; changes nothing.

        Raises:
            DeploymentNotFound: there is none.
        """
        options = self._parse(self._settings(config))
        return removed_by(lifecycle.prospect_prune(self.target, self._reached(endpoint, options), self.target.check_name(name), options))


def removed_by(plan: Plan[Any]) -> tuple[str, ...]:
    """What a plan takes away, as it is told."""
    return tuple(str(resource) for resource in sorted(plan.removes))
