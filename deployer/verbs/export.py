"""A deployment as files, for another tool to apply: resolved and judged as a create is, without looking at what is there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deployer.core.capabilities import SupportsExport, SupportsPackages
from deployer.core.compatibility import fit
from deployer.core.plan import Plan
from deployer.core.schema import SchemaChanges
from deployer.core.target import Exported, Intent, Target
from deployer.errors import ConfigInvalid
from deployer.events import Report
from deployer.verbs.lifecycle import Prospect, Wish, judge, requested, resolved


def export(target: Target[Any, Any], cloud: Any, wish: Wish, form: str | None, report: Report) -> Exported:
    """The files; packages and image are made where the registry lacks them, and nothing else is.

    Raises:
        ConfigInvalid: the target can't, or not in this form.
        EnvironmentMisfit, ModelInvalid: what a create would refuse.
    """
    if not isinstance(target, SupportsExport):
        raise ConfigInvalid(f"{target.scheme} can't write deployments as files", advice="deploy targets shows which target can do what")
    forms = target.export_forms()
    if form is not None and form not in forms:
        raise ConfigInvalid(f"{target.scheme} has no files of the form {form!r}", advice=f"--format takes {', '.join(forms)}")
    found = _prospect(target, cloud, wish)
    report(resolved(found, ""))
    judge(found, wish, report)
    if found.spec.image.planned is not None and isinstance(target, SupportsPackages):
        target.make_packages(found.spec.model, cloud, report)
        found = _prospect(target, cloud, wish)
    return target.export(found.spec, form or forms[0], cloud, report)


def _prospect(target: Target[Any, Any], cloud: Any, wish: Wish) -> Prospect[Any, Any]:
    request = requested(target, replace(wish, intent=Intent.CREATE), None)
    spec = target.resolve(request, None, cloud)
    return Prospect(Intent.CREATE, None, spec, Plan(), fit(spec.model.facts, spec.image, spec.record.packages), SchemaChanges())
