"""create, update, apply, rollback."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from deployer.cli import options
from deployer.cli.choices import ChosenTarget, Many, ModelChoice, Rollout
from deployer.cli.many import Words, run_many
from deployer.cli.output import emit
from deployer.cli.progress import reporting
from deployer.cli.session import Session
from deployer.core.state import Status
from deployer.core.target import Intent
from deployer.errors import ConfigInvalid
from deployer.events import Event, Report, Resolved, silent
from deployer.verbs.many import Task
from deployer.verbs.moves import Direction, Move

if TYPE_CHECKING:
    from deployer.client import DeployClient
    from deployer.verbs.changes import Changes
    from deployer.verbs.deployment import Deployment


@click.command()
@options.name
@options.place
@options.model
@options.rollout
@options.many
@options.dry_run("done")
@options.output(*options.OF_CHANGES)
@options.quiet
@options.run
def create(**given: Any) -> None:
    """Make a deployment of a model. Where exactly this serves already, there is nothing to do."""
    _deploy(Intent.CREATE, **given)


@click.command()
@options.name
@options.place
@options.model
@options.rollout
@click.option("--promote", is_flag=True, help="Go on with the rollout that is under way: to its next step, or to its end.")
@click.option("--full", is_flag=True, help="With --promote: to the end at once, past all steps, pauses and checks that are left.")
@click.option("--abort", is_flag=True, help="Give the rollout up that is under way: what was in service has all of the traffic again.")
@options.many
@options.dry_run("done")
@options.output(*options.OF_CHANGES)
@options.quiet
@options.run
def update(*, promote: bool, full: bool, abort: bool, **given: Any) -> None:
    """Change a deployment; what isn't named stays. The generation in service answers until the new one does."""
    if promote and abort:
        raise ConfigInvalid("--promote goes on with a rollout, --abort gives it up", advice="leave one of them out")
    if full and not promote:
        raise ConfigInvalid("--full says how far --promote goes", advice="add --promote, or leave --full out")
    if not (promote or abort):
        _deploy(Intent.UPDATE, **given)
        return
    if given["model"].uri:
        raise ConfigInvalid("--promote and --abort are for the generations that are there: no model goes with them", advice="leave -m out")
    flags = {"endpoint": given["rollout"].endpoint, **{key: given[key] for key in ("session", "place", "name", "dry_run", "output", "quiet")}}
    _move(Move(Direction.PROMOTE if promote else Direction.ABORT, full=full), **flags)


@click.command()
@options.name
@options.place
@options.endpoint
@click.option("--to", metavar="GENERATION", help="The generation to go back to; default: the one before that in service.")
@options.dry_run("done")
@options.output(*options.OF_CHANGES)
@options.quiet
@options.run
def rollback(*, to: str | None, **given: Any) -> None:
    """Bring back a generation that is there still: no upload, no build, all of the traffic at once."""
    _move(Move(Direction.ROLLBACK, to), **given)


@click.command()
@options.name
@options.place
@options.model
@options.rollout
@options.many
@options.dry_run("done")
@options.output(*options.OF_CHANGES)
@options.quiet
@options.run
def apply(**given: Any) -> None:
    """Create or update; what is given is the whole of it.

    Files (-f) may have several deployments, which go on side by side: one that fails stops no other, and -n picks some. The targets of one follow
    each other, as long as all goes well.
    """
    _deploy(Intent.APPLY, **given)


def _move(
    move: Move,
    *,
    session: Session,
    place: ChosenTarget,
    name: str | None,
    endpoint: str | None,
    dry_run: bool,
    output: str | None,
    quiet: bool,
) -> None:
    client = place.client()
    wanted = client.name_for(name, None)
    if dry_run:
        show_changes(session, client.plan_move(move, wanted, endpoint=endpoint))
        return
    with reporting(session, str(client.uri), quiet=quiet) as report:
        seen = _Seen(report)
        client.on_event = seen
        match move.direction:
            case Direction.PROMOTE:
                done = client.promote(wanted, endpoint=endpoint, full=move.full)
            case Direction.ABORT:
                done = client.abort(wanted, endpoint=endpoint)
            case _:
                done = client.rollback(wanted, move.to, endpoint=endpoint)
    document = {"event": "deployed", **done.document()} if output == "jsonl" else done.document()
    emit("name" if quiet else output or "", document, [done.name], lambda: closing(done, seen.resolved))


def _deploy(
    intent: Intent,
    *,
    session: Session,
    place: ChosenTarget,
    rollout: Rollout,
    name: str | None,
    model: ModelChoice,
    many: Many,
    dry_run: bool,
    output: str | None,
    quiet: bool,
) -> None:
    places = place.each()
    refuse_one_model_for_several(places, model)
    if intent is Intent.CREATE:
        for each in places:
            model.named(each.file, advice="name it: -m MODEL (a path, s3:, runs:/, models:/name/version, ...)")
    if dry_run:
        compare(session, place, many, rollout=rollout, name=name, model=model, intent=intent)
        return
    chains = [[_task(intent, partial(each.client_of, target, models=model), rollout, name, model) for target in each.targets()] for each in places]
    if sum(map(len, chains)) > 1:
        run_many(session, chains, _DONE, many.behind(rollout.endpoint), quiet=quiet)
        return
    ((task,),) = chains
    with reporting(session, task.target, quiet=quiet) as report:
        done = task.run(report)
    document = {"event": "deployed", **done.deployment.document()} if output == "jsonl" else done.deployment.document()
    emit("name" if quiet else output or "", document, [done.deployment.name], lambda: closing(done.deployment, done.resolved))


