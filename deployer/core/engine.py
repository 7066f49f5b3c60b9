"""The only place where a plan meets the world."""

from __future__ import annotations

from typing import TypeVar

from deployer.core.plan import Effect, Plan, Progress, Step, kind_of
from deployer.errors import Conflict, DeployerError, Interrupted, PermissionDenied, RollbackFailed, RolloutFailed
from deployer.events import Noticed, Report, RollbackStarted, stepping

Cloud = TypeVar("Cloud")


def apply(plan: Plan[Cloud], cloud: Cloud, report: Report) -> None:
    """Run the plan. Where the cloud says a definite no, go back to the last good generation; where the outcome isn't known, leave everything.

    Once the switch is agreed, only RolloutFailed says that the new generation can't serve: a refusal then (a token that expired during the wait)
    is a no to the question, not to the rollout, which goes on without us.

    Raises:
        A `definite` error: the new generation can't be made or can't serve; the way back was gone, and what serves now is as before.
            After the switch, any but RolloutFailed: nothing was undone; the same command resumes.
        RollbackFailed: and the way back failed too; what is left, and the command that goes on.
        Conflict: a newer run took over, or somebody else changed the deployment; nothing of theirs was touched.
        TimedOut, TargetUnavailable: nothing was undone; the same command resumes.
        Interrupted: before the switch was sent what was made is gone again; after it, the cloud goes on without us.
    """
    sent = agreed = False
    try:
        for step in plan.forward:
            sent = sent or step.effect is Effect.SWITCH
            run(step, cloud, report)
            agreed = sent
    except DeployerError as cause:
        if not cause.definite:
            raise
        if agreed and not isinstance(cause, RolloutFailed):
            report(Noticed(level="warning", message="the switch was made, and nothing is undone; the same command goes on from here"))
            raise
        take_back(plan, cloud, report, cause)
        raise
    except KeyboardInterrupt as cause:
        if sent and sum(step.effect is Effect.SWITCH for step in plan.forward) > 1:
            raise Interrupted(
                "interrupted in the middle of the rollout: the traffic stays split as it is",
                advice="run the same command again to go on with it; deploy update NAME --abort goes back",
            ) from cause
        if sent:
            what = next(step for step in plan.forward if step.effect is Effect.SWITCH).describe()
            raise Interrupted(
                f"interrupted after the switch was sent: the cloud goes on with {what}",
                advice="run the same command again to follow it; deploy delete waits for it, then removes it",
            ) from cause
        if not plan.back:
            raise Interrupted("interrupted: what was done stays done", advice="run the same command again to go on") from cause
        take_back(plan, cloud, report, cause)
    for step in plan.live:
        run(step, cloud, report)
    for step in plan.sweep:
        _sweep(step, cloud, report)


def take_back(plan: Plan[Cloud], cloud: Cloud, report: Report, cause: DeployerError | KeyboardInterrupt) -> None:
    """Run the way back of a plan that came to nothing. Returns where there is none, and where `cause` says already how things stand now.

    Raises:
        RollbackFailed: not all of it could be removed; what to do.
        Interrupted, or an error of the kind of `cause`: it is gone, and the error says so; or, where nothing of it is allowed, it stays.
        Conflict: a newer run took over.
    """
    if not plan.back:
        return
    why = cause if isinstance(cause, DeployerError) else Interrupted("interrupted")
    report(RollbackStarted(reason=why.message))
    try:
        for step in plan.back:
            run(step, cloud, report)
    except Conflict:
        raise
    except (DeployerError, KeyboardInterrupt) as error:
        raise _stranded(why, error) from error
    if isinstance(why, Interrupted):
        raise Interrupted("interrupted before the switch: what was made is removed, what served still serves") from cause
    if not isinstance(why, RolloutFailed):
        raise why.saying(f"{why.message.rstrip('.')}; what was made before is removed, what served still serves") from cause


def _stranded(cause: DeployerError, error: DeployerError | KeyboardInterrupt) -> DeployerError:
    """The way back failed. What isn't allowed in either direction is no failure of it: all of it can be undone by a run that may."""
    if isinstance(cause, PermissionDenied) and isinstance(error, PermissionDenied):
        return cause.saying(
            f"{cause.message}; what was made so far stays, what served still serves",
            advice=f"{cause.advice}; deploy delete, or an update to something else, removes what was made",
        )
    return RollbackFailed(
        f"{cause.message}; and the way back failed: {error.message if isinstance(error, DeployerError) else 'interrupted'}",
        why=cause.why,
        lines=cause.lines,
    )


def run(step: Step[Cloud], cloud: Cloud, report: Report) -> None:
    """One step, with its start, end and time reported, and whether it changed anything."""
    progress = Progress(kind_of(step), step.describe(), report)
    with stepping(report, progress.step, progress.label, str(step.makes or ""), step.effect) as outcome:
        outcome.changed = step.run(cloud, progress)


def _sweep(step: Step[Cloud], cloud: Cloud, report: Report) -> None:
    """Failures are warnings: the deployment is done, and the next run finishes the sweeping. A newer run is told of, and left to it."""
    try:
        run(step, cloud, report)
    except Conflict:
        raise
    except DeployerError as error:
        report(Noticed(level="warning", message=f"{step.describe()} is not finished ({error.message}); the next run finishes it"))
