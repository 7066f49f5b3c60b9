"""Files and folders that a model is saved with, fetched from wherever their URIs say."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from deployer.artifacts.uri import Kind, ModelUri, parse
from deployer.errors import ExtraMissing, ModelNotFound

_HUGGING_FACE = "hf:/"


def fetch_artifact(uri: str, folder: Path) -> Path:
    """The file or folder that a URI names: where it is on this machine, or else fetched into an empty folder.

    Args:
        uri: As a model's, of which it need be none; and `hf:/OWNER/NAME`, a repository of Hugging Face.

    Raises:
        ConfigInvalid: Not a URI that is known here.
        ModelNotFound: Nothing is there.
        ExtraMissing: The client for this scheme isn't installed.
    """
    if uri.startswith(_HUGGING_FACE):
        hub = _module("huggingface_hub", uri, "huggingface_hub")
        return Path(hub.snapshot_download(repo_id=uri[len(_HUGGING_FACE) :].lstrip("/"), local_dir=str(folder / "snapshot")))
    parsed = parse(uri)
    if parsed.kind is Kind.LOCAL:
        return parsed.path
    if parsed.kind is Kind.MLFLOW:
        artifacts = _module("mlflow.artifacts", uri, "'deployer-ml[mlflow]'")
        return Path(artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
    return _from_store(parsed, folder) if parsed.kind is Kind.STORE else _from_web(parsed, folder)


def _from_store(uri: ModelUri, folder: Path) -> Path:
    from deployer.artifacts.stores import errors, location, opened
    from deployer.artifacts.transfer import download
    from deployer.events import silent

    with errors(uri):
        store = opened(uri)
        listed = store.listed()
        if not listed:
            raise ModelNotFound(f"there is nothing at {uri.public}", advice="look at the bucket and the path; names are told apart by case")
        target = folder / location(uri)[1].rpartition("/")[2]
        if [file.path for file in listed] == [""]:
            store.get(listed[0], target, lambda _: None)
        else:
            download(listed, store.get, target, uri.public, silent)
    return target


def _from_web(uri: ModelUri, folder: Path) -> Path:
    import httpx

    target = folder / (unquote(urlsplit(uri.text).path).rstrip("/").rpartition("/")[2] or "artifact")
    with httpx.stream("GET", uri.text, follow_redirects=True) as response:
        if response.is_error:
            raise ModelNotFound(f"{uri.public} answers {response.status_code}", advice="look at the address, or download the file first")
        with target.open("wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
    return target


def _module(name: str, uri: str, package: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise _missing(uri, package) from error


def _missing(uri: str, package: str) -> ExtraMissing:
    return ExtraMissing(f"nothing is installed that fetches {uri}", advice=f"pip install {package}")
