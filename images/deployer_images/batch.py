"""A file scored by a model on this machine, in a process of the model's environment; its events become ours, its errors too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployer.checks.binaries import advice_on_import
from deployer.errors import ConfigInvalid, DeployerError, Interrupted, MachineFault, ModelInvalid
from deployer.events import Noticed, Report, StepFinished, StepProgressed, StepStarted, silent
from deployer_images.managers import LOCAL, UV, interpreter_for

_STEP, _LABEL = "score_file", "predictions"
_PARQUET = {".parquet", ".pq"}


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be scored.

    Attributes:
        source: the input; None for standard input.
        target: where the predictions go; None for standard output.
        form, target_form: csv, json, jsonl or parquet; None goes by the file's ending, and is JSON lines where that names none.
        params: the model's parameters.
        chunk_rows: rows that are scored at once; None where the model's kind decides, 0 for all.
        manager: of the environment, one of `deployer_images.managers.MANAGERS`.
        more: requirements that replace or join the model's.
        variables: environment variables for the model.
    """

    model: Path
    source: Path | None = None
    target: Path | None = None
    form: str | None = None
    target_form: str | None = None
    params: Mapping[str, Any] | None = None
    chunk_rows: int | None = None
    manager: str = UV
    more: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)


def score(job: Job, report: Report = silent) -> int:
    """Score the file; how many rows it had. Where it fails or is interrupted, nothing of it is left and `target` is as it was.

    Raises:
        ConfigInvalid: the input doesn't fit the model; its line is named where one is to blame.
        ModelInvalid: the model can't be loaded, or failed, or its environment can't be made.
        MachineFault: a file can't be read or written. Interrupted: Ctrl-C.
    """
    begun = time.monotonic()
    interpreter = interpreter_for(job.model, job.manager, more=(*job.more, *_for_parquet(job)), say=lambda text: report(Noticed(message=text)))
    report(StepStarted(step=_STEP, label=_LABEL))
    rows = _run(_command(job, interpreter), job, report)
    counted = "1 row" if rows == 1 else f"{rows} rows"
    where = f" to {job.target}" if job.target else ""
    report(StepFinished(step=_STEP, label=_LABEL, detail=f"{counted}{where}", seconds=time.monotonic() - begun))
    return rows


def _for_parquet(job: Job) -> Sequence[str]:
    """pyarrow, where a file is Parquet: models that bring MLflow have it, others may not."""
    forms = {job.form or ("parquet" if job.source and job.source.suffix.lower() in _PARQUET else "")}
    forms |= {job.target_form or ("parquet" if job.target and job.target.suffix.lower() in _PARQUET else "")}
    from deployer_scoring.model.requirements import requirements

    brings = any(line.lower().startswith(("mlflow", "pyarrow")) and not line.lower().startswith("mlflow-") for line in requirements(job.model))
    return () if "parquet" not in forms or brings or job.manager == LOCAL else ("pyarrow",)


def _command(job: Job, interpreter: Path) -> list[str]:
    options = {
        "--model": job.model,
        "--input": job.source,
        "--output": job.target,
        "--format": job.form,
        "--output-format": job.target_form,
        "--params": json.dumps(job.params) if job.params else None,
        "--chunk-rows": job.chunk_rows,
    }
    given = [part for name, value in options.items() if value is not None for part in (name, str(value))]
    return [str(interpreter), "-m", "deployer_scoring.batch", *given]


def _run(command: list[str], job: Job, report: Report) -> int:
    """Start it, pass its events on until it ends, and give its last word."""
    reading, writing = os.pipe()
    variables = {**os.environ, **job.variables, "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
    if job.manager != LOCAL:
        for name in ("PYTHONPATH", "PYTHONHOME"):
            variables.pop(name, None)
    try:
        process = subprocess.Popen([*command, "--events", str(writing)], env=variables, pass_fds=(writing,))
    except OSError as fault:
        os.close(reading)
        raise MachineFault(f"{command[0]} can't be run", why=str(fault)) from fault
    finally:
        os.close(writing)
    last: dict[str, Any] = {}
    try:
        with os.fdopen(reading, encoding="utf-8") as events:
            for line in events:
                last = json.loads(line)
                _pass_on(last, report)
        code = process.wait()
    except KeyboardInterrupt:
        _end(process)
        raise Interrupted("interrupted: nothing was written", advice="run the same command again") from None
    except BaseException:
        _end(process)
        raise
    if code == 0 and last.get("event") == "finished":
        return int(last["rows"])
    raise _fault(last, code, job)


def _end(process: subprocess.Popen[bytes]) -> None:
    """It removes what it has half written; who doesn't listen is killed."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _pass_on(event: dict[str, Any], report: Report) -> None:
    if event.get("event") == "notice":
        report(Noticed(message=str(event["message"])))
    elif event.get("event") == "scored":
        rows = f"{event['rows']} rows"
        total = int(event["total"]) or None
        report(StepProgressed(step=_STEP, label=_LABEL, done=int(event["done"]), total=total, unit="bytes" if total else "", note=rows))


def _fault(last: dict[str, Any], code: int, job: Job) -> DeployerError:
    """What went wrong, in our words."""
    kind, message, number = str(last.get("kind", "")), str(last.get("message", "")), last.get("errno")
    if code in {130, -signal.SIGINT, -signal.SIGTERM}:
        return Interrupted("interrupted: nothing was written", advice="run the same command again")
    if code == 141:
        raise BrokenPipeError
    if last.get("event") != "failed":
        return ModelInvalid(f"the process that scored with {job.model} ended by itself, with exit code {code}", advice="what it printed says more")
    if number is not None:
        return MachineFault(f"a file can't be read or written: {os.strerror(number)}", why=message)
    known = {
        "InvalidInput": ConfigInvalid(f"the input doesn't fit the model: {message}", advice="correct the input"),
        "EncodingError": ConfigInvalid(message, advice="-o FILE.jsonl takes any answer"),
        "LoadError": ModelInvalid("the model can't be loaded", why=message, advice=_advice(job, message)),
        "ModelFailure": ModelInvalid("the model failed", why=message, advice="correct the input, or the model"),
    }
    return known.get(kind) or ModelInvalid(message)


def _advice(job: Job, message: str) -> str:
    known = advice_on_import(message)
    if known:
        return known
    if job.manager == LOCAL:
        return "install what it needs, or use --env-manager uv, which makes an environment that has it"
    return "correct its requirements; deploy models check says what it imports"
