"""Model URIs: what each form names, and what a deployment of it may be called."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deployer.errors import ConfigInvalid

FORMS = (
    "a directory, file:, s3://, gs://, wasbs://, abfss://, http(s)://, runs:/RUN/PATH, models:/NAME/VERSION, models:/NAME@ALIAS, "
    "models:/m-ID or mlflow-artifacts:/PATH"
)

_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz", ".zip")


class Kind(Enum):
    """Who knows how to fetch it."""

    LOCAL = "local"
    STORE = "object store"
    WEB = "web"
    MLFLOW = "mlflow"


_SCHEMES = {
    "file": Kind.LOCAL,
    **dict.fromkeys(("s3", "s3a", "s3n", "gs", "gcs", "wasb", "wasbs", "abfs", "abfss", "az"), Kind.STORE),
    **dict.fromkeys(("http", "https"), Kind.WEB),
    **dict.fromkeys(("runs", "models", "mlflow-artifacts"), Kind.MLFLOW),
}


@dataclass(frozen=True, slots=True)
class ModelUri:
    """A model URI taken apart.

    Attributes:
        text: as the user gave it.
        scheme: in lower case; "file" for a path.
    """

    text: str
    scheme: str
    kind: Kind

    @property
    def public(self) -> str:
        """What may be printed and recorded: without user, password and query (a presigned address is a secret)."""
        if self.kind is Kind.LOCAL or self.scheme in {"runs", "models"}:
            return self.text
        parts = urlsplit(self.text)
        keeps_user = self.kind is Kind.STORE  # the container in wasbs://CONTAINER@ACCOUNT.blob.core.windows.net
        return parts._replace(netloc=parts.netloc if keeps_user else parts.netloc.rpartition("@")[2], query="", fragment="").geturl()

    @property
    def path(self) -> Path:
        """The path that a `file:` URI or a path names; `~` is the home directory.

        Raises:
            ConfigInvalid: a file on another host.
        """
        if not self.text.lower().startswith("file:"):
            return Path(self.text).expanduser()
        parts = urlsplit(self.text)
        if parts.netloc not in {"", "localhost"}:
            raise ConfigInvalid(
                f"{self.text} names a file on the host {parts.netloc}", advice=f"a file of this machine is file:///{parts.path.lstrip('/')}"
            )
        return Path(unquote(parts.path)).expanduser()


def parse(text: str) -> ModelUri:
    """Take a model URI apart.

    Raises:
        ConfigInvalid: empty, or of a scheme that isn't known.
    """
    if not text.strip():
        raise ConfigInvalid("a model URI is empty", advice=f"it is one of: {FORMS}")
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", text)
    if match is None:
        return ModelUri(text, "file", Kind.LOCAL)
    scheme = match[1].lower()
    if scheme in _SCHEMES:
        return ModelUri(text, scheme, _SCHEMES[scheme])
    if Path(text).exists():
        return ModelUri(text, "file", Kind.LOCAL)
    raise ConfigInvalid(f"{text} is no model URI: nothing here reads {scheme}:", advice=f"it is one of: {FORMS}")


def candidate_name(uri: str) -> str:
    """What to call a deployment of this model: the registered model's name, or the directory's; each target makes it valid for itself.

    `models:/churn/3` and `models:/prod.churn@champion` give churn and prod.churn, `runs:/ID/model` model, `s3://bucket/models/churn.tar.gz`
    churn. A logged model's URI (`models:/m-ID`) gives its id, where `fetch` has not found a better one.

    Raises:
        ConfigInvalid: as `parse`; or a URI that has no name in it.
    """
    parsed = parse(uri)
    if parsed.kind is Kind.LOCAL:
        name = parsed.path.resolve().name
    elif parsed.scheme == "models":
        name = urlsplit(uri).path.lstrip("/").partition("/")[0].partition("@")[0]
    else:
        parts = urlsplit(parsed.public)
        name = unquote(parts.path).rstrip("/").rpartition("/")[2] or parts.netloc.rpartition("@")[2].partition(".")[0]
    for ending in _ARCHIVES:
        name = name.removesuffix(ending)
    if not name.strip(". "):
        raise ConfigInvalid(f"{uri} has no name in it to call the deployment by", advice="name the deployment: -n NAME")
    return name


def spelled(path: Path) -> str:
    """A path as people write it: relative where it lies below the current directory."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
