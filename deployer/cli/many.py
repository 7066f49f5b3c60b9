"""Several deployments by one command: who each line is about, a table of what became of each, and one exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import click

from deployer.cli.choices import Many
from deployer.cli.failure import as_told, told
from deployer.cli.output import TEXT, dump, emit, say, width_of
from deployer.cli.progress import Lane, side_by_side
from deployer.cli.session import Session
from deployer.errors import DeployerError, Interrupted, SomeFailed
from deployer.verbs.many import Result, Task, TaskOutcome, refuse_twins, run_all
from deployer.words import table
from deployer_scoring.printable import one_line

UNBEGUN = "not begun"


@dataclass(frozen=True, slots=True)
class Words(Generic[Result]):
    """How what a verb does is told.

    Attributes:
        event: what -o jsonl calls it; "" for what is no event.
        said: its result in a word or two, and the generation.
        text: for people, instead of a table.
        refusal: the error that a result is, all the same.
    """

    event: str
    document: Callable[[Result], dict[str, Any]]
    said: Callable[[Result], tuple[str, str]]
    text: Callable[[Result], str] | None = None
    refusal: Callable[[Result], DeployerError | None] = lambda _: None


def run_many(
    session: Session, chains: Sequence[Sequence[Task[Result]]], words: Words[Result], many: Many, *, quiet: bool = False
) -> list[TaskOutcome[Result]]:
    """Do them, tell of each as it goes on and of all at the end; what became of each.

    Raises:
        ConfigInvalid: two are the same deployment; nothing is done.
        click.exceptions.Exit: not all went well.
    """
    tasks = [task for chain in chains for task in chain]
    refuse_twins(tasks)
    own = {task: Session(session.output, session.debug, task.target) for task in tasks}
    label = _labels(tasks)
    form = "name" if quiet else session.output
    lanes: dict[Task[Result], Lane] = {}
    session.started.append(f"the report of {len(tasks)} deployments")  # where Ctrl-C strikes after them
    with side_by_side(session, [label(task) for task in tasks], quiet=quiet) as reports:

        def report_of(task: Task[Result]) -> Any:
            lanes[task] = reports.lane(own[task], label(task), task.name)
            return lanes[task].report

        def ended(task: Task[Result], outcome: TaskOutcome[Result]) -> None:
            error = None if outcome.error is None else as_told(outcome.error, own[task])
            if words.text is None:
                lanes[task].say(f"  {' '.join(filter(None, _said(outcome, error, words)))}")
            if form == "jsonl":
                event = "failed" if error else words.event
                reports.print(dump({**({"event": event} if event else {}), **_document(outcome, error, words)}, form))
            elif form == "name" and error is None:
                reports.print(one_line(task.name))

        def struck() -> None:
            reports.say("Interrupted: what is under way goes back, or is left to the cloud; nothing else is begun.")

        outcomes = run_all(chains, report_of, concurrency=many.concurrency, fail_fast=many.fail_fast, ended=ended, struck=struck)
    faults = [each.error if each.result is None else words.refusal(each.result) for each in outcomes]
    errors = [None if fault is None else as_told(fault, own[task]) for task, fault in zip(tasks, faults, strict=True)]
    if form in ("json", "yaml"):
        emit(form, [_document(*each, words) for each in zip(outcomes, errors, strict=True)], [], str)
    elif form == "jsonl":
        for each in outcomes:
            if not each.begun:
                click.echo(dump({"event": "not_begun", "name": each.name, "target": each.target}, form))
    elif form in TEXT:
        say(_text(outcomes, errors, words, form))
    for task, fault in zip(tasks, faults, strict=True):
        if fault is not None:
            told(fault, own[task], of=str(task))
    _close(outcomes, [error for error in errors if error])
    return outcomes


def _labels(tasks: Sequence[Task[Any]]) -> Callable[[Task[Any]], str]:
    """What a task's lines begin with: its name, and where that is on several targets, these too."""
    counts = Counter(task.name for task in tasks)
    return lambda task: task.name if counts[task.name] == 1 else str(task)


def _said(outcome: TaskOutcome[Result], error: DeployerError | None, words: Words[Result]) -> tuple[str, ...]:
    """In a word, the generation, and the error's code."""
    if outcome.result is not None:
        return words.said(outcome.result)
    if error is None:
        return (UNBEGUN,)
    return ("interrupted",) if isinstance(error, Interrupted) else ("failed", "", error.code)


def _document(outcome: TaskOutcome[Result], error: DeployerError | None, words: Words[Result]) -> dict[str, Any]:
    if outcome.result is not None:
        return words.document(outcome.result)
    return {"name": outcome.name, "target": outcome.target, **({"error": error.document()} if error else {"begun": False})}


def _text(outcomes: Sequence[TaskOutcome[Result]], errors: Sequence[DeployerError | None], words: Words[Result], form: str) -> str:
    if words.text is not None:
        return "\n".join(words.text(each.result) for each in outcomes if each.result is not None)
    rows = [(each.name, each.target, *_said(each, error, words)) for each, error in zip(outcomes, errors, strict=True)]
    counts = Counter(said for _, _, said, *_ in rows)
    summary = f"{len(rows)} deployments: {', '.join(f'{count} {said}' for said, count in counts.items())}."
    heading = ("NAME", "TARGET", "OUTCOME", *(("GENERATION",) if any(len(row) > 3 and row[3] for row in rows) else ()))
    return f"{table([heading, *rows], width=width_of(form), hide=('GENERATION', 'TARGET'))}\n{summary}"


def _close(outcomes: Sequence[TaskOutcome[Any]], errors: Sequence[DeployerError]) -> None:
    """Say how many went how, unless all went well, and end."""
    unbegun = sum(not each.begun for each in outcomes)
    if not errors and not unbegun:
        return
    interrupted = sum(isinstance(error, Interrupted) for error in errors)
    counts = {"failed": len(errors) - interrupted, "interrupted": interrupted, UNBEGUN: unbegun}
    told_apart = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    say(f"Of {len(outcomes)} deployments: {told_apart}. {SomeFailed.usual_advice.capitalize()}.", err=True)
    click.get_current_context().exit(exit_code_of(errors))


def exit_code_of(errors: Sequence[DeployerError]) -> int:
    """The one that all failures share, else that of several; an interrupt is one whatever else failed, and so is what was not begun."""
    if not errors or any(isinstance(error, Interrupted) for error in errors):
        return Interrupted.exit_code
    codes = {error.exit_code for error in errors}
    return codes.pop() if len(codes) == 1 else SomeFailed.exit_code
