"""MLflow's tracking server and model registry, by its own client (mlflow-skinny is enough), imported only here and only when used."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deployer.artifacts import cache
from deployer.artifacts.content import ignored
from deployer.artifacts.registry_faults import errors
from deployer.artifacts.transfer import Arrived, RemoteFile, download
from deployer.artifacts.uri import ModelUri, candidate_name, spelled
from deployer.errors import ConfigInvalid, ExtraMissing, ModelNotFound
from deployer.events import Report
from deployer_scoring.masking import learn, without_secrets
from deployer_scoring.model.mlmodel import FILE

# Unless the user says otherwise: an answer within seconds where no server is, no bar of its own over ours, and no word to anybody else.
_QUIET = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@dataclass(frozen=True, slots=True)
class ModelSource:
    """What a URI stands for at this moment.

    Attributes:
        uri: what an artifact repository of MLflow is opened by: never a stage, alias or `latest`.
        path: of the model below it.
        location: the address of the model's files where they are kept; "" where that isn't known.
    """

    uri: str
    path: str = ""
    registered_name: str = ""
    version: str = ""
    run_id: str = ""
    location: str = ""


def fetch(uri: ModelUri, report: Report, *, tracking_uri: str | None = None, registry_uri: str | None = None) -> tuple[Path, ModelSource]:
    """The model's directory on this machine, and what its URI stands for now.

    An artifact may be overwritten under the same name, so the cache is asked by the list of files and the MLmodel itself, which carries a
    fresh id each time that a model is saved.

    Args:
        tracking_uri, registry_uri: MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI, or MLflow's own defaults, where they are left out. A server
            that the URI itself names (`models://PROFILE@databricks/NAME/VERSION`) goes before all of them.

    Raises:
        ExtraMissing: MLflow, or what it needs for this store, isn't installed.
        ConfigInvalid: not a URI of this scheme.
        ModelNotFound: no such registered model, version, stage, alias, run or path.
        PermissionDenied, CredentialsInvalid, TargetUnavailable: what the server says, or that it doesn't answer.
        MachineFault: the disk is full.
    """
    with session(uri, tracking_uri, registry_uri) as mlflow, errors(uri, mlflow):
        look_for_databases(mlflow)
        source, repository = _resolved(uri, mlflow.MlflowClient(), mlflow)
        listed = [file for file in _listed(repository, source.path) if not ignored(file.path)]
        if not any(file.path == FILE for file in listed):
            raise ModelNotFound(f"there is no model at {uri.public}: {_contents(listed)}", advice=f"name the directory that holds the {FILE} file")
        prefix = f"{source.path}/" if source.path else ""
        key = [
            str(mlflow.get_tracking_uri()),
            source.uri,
            source.path,
            _digest_of_file(repository, prefix + FILE),
            [[file.path, file.size] for file in listed],
        ]

        def make(directory: Path) -> None:
            with tempfile.TemporaryDirectory(dir=directory) as spool:

                def get(file: RemoteFile, target: Path, _: Arrived) -> None:
                    Path(repository.download_artifacts(prefix + file.path, spool)).rename(target)

                download(listed, get, directory, uri.public, report)

        return cache.kept(candidate_name(uri.text), key, make), replace(source, location=_location(repository, source.path))


@contextmanager
def _less_said() -> Iterator[None]:
    """MLflow warns of each way in which it found no credentials of Databricks, and then raises an error that says it all."""
    logger = logging.getLogger("mlflow.utils.databricks_utils")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def look_for_databases(mlflow: Any) -> None:
    """MLflow makes a database where none is, in the current directory if nobody names a server: that is no place to look for a model."""
    for server in {str(mlflow.get_tracking_uri()), str(mlflow.get_registry_uri())}:
        parts = urlsplit(server)
        file = Path(parts.path[1:])
        if parts.scheme == "sqlite" and parts.path.strip("/") and not file.exists():
            raise ConfigInvalid(
                f"there is no MLflow database {file.name} in {spelled(file.absolute().parent)}",
                advice="name the server: MLFLOW_TRACKING_URI, MLFLOW_REGISTRY_URI, --tracking-uri or --registry-uri",
            )


def _resolved(uri: ModelUri, client: Any, mlflow: Any) -> tuple[ModelSource, Any]:
    if uri.scheme in {"mlflow-artifacts", "dbfs"}:
        return ModelSource(uri.text.rstrip("/")), _repository(uri.text.rstrip("/"))
    if uri.scheme == "runs":
        return _of_run(uri, client)
    name, _, rest = urlsplit(uri.text).path.lstrip("/").partition("/")
    if not name:
        raise ConfigInvalid(f"{uri.text} names no model", advice="write models:/NAME/VERSION, models:/NAME@ALIAS or models:/m-ID")
    if uri.is_registered:
        return _of_version(uri, name, rest, client)
    return _of_logged_model(name, client)


def _of_version(uri: ModelUri, name: str, rest: str, client: Any) -> tuple[ModelSource, Any]:
    """A registered model's version, by number, alias, stage or `latest`, with the path of a model below it where the URI goes on."""
    if "@" in name:
        name, _, alias = name.rpartition("@")
        found, path = client.get_model_version_by_alias(name, alias), rest
    else:
        wanted, _, path = rest.partition("/")
        found = client.get_model_version(name, wanted) if wanted.isdigit() else _newest(client, name, wanted)
        if found is None:
            raise ModelNotFound(
                f"{uri.text} stands for no model: no version of {name} is in stage {wanted}", advice=f"name a version: models:/{name}/1"
            )
    concrete = f"models:/{name}/{found.version}"
    return ModelSource(concrete, path.strip("/"), name, str(found.version), found.run_id or ""), _repository(concrete)


