"""Many deployments by one call, as `deploy apply -f` has them: see `apply_all`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.client import DeployClient
from deployer.errors import ConfigInvalid, DeployerError, Interrupted, SomeFailed
from deployer.events import Event, Report
from deployer.settings.config_file import ConfigFile
from deployer.verbs.many import CONCURRENCY, Task, TaskOutcome, refuse_twins, run_all

if TYPE_CHECKING:
    from deployer.verbs.deployment import Deployment
    from deployer.verbs.optional import Config

OnEvent = Callable[[str, str, Event], None]
"""Given a deployment's name, its target and what happened there; in the thread of that deployment."""


def apply_all(
    files: str | Path | Iterable[str | Path],
    target: str | None = None,
    config: Config = None,
    *,
    concurrency: int = CONCURRENCY,
    fail_fast: bool = False,
    on_event: OnEvent = lambda *_: None,
) -> list[Deployment]:
    """Create or update all deployments of these files, side by side; they, as they are now, in the files' order.

    Each is a run of its own, with its own plan, claim and history: one that fails stops no other. The targets of one follow each other, as long as
    all goes well. Ctrl-C interrupts all that are under way; the same call goes on.

    Args:
        files: files of one deployment or several (YAML documents, or a list), or directories of such files.
        target: this one alone, instead of those that the files name.
        config: options for all of them, which win over the files'.
        concurrency: how many at most go on at a time.
        fail_fast: begin none any more once one has failed.

    Raises:
        ConfigInvalid: a file, a name or an option is wrong, or a deployment stands twice; nothing is done.
        SomeFailed: not all went well; its `outcomes` have what became of each.
        Interrupted: by Ctrl-C.
    """
    paths = [files] if isinstance(files, (str, Path)) else files
    chains = [
        [_task(partial(DeployClient, uri, config, config_file=file)) for uri in ((target,) if target else _targets(file))]
        for file in ConfigFile.read_all(map(Path, paths))
    ]
    refuse_twins([task for chain in chains for task in chain])

    def report_of(task: Task[Deployment]) -> Report:
        return lambda event: on_event(task.name, task.target, event)

    outcomes = run_all(chains, report_of, concurrency=concurrency, fail_fast=fail_fast)
    done = [each.result for each in outcomes if each.result is not None]
    if len(done) < len(outcomes):
        raise _failure(outcomes)
    return done


def _targets(file: ConfigFile) -> tuple[str, ...]:
    if not file.targets:
        raise ConfigInvalid(f"which target is not said for {file.called or 'what is'} in {file.place}", advice="name it there, or by target=")
    return file.uris()


def _task(client_of: Callable[..., DeployClient]) -> Task[Deployment]:
    client = client_of()
    client.options()
    return Task(client.name_for(None, None), str(client.uri), lambda report: client_of(on_event=report).apply(None))


def _failure(outcomes: list[TaskOutcome[Deployment]]) -> DeployerError:
    failed = [each for each in outcomes if each.error is not None]
    unbegun = [str(each) for each in outcomes if not each.begun]
    why = "; ".join([*(f"{each}: {each.reason}" for each in failed), *([f"not begun: {', '.join(unbegun)}"] if unbegun else [])])
    if not failed or any(each.interrupted for each in failed):
        return Interrupted("interrupted", why=why)
    error = SomeFailed(f"{len(failed)} of {len(outcomes)} deployments failed", why=why)
    error.outcomes = tuple(outcomes)
    return error
