"""Everything between the first 503 and the first prediction: the model found, its packages installed, loaded, and tried once."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import threading
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from deployer_scoring.errors import LoadError, ScoringError
from deployer_scoring.server.predict.durations import Durations
from deployer_scoring.server.settings import ServerSettings
from deployer_scoring.server.system.resources import Resources, resident_bytes, resources

if TYPE_CHECKING:
    from pathlib import Path

    from deployer_scoring.loaders.loading import Loaded
    from deployer_scoring.model.mlmodel import MLModel

_log = logging.getLogger(__name__)
_WARM_UPS = 3  # the first imports what is imported late; of the others the time is taken


class Prepared(NamedTuple):
    """What workers are forked with."""

    model: Optional[MLModel]
    """None for a multi-model endpoint, which has none to begin with."""
    loaded: Optional[Loaded]
    """None for a model that doesn't survive a fork: its own process loads it."""
    durations: Durations
    """What the warm-up took, to begin with."""
    resources: Resources
    workers: int
    library_threads: int
    """That BLAS and OpenMP may use in each worker."""
    seconds: float


def prepared(settings: ServerSettings, tell: Callable[[str], None], *, forks: bool) -> Prepared:
    """Load the model, or find out that its own process must.

    Args:
        settings: How to serve.
        tell: Told what is being done, in words.
        forks: Whether to load here, for processes to be forked from; False where that was tried and failed.

    Raises:
        ScoringError: There is no model, or it can't be loaded.
    """
    from deployer_scoring.loaders.threads import single_threaded
    from deployer_scoring.model.locate import find_model

    started = perf_counter()
    if settings.multi_model:
        single_threaded()
        _import_the_server(settings)
        has = resources(settings.cpus)
        return Prepared(None, None, Durations(), has, 1, has.library_threads(1), perf_counter() - started)
    _have(settings.model_source, tell)
    directory: Path = find_model(os.environ)
    if settings.install_at_start:
        from deployer_scoring.model.environment import install_requirements

        tell(f"installing the packages of the model in {directory}")
        install_requirements(directory)
    tell(f"loading the model from {directory}")
    single_threaded()
    gc.disable()  # nothing that is imported or loaded is garbage
    try:
        return _loaded(directory, settings, started, forks=forks)
    except ImportError as error:
        raise LoadError(f"{type(error).__name__}: {error}") from error
    finally:
        gc.enable()


def _have(source: str, tell: Callable[[str], None]) -> None:
    """Have the model here first, where an image has the list of its files alone: fetched, or, without a source, on a volume and compared.

    In this process and in no container before it: by now a mesh's proxy in the pod is there, or will soon be.
    """
    from pathlib import Path

    from deployer_scoring.fetching.files import PLACE, compare, read_files
    from deployer_scoring.model.locate import SAGEMAKER

    directory = Path(os.environ.get("DEPLOYER_MODEL") or SAGEMAKER)
    if source:
        from deployer_scoring.fetching.fetch import fetch_model

        fetch_model(source, read_files(), directory, tell)
    elif PLACE.exists():
        files = read_files()
        tell(f"comparing {len(files)} files ({sum(each.size for each in files)} bytes) in {directory} with what was deployed")
        compare(files, directory)


def left_threads(*, ended: Optional[int], ours: Optional[int], seconds: float = 2.0) -> int:
    """How many threads there are in this process that are not the server's.

    Args:
        ended: The system's id of a thread that has been joined. It is waited for: the system ends it a little later than Python does.
        ours: That of the server's own, beside the one that asks.
        seconds: How long to wait.
    """
    until = perf_counter() + seconds
    while True:
        try:
            running = {int(name) for name in os.listdir("/proc/self/task")}  # noqa: PTH208 (names alone)
        except OSError:
            return threading.active_count() - 2
        if ended not in running or perf_counter() > until:
            return len(running - {ours}) - 1
        sleep(0.001)


def _loaded(directory: Path, settings: ServerSettings, started: float, *, forks: bool) -> Prepared:
    from deployer_scoring.loaders.lean_pandas import import_pandas
    from deployer_scoring.loaders.loading import forks as known_to_fork
    from deployer_scoring.loaders.loading import load
    from deployer_scoring.loaders.threads import remember_libraries
    from deployer_scoring.model.mlmodel import parse_mlmodel

    model, durations, has = parse_mlmodel(directory), Durations(), resources(settings.cpus)
    import_pandas(model)
    _import_the_server(settings)
    loaded = load(model) if forks and known_to_fork(model) else None
    if loaded is not None and not loaded.forks:
        raise DoesNotForkError
    if loaded is not None:
        _warm_up(model, loaded, durations)
        remember_libraries()
    most = has.workers(resident_bytes()) if loaded is not None else 1
    workers = settings.workers or most
    return Prepared(model, loaded, durations, has, workers, has.library_threads(workers), perf_counter() - started)


class DoesNotForkError(ScoringError):
    """The model that was loaded here does not survive a fork: this process is of no use any more."""


def _import_the_server(settings: ServerSettings) -> None:
    """What workers need, imported once for all of them."""
    importlib.import_module("deployer_scoring.server.processes.worker")
    if settings.grpc_port:
        importlib.import_module("deployer_scoring.server.rpc.front")
    with contextlib.suppress(ImportError):
        importlib.import_module("uvloop")


def try_once(found: Prepared) -> None:
    """Have the model predict in a process that was forked after it was loaded.

    Raises:
        ScoringError: It could not, or there is nothing to try it with.
    """
    if found.model is None or found.loaded is None or not _predictions(found.model, found.loaded, 1):
        raise LoadError("there is nothing that the model could be tried with")


def _warm_up(model: MLModel, loaded: Loaded, durations: Durations) -> None:
    """Have the model predict, so that the first request doesn't wait for what is imported or compiled late."""
    try:
        for size, seconds in _predictions(model, loaded, _WARM_UPS if loaded.prompt else 1)[1:]:
            durations.learn(size, seconds)
    except Exception as error:
        _log.info("the first prediction, made to warm up, failed: %s", " ".join(str(error).split()))


def _predictions(model: MLModel, loaded: Loaded, times: int) -> list[tuple[int, float]]:
    """Predict the model's example, or a row made up from its signature, some times over.

    A model of whom nothing is known isn't given rows that were made up: it may do more than predict.

    Returns:
        For each prediction the bytes of the request and the seconds that it took; nothing where there is no example.
    """
    from deployer_scoring.model.serving_example import serving_example
    from deployer_scoring.scorer import Scorer

    example = serving_example(model, 1)
    if example is None or not (loaded.prompt or example.saved):
        return []
    scorer, took = Scorer(model, loaded), []
    for _ in range(times):
        started = perf_counter()
        scorer.answer(example.body, example.content_type)
        took.append((len(example.body), perf_counter() - started))
    return took
