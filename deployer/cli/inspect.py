"""get, plan, diff, logs, doctor: what changes nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from deployer.cli import options
from deployer.cli.choices import ChosenTarget, Many, ModelChoice, Rollout
from deployer.cli.deploy import compare
from deployer.cli.output import TEXT, dump, emit, pass_on, say, width_of
from deployer.cli.session import Session
from deployer.core.state import short
from deployer.core.target import Diagnosis, Intent, LogLine, Verdict
from deployer.errors import ConfigInvalid, DeployerError
from deployer.words import rfc3339, shortened, size, table
from deployer_scoring.printable import one_line

if TYPE_CHECKING:
    from deployer.cli.explained import OptionRow
    from deployer.verbs.deployment import Deployment, GenerationFacts

CHANGES = 8
WRONG = 2
_apply = click.option("--apply", is_flag=True, help="As apply would: what is given is the whole of it. Default with a file (-f).")
_DOCTOR_SIGNS = {Verdict.OK: "✓", Verdict.WARNING: "!", Verdict.WRONG: "✗"}


@click.command()
@options.name
@options.place
@options.endpoint
@click.option("--explain-config", is_flag=True, help="Where each option's value comes from.")
@click.option("--credentials", is_flag=True, help="The keys or the token that callers bring, and nothing else. They are secret.")
@options.output()
@options.run
def get(
    *, session: Session, place: ChosenTarget, name: str | None, endpoint: str | None, explain_config: bool, credentials: bool, output: str | None
) -> None:
    """Show one deployment, its history and its options; with -o yaml or json the cloud's own description too."""
    from deployer.cli.explained import explained

    client = place.client()
    if credentials:
        found = client.credentials(client.name_for(name, None), endpoint)
        emit(output or "", dict(found), [*found.values()], lambda: "\n".join(f"{key}: {value}" for key, value in found.items()))
        return
    deployment = client.get_deployment(client.name_for(name, None), endpoint)
    if explain_config:
        rows = explained(deployment, client.settings(), client.target.config)
        text = table([("OPTION", "VALUE", "FROM"), *((row.option, row.value, row.origin) for row in rows)], width=width_of(output or ""))
        emit(output or "", [asdict(row) for row in rows], [row.option for row in rows], lambda: text)
        return
    form = output or ""
    rows = explained(deployment, client.settings(), client.target.config) if form in TEXT else []
    emit(form, deployment.document(), [deployment.name], lambda: "\n".join(map(one_line, description(deployment, rows, width_of(form)))))


@click.command()
@options.name
@options.place
@options.endpoint
@options.output()
@options.run
def history(*, session: Session, place: ChosenTarget, name: str | None, endpoint: str | None, output: str | None) -> None:
    """Show who changed a deployment, when, to what, how it ended and how long it served: the last fifty runs, newest first."""
    from deployer.verbs.traffic import HEADINGS

    client = place.client()
    found = client.history(client.name_for(name, None), endpoint)
    form = output or ""
    emit(form, found.documents(), [each.entry.generation for each in found], lambda: table([HEADINGS, *found.rows()], width=width_of(form)))


@click.command()
@options.name
@options.place
@options.model
@options.rollout
@options.many
@_apply
@click.option("--exit-code", is_flag=True, help="Exit with 8 where there are changes.")
@options.output("table", "json", "yaml", "jsonl")
@options.run
def plan(**given: Any) -> None:
    """Show what the command that follows would do, and do nothing.

    That is an update where the deployment is there (it needs no -m: what isn't named stays), a create where it isn't; with --apply, and with a
    file (-f), an apply. What that command would refuse ends this one as it would end that: the same words and exit code.
    """
    _compare(steps=True, **given)


@click.command()
@options.name
@options.place
@options.model
@options.rollout
@options.many
@_apply
@click.option("--exit-code", is_flag=True, help="Exit with 8 where there are differences.")
@options.output("table", "json", "yaml", "jsonl")
@options.run
def diff(**given: Any) -> None:
    """Show what differs between a deployment and what is asked for; without a model, what somebody else changed since."""
    _compare(steps=False, **given)


@click.command(cls=options.Following)
@options.name
@options.place
@options.endpoint
@options.follow
@click.option("--tail", type=click.IntRange(min=0), default=0, metavar="N", help="Only the last N lines (0: all).")
@click.option("--timestamps", is_flag=True, help="Begin each line with its time and source.")
@options.output("table", "jsonl")
@options.run
def logs(
    *,
    session: Session,
    place: ChosenTarget,
    name: str | None,
    endpoint: str | None,
    follow: bool,
    tail: int,
    timestamps: bool,
    output: str | None,
) -> None:
    """Print the container's log, oldest line first."""
    client = place.client()
    lines = client.logs(client.name_for(name, None), endpoint, follow=follow, tail=tail)
    try:
        for line in lines:
            if output == "jsonl":
                click.echo(dump(_line_document(line), "jsonl", secrets=True))
            else:
                pass_on(_line_text(line, timestamps))
    except KeyboardInterrupt:
        if not follow:
            raise
    finally:
        close = getattr(lines, "close", None)
        if close is not None:
            close()


