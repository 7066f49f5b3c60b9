"""Model URIs: what each form names, and what a deployment of it may be called."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deployer.errors import ConfigInvalid
from deployer_scoring.fetching.uris import ARCHIVES
from deployer_scoring.masking import learn, without_secrets

FORMS = (
    "a directory, file:, s3://, gs://, wasbs://, abfss://, http(s)://, runs:/RUN/PATH, models:/NAME/VERSION, models:/NAME@ALIAS, "
    "models:/m-ID, mlflow-artifacts:/PATH or dbfs:/PATH; models://PROFILE@databricks/NAME/VERSION, too"
)


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
    **dict.fromkeys(("runs", "models", "mlflow-artifacts", "dbfs"), Kind.MLFLOW),
}
_DATABRICKS = {"models": ("databricks", "databricks-uc"), "runs": ("databricks",), "dbfs": ("databricks",)}
"""What may stand for the server in a URI, behind a profile: all that MLflow knows."""


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
    def is_registered(self) -> bool:
        """Whether it names a version in a model registry (`models:/NAME/VERSION`, `models:/NAME@ALIAS`), which a logged model's id doesn't."""
        name, _, rest = urlsplit(self.text).path.lstrip("/").partition("/")
        return self.scheme == "models" and bool(rest or "@" in name)

    @property
    def public(self) -> str:
        """What may be printed and recorded: without user, password and query (a presigned address is a secret)."""
        if self.kind is Kind.LOCAL or self.scheme in _DATABRICKS:
            return self.text
        return without_secrets(self.text).partition("?")[0].partition("#")[0]

    @property
    def server(self) -> str | None:
        """The server that the URI itself names, as MLflow calls it: "databricks://PROFILE"; None where the settings say which it is."""
        user, _, host = urlsplit(self.text).netloc.rpartition("@") if self.scheme in _DATABRICKS else ("", "", "")
        return (f"{host.lower()}://{user}" if user else host.lower()) or None

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
    learn(text)
    if not text.strip():
        raise ConfigInvalid("a model URI is empty", advice=f"it is one of: {FORMS}")
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", text)
    if match is None:
        return ModelUri(text, "file", Kind.LOCAL)
    scheme = match[1].lower()
    if scheme in _SCHEMES:
        try:
            urlsplit(text)
        except ValueError as error:
            raise ConfigInvalid(f"{text} is no model URI: {error}", advice=f"it is one of: {FORMS}") from error
        _look_at_server(text, scheme)
        return ModelUri(text, scheme, _SCHEMES[scheme])
    if os.path.exists(text):  # noqa: PTH110  Path's own raises at a name that no file can have
        return ModelUri(text, "file", Kind.LOCAL)
    raise ConfigInvalid(f"{text} is no model URI: nothing here reads {scheme}:", advice=f"it is one of: {FORMS}")


def _look_at_server(text: str, scheme: str) -> None:
    """Refuse a server that isn't known rather than look for the model at another."""
    known, parts = _DATABRICKS.get(scheme), urlsplit(text)
    host = parts.netloc.rpartition("@")[2]
    if known and host and host.lower() not in known:
        raise ConfigInvalid(
            f"{scheme}://{host}{parts.path} names a server, {host}, and after {scheme}:// only {' or '.join(known)} is known as one",
            advice=f"write {scheme}:/{host}{parts.path}, or {scheme}://PROFILE@databricks/...; --tracking-uri and --registry-uri name other servers",
        )


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
    for ending in ARCHIVES:
        name = name.removesuffix(ending)
    if not name.strip(". "):
        raise ConfigInvalid(f"{uri} has no name in it to call the deployment by", advice="name the deployment: -n NAME")
    return name


def spelled(path: Path) -> str:
    """A path as people write it: relative where it lies below the current directory."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
