"""What MLflow's client raises, as our errors: which server said no, why, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deployer.artifacts import cache
from deployer.artifacts.uri import ModelUri
from deployer.errors import ConfigInvalid, CredentialsInvalid, DeployerError, ExtraMissing, ModelNotFound, PermissionDenied, TargetUnavailable
from deployer_scoring.masking import without_secrets


@contextmanager
def errors(uri: ModelUri, mlflow: Any) -> Iterator[None]:
    """Turn what is raised in the block, which asks MLflow for what the URI names, into our errors."""
    try:
        with cache.machine_faults():
            yield
    except DeployerError:
        raise
    except ImportError as error:
        missing = error.name or "a package"
        raise ExtraMissing(
            f"{uri.public} is kept where MLflow needs {missing} to read, which is not installed",
            why=" ".join(str(error).split()),
            advice=f"pip install {_PACKAGES.get(missing, missing)}",
        ) from error
    except Exception as error:
        raise _translated(uri, error, without_secrets(uri.server or _asked(uri, mlflow))) from error


def _asked(uri: ModelUri, mlflow: Any) -> str:
    """The server that MLflow asks: versions of a name are the registry's, everything else is the tracking server's."""
    return str(mlflow.get_registry_uri() if uri.is_registered else mlflow.get_tracking_uri())


_OURS = '"deployer-ml[mlflow]"'
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
# Modules of MLflow's artifact stores and of its local databases, where the package is called otherwise.
_PACKAGES = {"azure": "azure-storage-blob", "google": "google-cloud-storage", "sqlalchemy": _OURS, "alembic": _OURS}
_NO_DATABRICKS = (
    "Databricks credential configuration failed",
    "hostname and credentials configured by",
    "cannot configure default credentials",
    "profile configured",
)


def _translated(uri: ModelUri, error: Exception, server: str) -> DeployerError:
    text = " ".join(str(error).split())
    code = str(getattr(error, "error_code", ""))
    absent = code in {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"} or (code == "INVALID_PARAMETER_VALUE" and "not found" in text)
    silent = "API request to" in text or "Max retries exceeded" in text or code == "TEMPORARILY_UNAVAILABLE" or isinstance(error, OSError)
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return cache.disk_full()
    for applies, kind, message, advice in (
        (
            code == "UNAUTHENTICATED" or "error code 401" in text,
            CredentialsInvalid,
            f"{server} does not accept these credentials",
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        ),
        (
            code in {"PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"} or "error code 403" in text,
            PermissionDenied,
            f"{uri.public} may not be read with these credentials of {server}",
            "ask for read permission on it",
        ),
        (
            absent or "error code 404" in text or isinstance(error, FileNotFoundError),
            ModelNotFound,
            f"{uri.public} does not exist on {server}",
            "MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI name the server",
        ),
        (
            any(said in text for said in _NO_DATABRICKS) or type(error).__name__ == "_NoDbutilsError",
            CredentialsInvalid,
            f"the credentials of {server} can't be read, so {uri.public} was not looked up",
            "look at the profiles in ~/.databrickscfg (DATABRICKS_CONFIG_FILE); a scope's secrets can be read within Databricks alone",
        ),
        (
            "unsupported URI" in text and server.partition(":")[0].partition("+")[0] in _DATABASES,
            ExtraMissing,
            f"{uri.public} is in the database {server}, which MLflow needs sqlalchemy to read",
            f"pip install {_OURS}",
        ),
        (
            "unsupported URI" in text or "must be a valid http or https URI" in text or type(error).__name__ == "InvalidUrlException",
            ConfigInvalid,
            f"{uri.public} can't be looked up at {server}: that is no model registry which MLflow can read here",
            "name the server: MLFLOW_TRACKING_URI, MLFLOW_REGISTRY_URI, --tracking-uri or --registry-uri",
        ),
        (
            code == "INVALID_PARAMETER_VALUE" or "is unsupported for models" in text,
            ConfigInvalid,
            f"{uri.public} is refused by {server}",
            "MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI name the server",
        ),
        (
            silent,
            TargetUnavailable,
            f"the MLflow server {server} does not answer",
            "look at MLFLOW_TRACKING_URI, MLFLOW_REGISTRY_URI and the network, and run the command again",
        ),
    ):
        if applies:
            return kind(message, why=text, advice=advice)
    return DeployerError(f"{uri.public} could not be fetched from {server}", why=f"{type(error).__name__}: {text}")