@click.command()
@options.place
@options.output("table", "json", "yaml", "jsonl")
@click.option("--try", "trial", is_flag=True, help="Try, too, what can't be looked at: on Kubernetes by a pod that pulls the image, and is removed.")
@options.run
@click.pass_context
def doctor(ctx: click.Context, session: Session, place: ChosenTarget, output: str | None, *, trial: bool) -> None:
    """Look at all that a deployment would need: this machine, and with -t the target; exits with 2 where something is wrong."""
    found = []
    for finding in _findings(place, trial=trial):
        found.append(finding)
        if output in (None, "table"):
            say(_finding_text(finding))
        elif output == "jsonl":
            click.echo(dump(asdict(finding), "jsonl"))
    if output in ("json", "yaml"):
        emit(output, [asdict(each) for each in found], [], str)
    if any(each.verdict is Verdict.WRONG for each in found):
        ctx.exit(WRONG)


def description(deployment: Deployment, rows: list[OptionRow], width: int | None = None) -> Iterator[str]:
    """One deployment in full; `rows` are its options with where each comes from."""
    yield f"{deployment.name} on {deployment.target}"
    yield f"Status      {deployment.status}" + (f": {deployment.reason}" if deployment.reason else "")
    current = next((each for each in deployment.history if each.generation == deployment.generation), None) or next(iter(deployment.history), None)
    if current:
        yield f"Model       {_model(current)}"
        yield f"Image       {current.image}"
    if deployment.generation:
        yield f"Generation  {deployment.generation}"
    if deployment.incoming:
        yield f"Incoming    {deployment.incoming}"
    if len(deployment.traffic) > 1:
        yield "Traffic     " + ", ".join(f"{generation} {percent} %" for generation, percent in deployment.traffic.items())
    if deployment.url:
        yield f"URL         {deployment.url}"
    if deployment.page:
        yield f"Page        {deployment.page}"
    inner = width and width - 2
    yield from _options(deployment, rows, inner)
    yield from _history(deployment, inner)


def _model(generation: GenerationFacts) -> str:
    facts = (
        f"version {generation.version}" if generation.version and not generation.model.endswith(f"/{generation.version}") else "",
        generation.framework,
        f"Python {generation.python_version}" if generation.python_version else "",
        size(generation.size) if generation.size else "",
        f"sha256:{short(generation.digest)}",
        f"run {generation.run_id}" if generation.run_id else "",
    )
    return f"{generation.model}  {', '.join(fact for fact in facts if fact)}"


def _options(deployment: Deployment, rows: list[OptionRow], width: int | None) -> Iterator[str]:
    """Those of the record that are set."""
    known = [(row.option, row.value, row.origin) for row in rows if row.value and row.option in deployment.options]
    if known:
        yield "Options"
        yield from (f"  {line}" for line in table(known, width=width).splitlines())


def _history(deployment: Deployment, width: int | None) -> Iterator[str]:
    if not deployment.history:
        return
    rows = []
    for each in deployment.history:
        serves = f"{each.percent} %" if each.percent else "incoming" if each.generation == deployment.incoming else ""
        rows.append((each.generation, shortened(each.model), serves, each.time, each.author))
    yield "History"
    yield from (f"  {line}" for line in table(rows, width=width).splitlines())


def _compare(
    *,
    steps: bool,
    session: Session,
    place: ChosenTarget,
    rollout: Rollout,
    name: str | None,
    model: ModelChoice,
    many: Many,
    apply: bool,
    exit_code: bool,
    output: str | None,
) -> None:
    intent = Intent.APPLY if apply else None
    found = compare(session, place, many, rollout=rollout, name=name, model=model, intent=intent, steps=steps)
    changed = [each for each in found if (not each.empty if steps else each.differs)]
    if exit_code and changed:
        click.get_current_context().exit(CHANGES)


def _findings(place: ChosenTarget, *, trial: bool) -> Iterator[Diagnosis]:
    """This machine's, then the target's; a target that can't even be reached is a finding as well."""
    from deployer.cli.doctor import machine_findings

    yield from machine_findings()
    if place.target or place.file:
        try:
            yield from place.client().doctor(trial=trial)
        except ConfigInvalid:
            raise
        except DeployerError as error:
            yield Diagnosis(shlex.join(place.targets()), Verdict.WRONG, " ".join(part for part in (error.message, error.why) if part), error.advice)


def _finding_text(finding: Diagnosis) -> str:
    text = one_line(f"  {_DOCTOR_SIGNS[finding.verdict]} {finding.subject:<16}  {finding.detail}".rstrip())
    return text + (f"\n      {one_line(finding.advice)}" if finding.advice and finding.verdict is not Verdict.OK else "")


def _line_text(line: LogLine, timestamps: bool) -> str:
    if not timestamps:
        return line.text
    return " ".join(part for part in (rfc3339(line.time) if line.time else "", line.source, line.text) if part)


def _line_document(line: LogLine) -> dict[str, Any]:
    return {"time": rfc3339(line.time) if line.time else None, "source": line.source, "text": line.text}
