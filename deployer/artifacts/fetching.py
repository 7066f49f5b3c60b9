"""From a model URI to a model on this machine, whatever the scheme."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from deployer.artifacts import archives, cache
from deployer.artifacts.uri import Kind, ModelUri, parse
from deployer.artifacts.validate import validate
from deployer.core.state import PackagedModel
from deployer.errors import ModelInvalid, ModelNotFound
from deployer.events import Report, silent


def fetch(uri: str, report: Report = silent, *, tracking_uri: str | None = None, registry_uri: str | None = None) -> PackagedModel:
    """The model that a URI names, on this machine and valid.

    A local directory is used where it is; anything else is fetched into the cache (deployer.artifacts.cache), unless what is there now was
    fetched before. Archives (tar, zip) are unpacked. A stage, alias or `latest` is taken for the version it stands for at this moment,
    which the facts name.

    Args:
        uri: a path, `file:`, `s3:`, `gs:`, `wasbs:`, `abfss:`, `http(s):`, `runs:/RUN/PATH`, `models:/NAME/VERSION`, `models:/NAME/STAGE`,
            `models:/NAME/latest`, `models:/NAME@ALIAS`, `models:/m-ID`, `mlflow-artifacts:/PATH`.
        tracking_uri, registry_uri: where MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI don't say it.

    Raises:
        ConfigInvalid: not a URI that is known here.
        ModelNotFound: nothing is there.
        ModelInvalid: what is there is no model that can be served.
        ExtraMissing: the client for this scheme isn't installed.
        PermissionDenied, CredentialsInvalid, TargetUnavailable: what the store or server says.
        MachineFault: disk full, or a file can't be read.
    """
    parsed = parse(uri)
    if parsed.kind is Kind.LOCAL:
        directory = _local(parsed)
        return PackagedModel(validate(directory, parsed.public), directory)
    if parsed.kind is Kind.MLFLOW:
        return _from_mlflow(parsed, report, tracking_uri, registry_uri)
    if parsed.kind is Kind.STORE:
        from deployer.artifacts import stores

        directory = archives.model_below(stores.fetch(parsed, report))
    else:
        from deployer.artifacts import web

        directory = archives.model_below(web.fetch(parsed, report))
    return PackagedModel(validate(directory, parsed.public), directory)


def _from_mlflow(uri: ModelUri, report: Report, tracking_uri: str | None, registry_uri: str | None) -> PackagedModel:
    from deployer.artifacts import registry

    directory, source = registry.fetch(uri, report, tracking_uri=tracking_uri, registry_uri=registry_uri)
    facts = validate(directory, uri.public)
    return PackagedModel(
        replace(
            facts, registered_name=source.registered_name, version=source.version, run_id=source.run_id or facts.run_id, location=source.location
        ),
        directory,
    )


def _local(uri: ModelUri) -> Path:
    path = uri.path
    if os.path.isfile(path):  # noqa: PTH113  Path's own raises at a name that no file can have
        return _unpacked(path, uri)
    if not os.path.isdir(path):  # noqa: PTH112
        raise ModelNotFound(f"there is no directory {path}", advice="name the directory that mlflow's save_model wrote, or another model URI")
    return path.resolve()


def _unpacked(path: Path, uri: ModelUri) -> Path:
    if path.name == "MLmodel":
        raise ModelInvalid(f"{uri.text} is the MLmodel file, not the model", advice=f"name its directory: {path.parent}")
    with path.open("rb") as archive:
        status = path.stat()
        key = [str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino]
        return archives.model_below(cache.kept(path.name, key, lambda directory: archives.unpack(archive, directory, uri.text)))