@dataclass(frozen=True, slots=True)
class _Done:
    """A deployment as it is now, and what was resolved on the way."""

    deployment: Deployment
    resolved: Resolved | None

    def said(self) -> tuple[str, str]:
        """What was done in a word, and the generation that it is about."""
        generation = self.resolved.generation if self.resolved else self.deployment.generation
        if self.resolved is not None and not self.resolved.changes:
            return "unchanged", generation
        if self.deployment.status is not Status.READY:
            return str(self.deployment.status), generation
        return "updated" if self.resolved is not None and self.resolved.replaces else "created", generation


_DONE: Words[_Done] = Words("deployed", lambda done: done.deployment.document(), _Done.said)


def _task(intent: Intent, client_of: Callable[..., DeployClient], rollout: Rollout, name: str | None, model: ModelChoice) -> Task[_Done]:
    """What is to be done for one deployment. Its connection lives as long as it is under way.

    Raises:
        ConfigInvalid: its name or an option is none.
    """
    client = client_of()
    client.options()

    def run(report: Report) -> _Done:
        seen = _Seen(report)
        return _Done(_changed(client_of(on_event=seen), intent, rollout, name, model), seen.resolved)

    return Task(client.name_for(name, model.uri), str(client.uri), run)


def _changed(client: DeployClient, intent: Intent, rollout: Rollout, name: str | None, model: ModelChoice) -> Deployment:
    shared: dict[str, Any] = rollout.shared
    if intent is Intent.CREATE:
        return client.create_deployment(name, model.uri, model.flavor, **shared)
    shared["allow_schema_change"] = rollout.allow_schema_change
    if intent is Intent.UPDATE:
        return client.update_deployment(name, model.uri, model.flavor, **shared)
    deployment: Deployment = client.apply(name, model.uri, model.flavor, **shared)
    return deployment


class _Seen:
    """Passes events on, and keeps what was resolved."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.resolved: Resolved | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Resolved):
            self.resolved = event
        self.report(event)


def closing(deployment: Deployment, resolved: Resolved | None) -> str:
    """What is so now, and what to do next."""
    where = f"-t {shlex.quote(deployment.target)} -n {deployment.name}" + (f" --endpoint {deployment.endpoint}" if deployment.endpoint else "")
    if resolved is not None and not resolved.changes:
        return f"{deployment.name} is as asked for on {deployment.target}, generation {resolved.generation}: nothing to do."
    if deployment.status is Status.PAUSED and len(deployment.traffic) > 1:
        shares = ", ".join(f"{generation} {percent} %" for generation, percent in deployment.traffic.items())
        return "\n".join(
            (
                f"{deployment.name} is paused on {deployment.target}: {shares}.",
                f"  deploy update {where} --promote   goes on",
                f"  deploy update {where} --abort     goes back",
            )
        )
    if deployment.status is not Status.READY:
        generation = resolved.generation if resolved else deployment.incoming
        return f"{deployment.name} is {deployment.status} on {deployment.target}, generation {generation}.\n  deploy get {where}"
    return "\n".join(
        (
            f"{deployment.name} is ready on {deployment.target}, generation {deployment.generation}.",
            f"  deploy predict {where} -i example.json",
            f"  deploy logs    {where} -F",
            *([f"  {deployment.page} is a page to try it"] if deployment.page else []),
        )
    )


def refuse_one_model_for_several(places: Sequence[ChosenTarget], model: ModelChoice) -> None:
    """One model is not what several deployments are meant to serve."""
    if len(places) > 1 and model.uri:
        raise ConfigInvalid(
            f"-m names one model, the files have {len(places)} deployments", advice="say each one's model in its file, or pick one: -n"
        )


def compare(
    session: Session,
    place: ChosenTarget,
    many: Many,
    *,
    rollout: Rollout,
    name: str | None,
    model: ModelChoice,
    intent: Intent | None,
    steps: bool = True,
) -> list[Changes]:
    """Show what a verb would do, for each deployment on each target, and do nothing; None: the verb that fits what is there.

    Raises:
        DeployerError: what the run would refuse. click.exceptions.Exit: it would refuse some of several.
    """
    refuse_one_model_for_several(place.each(), model)
    how = {"intent": intent, "allow_schema_change": rollout.allow_schema_change, "allow_build": rollout.allow_build, **rollout.shared}

    def plan_of(client_of: Callable[..., DeployClient]) -> Task[Changes]:
        client = client_of()
        client.options()
        return Task(client.name_for(name, model.uri), str(client.uri), lambda _: client_of().plan(name, model.uri, model.flavor, **how))

    tasks = [plan_of(partial(each.client_of, target, models=model)) for each in place.each() for target in each.targets()]
    if len(tasks) > 1:
        words: Words[Changes] = Words(
            "",
            lambda found: shown_part(found, steps=steps).document(),
            lambda found: ("changes" if found.differs else "as it is", found.after),
            text=lambda found: "\n".join(found.lines(steps=steps)),
            refusal=lambda found: shown_part(found, steps=steps).refusal,
        )
        return [each.result for each in run_many(session, [(task,) for task in tasks], words, many) if each.result is not None]
    (task,) = tasks
    found = task.run(silent)
    show_changes(session, found, steps=steps)
    return [found]


def show_changes(session: Session, found: Changes, *, steps: bool = True) -> None:
    """A plan; `steps`: with what would be done, and as it would end.

    Raises:
        DeployerError: what the run would refuse; a document has said it already.
    """
    found = shown_part(found, steps=steps)
    emit(session.output, found.document(), [found.name], lambda: "\n".join(found.lines(steps=steps)))
    if found.refusal:
        session.output = ""
        raise found.refusal


def shown_part(found: Changes, *, steps: bool) -> Changes:
    """What differs alone has no end."""
    return found if steps else replace(found, refusal=None)
