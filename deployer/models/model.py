"""The MLmodel file as an object, from wherever a model is (`mlflow.models.Model`)."""

from __future__ import annotations

from pathlib import Path

from deployer.artifacts.uri import Kind, parse
from deployer.models.loading import fetched
from deployer_scoring.format import metadata

__all__ = ["Model"]


class Model(metadata.Model):
    __doc__ = metadata.Model.__doc__

    @classmethod
    def load(cls, path: str | Path) -> metadata.Model:
        """Read the MLmodel of a path, a directory or a model URI.

        Raises:
            MLModelError: no such file on this machine, or no MLmodel.
            ConfigInvalid, ModelNotFound, ModelInvalid, ExtraMissing, ...: as `deployer.artifacts.fetch`, for what isn't on this machine.
        """
        parsed = parse(str(path))
        return super().load(parsed.path if parsed.kind is Kind.LOCAL else fetched(path))
