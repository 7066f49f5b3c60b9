"""models check."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from deployer.cli import options
from deployer.cli.choices import ChosenTarget, ModelChoice
from deployer.cli.output import emit
from deployer.cli.progress import reporting
from deployer.cli.session import Session
from deployer.core.capabilities import SupportsSizeLimits
from deployer.core.state import PackagedModel, short
from deployer.errors import ConfigInvalid, ModelInvalid
from deployer.words import size, table
from deployer_scoring.printable import one_line

if TYPE_CHECKING:
    from deployer.checks import Checked, Finding, Surroundings
    from deployer.checks.check import Limit

INDEX_SECONDS = 60.0
ERRORS = ModelInvalid.exit_code
_SIGNS = {"error": "✗", "warning": "!", "note": "·"}
_PLAIN = {"error": "ERROR  ", "warning": "warning", "note": "note   "}


@click.command()
@click.argument("model_argument", metavar="[MODEL]", required=False)
@options.model
@options.place
@click.option("--python", metavar="MINOR", help="Hold it against this Python, 3.12; default: the one that it was saved with.")
@click.option("--image", metavar="IMAGE", help="Hold it against what this image has; default: against its own requirements.")
@click.option("--index", is_flag=True, help="Ask the package index, as uv has it configured, whether the requirements can be had.")
@click.option("--allow-build", is_flag=True, help="With --index: build packages that have no wheel, which runs their code.")
@click.option("--strict", is_flag=True, help="Take pickles that aren't known to be harmless for errors.")
@options.output("table", "json", "yaml")
@options.run
def check(
    *,
    session: Session,
    model_argument: str | None,
    model: ModelChoice,
    place: ChosenTarget,
    python: str | None,
    image: str | None,
    index: bool,
    allow_build: bool,
    strict: bool,
    output: str | None,
) -> None:
    """Say what a model needs and what would break where it is served. Nothing of it is run or imported, nor of its packages.

    \b
    Looked at: what its pickles import and call, versions of Python, numpy, pandas and scikit-learn that don't go together, its code, its
    requirements, its signature and example; with -t its size. The exit code is 2 where there are errors, else 0.
    """
    from deployer.checks import check_model

    uri = model_argument or model.named(place.file, advice="deploy models check MODEL")
    with reporting(session, uri, quiet=output is not None) as report:
        found = model.fetched(uri, report)
    there, unresolved = _surroundings(found, python, image, index, allow_build)
    checked = check_model(found, there=there, limit=_limit(place), strict=strict)
    if unresolved:
        checked = replace(checked, findings=(unresolved, *checked.findings))
    emit(output or "", checked.document, [uri], lambda: text(checked))
    if checked.errors:
        raise SystemExit(ERRORS)


def text(checked: Checked) -> str:
    """Facts, findings, and what they come to."""
    known = table([row for row in _rows(checked) if row[1]])
    return "\n\n".join(part for part in (known, "\n".join(map(_lines, checked.findings)), _verdict(checked)) if part)


def _rows(checked: Checked) -> list[tuple[str, str]]:
    facts = checked.facts
    return [
        ("Model", facts.uri),
        ("Digest", f"sha256:{short(facts.digest)}"),
        ("Size", size(facts.size)),
        ("Framework", facts.framework),
        ("Python", facts.python_version),
        ("Version", facts.version),
        ("Run", facts.run_id),
        ("Requires", ", ".join(facts.requirements)),
        ("Imports", ", ".join(checked.imports)),
        ("Signature", "yes" if facts.signature else "none: any input is passed on as it is"),
    ]


def _lines(finding: Finding) -> str:
    place = f"{finding.file}: " if finding.file else ""
    said = one_line(f"{place}{finding.what}")
    return f"  {_sign(finding.severity)} {said}" + (f"\n      {one_line(finding.advice)}" if finding.advice else "")


def _sign(severity: str) -> str:
    try:
        _SIGNS[severity].encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return _PLAIN[severity]
    return _SIGNS[severity]


def _verdict(checked: Checked) -> str:
    counts = {kind: sum(1 for each in checked.findings if each.severity == kind) for kind in ("error", "warning")}
    said = [f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items() if count]
    return f"{', '.join(said)}, held against {checked.against}." if said else f"Nothing was found that would break, held against {checked.against}."


def _surroundings(model: PackagedModel, python: str | None, image: str | None, index: bool, build: bool) -> tuple[Surroundings, Finding | None]:
    """The environment that is meant, and why the index has none where that was asked for."""
    from deployer.checks import of_image, of_requirements
    from deployer.checks.api import described

    facts = model.facts
    wanted = python or facts.python_version
    if build and not index:
        raise ConfigInvalid("--allow-build says how --index may find out what would be installed", advice="add --index, or leave --allow-build out")
    if image and (index or python):
        raise ConfigInvalid("--image says what is there, --index and --python ask what would be", advice="leave one of them out")
    if image:
        return of_image(described(image)), None
    if index:
        from deployer_images.resolved import resolved

        return resolved(model, wanted, build=build, timeout_seconds=INDEX_SECONDS)
    return of_requirements(facts.requirements, wanted), None


def _limit(place: ChosenTarget) -> Limit | None:
    """What the target that is named says of a model's size, where it says anything."""
    if not place.target and not place.file:
        return None
    target, config = place.target_and_config()
    if not isinstance(target, SupportsSizeLimits):
        return None
    return lambda facts: target.check_size(config, facts)
