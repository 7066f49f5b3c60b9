"""What a deployment's files are written from: resolved and judged as a create is, without looking at what is there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deployer.core.capabilities import SupportsPackages, accelerator_of
from deployer.core.compatibility import fit
from deployer.core.plan import Plan
from deployer.core.schema import SchemaChanges
from deployer.core.target import DeploymentSpec, Intent, Target
from deployer.events import Noticed, Report
from deployer.verbs.lifecycle import Prospect, Wish, judge, requested, resolved


def spec_of(target: Target[Any, Any], cloud: Any, wish: Wish, report: Report) -> DeploymentSpec[Any]:
    """The spec; packages are made where the registry lacks them, and nothing else is.

    Raises:
        ConfigInvalid, EnvironmentMisfit, ModelInvalid: what a create would refuse.
    """
    found = _prospect(target, cloud, wish)
    report(resolved(found, ""))
    judge(found, wish, report)
    for warning in found.fit.warnings:
        report(Noticed(level="warning", message=warning))
    if found.spec.image.planned is not None and isinstance(target, SupportsPackages):
        target.make_packages(found.spec, cloud, report)
        found = _prospect(target, cloud, wish)
    return found.spec


def _prospect(target: Target[Any, Any], cloud: Any, wish: Wish) -> Prospect[Any, Any]:
    request = replace(requested(target, replace(wish, intent=Intent.CREATE), None), exported=True)
    spec = target.resolve(request, None, cloud)
    verdict = fit(spec.model.facts, spec.image, spec.record.packages, accelerator_of(target, spec.config))
    return Prospect(Intent.CREATE, None, spec, Plan(), verdict, SchemaChanges())