def _newest(client: Any, name: str, stage: str) -> Any:
    """The newest version in a stage, or of all under `latest`; None where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stages are deprecated; those who still use them know
        stages = None if stage.lower() == "latest" else [stage]
        return max(client.get_latest_versions(name, stages), key=lambda each: int(each.version), default=None)


def _of_logged_model(model_id: str, client: Any) -> tuple[ModelSource, Any]:
    """A model of MLflow 3 by its id; where it is registered once, under that name and version."""
    if not hasattr(client, "get_logged_model"):
        raise ConfigInvalid(f"models:/{model_id} is a logged model's URI, which this MLflow doesn't know", advice="pip install -U 'mlflow-skinny>=3'")
    found = client.get_logged_model(model_id)
    registered = _registered(found.tags or {})
    name, version = registered[0] if len(registered) == 1 else ("", "")
    return ModelSource(f"models:/{model_id}", "", name, version, found.source_run_id or ""), _repository(f"models:/{model_id}")


def _registered(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    try:
        return [(str(each["name"]), str(each["version"])) for each in json.loads(tags.get("mlflow.modelVersions", "[]"))]
    except (ValueError, TypeError, KeyError):
        return []


def _of_run(uri: ModelUri, client: Any) -> tuple[ModelSource, Any]:
    """A model among a run's artifacts or, since MLflow 3, the run's logged model of that name."""
    run_id, _, path = urlsplit(uri.text).path.lstrip("/").partition("/")
    path = path.strip("/")
    if not run_id:
        raise ConfigInvalid(f"{uri.text} names no run", advice="write runs:/RUN_ID/PATH")
    run = client.get_run(run_id)
    source = ModelSource(run.info.artifact_uri, path, run_id=run_id)
    repository = _repository(source.uri)
    name, _, below = path.partition("/")
    if any(file.path == FILE for file in _listed(repository, path)) or not name or not hasattr(client, "search_logged_models"):
        return source, repository
    model_id = _logged_by_run(client, run, name)
    return (ModelSource(f"models:/{model_id}", below, run_id=run_id), _repository(f"models:/{model_id}")) if model_id else (source, repository)


def _logged_by_run(client: Any, run: Any, name: str) -> str | None:
    """The id of the newest model of this name that the run has logged."""
    token = None
    while True:
        page = client.search_logged_models([run.info.experiment_id], filter_string=f"name = '{name}'", page_token=token)
        if found := next((each.model_id for each in page if each.source_run_id == run.info.run_id), None):
            return str(found)
        token = page.token
        if not token:
            return None


def _repository(uri: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri)


def _location(repository: Any, path: str) -> str:
    """Where a repository has a path; of one that a server hands out, its address there."""
    found = str(getattr(getattr(repository, "repo", repository), "artifact_uri", "")).rstrip("/")
    return without_secrets(f"{found}/{path}".rstrip("/")) if found else ""


def _listed(repository: Any, path: str, below: str = "") -> Iterator[RemoteFile]:
    """All files below a path of a repository, their paths relative to it, sorted."""
    prefix = f"{path}/" if path else ""
    for each in sorted(repository.list_artifacts((prefix + below).rstrip("/")), key=lambda each: str(each.path)):
        relative = str(each.path).removeprefix(prefix)
        if each.is_dir:
            yield from _listed(repository, path, relative)
        else:
            yield RemoteFile(relative, int(each.file_size or 0))


def _digest_of_file(repository: Any, path: str) -> str:
    with tempfile.TemporaryDirectory() as directory:
        return hashlib.sha256(Path(repository.download_artifacts(path, directory)).read_bytes()).hexdigest()


def _contents(listed: list[RemoteFile]) -> str:
    names = sorted({file.path.partition("/")[0] for file in listed})
    return f"no {FILE} among {', '.join(names[:5])}" if names else "nothing is there"


@contextmanager
def session(uri: ModelUri, tracking_uri: str | None = None, registry_uri: str | None = None) -> Iterator[Any]:
    """MLflow, pointed at the servers that were asked for; afterwards it and the environment are as they were.

    Where it points is the whole process's: threads that ask the same servers go side by side, others wait for their turn.
    """
    servers = (tracking_uri, registry_uri, uri.server, uri.scheme == "dbfs")
    with _turns:
        _turns.wait_for(lambda: _pointed.servers in (None, servers))
        if _pointed.servers is None:
            _pointed.mlflow, _pointed.restored = _point(uri, tracking_uri, registry_uri)
            _pointed.servers = servers
        _pointed.users += 1
    try:
        yield _pointed.mlflow
    finally:
        with _turns:
            _pointed.users -= 1
            if not _pointed.users:
                _pointed.servers = None
                _pointed.restored.close()
                _turns.notify_all()


@dataclass(slots=True)
class _Pointed:
    """Where MLflow points, for how many, and what takes it back."""

    servers: tuple[object, ...] | None = None
    users: int = 0
    mlflow: Any = None
    restored: ExitStack = field(default_factory=ExitStack)


_turns, _pointed = threading.Condition(), _Pointed()


def _point(uri: ModelUri, tracking_uri: str | None, registry_uri: str | None) -> tuple[Any, ExitStack]:
    """Point MLflow there; it, and what takes that back."""
    learn(tracking_uri, registry_uri, os.environ.get("MLFLOW_TRACKING_URI"), os.environ.get("MLFLOW_REGISTRY_URI"))
    with ExitStack() as restored:
        for name, value in _QUIET.items():
            if name not in os.environ:
                os.environ[name] = value
                restored.callback(os.environ.pop, name, None)
        try:
            mlflow: Any = importlib.import_module("mlflow")
        except ImportError as error:
            raise ExtraMissing.named("mlflow", uri.public) from error
        if uri.server or uri.scheme == "dbfs":
            restored.enter_context(_less_said())
            registry_uri = uri.server or "databricks"
            tracking_uri = registry_uri.replace("databricks-uc", "databricks")
        for kind, place, wanted in (("tracking", "_tracking_service", tracking_uri), ("registry", "_model_registry", registry_uri)):
            if wanted:
                pointing = getattr(mlflow, f"set_{kind}_uri")
                set_before = getattr(importlib.import_module(f"mlflow.tracking.{place}.utils"), f"_{kind}_uri", None)
                restored.callback(_set_variable, f"MLFLOW_{kind.upper()}_URI", os.environ.get(f"MLFLOW_{kind.upper()}_URI"))
                restored.callback(pointing, set_before)
                pointing(wanted)
        return mlflow, restored.pop_all()


def _set_variable(name: str, value: str | None) -> None:
    """MLflow's setters write their variable, too, and not all of them take it back."""
    os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
