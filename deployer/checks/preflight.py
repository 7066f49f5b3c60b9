"""The check before an upload: what can't work stops it, what may not is told."""

from __future__ import annotations

from deployer.checks.check import check_model
from deployer.checks.finding import Finding, Severity
from deployer.checks.surroundings import of_image, of_requirements
from deployer.core.state import Image, PackagedModel
from deployer.errors import ModelInvalid
from deployer.events import Noticed, Report


def look_before_upload(model: PackagedModel, image: Image, packages: str, report: Report) -> None:
    """Hold a model against the image that will serve it; a model that isn't on this machine was uploaded before.

    Args:
        packages: one of `deployer.core.compatibility.MODES`. "image" takes the image as it is, so that nothing stops there; "at-start" installs
            what is required.

    Raises:
        ModelInvalid: it can't work; all that was found.
    """
    if model.path is None:
        return
    by_image = packages != "at-start" and image.packages is not None
    there = of_image(image) if by_image else of_requirements(model.facts.requirements, model.facts.python_version)
    checked = check_model(model, there=there)
    if checked.errors and packages != "image":
        first, *others = checked.errors
        raise ModelInvalid(
            f"{model.facts.uri} can't be served: {_sentence(first)}",
            why="; ".join(map(_sentence, others)),
            advice=first.advice,
        )
    for each in checked.findings:
        if each.severity is not Severity.NOTE:
            report(Noticed(level="warning", message=_sentence(each)))


def _sentence(finding: Finding) -> str:
    return f"{finding.file}: {finding.what}" if finding.file else finding.what
