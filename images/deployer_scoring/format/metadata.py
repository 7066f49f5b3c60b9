"""The MLmodel file as an object to make and change: MLflow's `mlflow.models.Model`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional, Union

import yaml

from deployer_scoring.documents import load_yaml
from deployer_scoring.errors import MLModelError
from deployer_scoring.format.packages import version_of
from deployer_scoring.model.mlmodel import FILE
from deployer_scoring.model.text import read_text
from deployer_scoring.schema.signature import ModelSignature, ParamSchema, Schema


class Model:
    """What a model directory says of itself. Every attribute is a key of the MLmodel file; keys that aren't known here are kept.

    Attributes:
        flavors: By name, how to load the model.
        signature: What it takes and gives; None where nobody said.
        saved_input_example_info: Where the example is and of which kind; None without one.
        mlflow_version: That of the mlflow installed here; None where none is.
    """

    def __init__(  # noqa: PLR0917  MLflow's arguments in MLflow's order
        self,
        artifact_path: Optional[str] = None,
        run_id: Optional[str] = None,
        utc_time_created: Optional[object] = None,
        flavors: Optional[dict[str, Any]] = None,
        signature: Optional[ModelSignature] = None,
        saved_input_example_info: Optional[dict[str, Any]] = None,
        model_uuid: Any = lambda: uuid.uuid4().hex,
        mlflow_version: Any = lambda: version_of("mlflow", "mlflow-skinny"),
        metadata: Optional[dict[str, Any]] = None,
        model_size_bytes: Optional[int] = None,
        model_id: Optional[str] = None,
        prompts: Optional[list[str]] = None,
        **others: Any,
    ) -> None:
        self.artifact_path, self.run_id = artifact_path, run_id
        self.utc_time_created = str(utc_time_created or datetime.now(timezone.utc).replace(tzinfo=None))
        self.flavors: dict[str, Any] = {} if flavors is None else flavors
        self.signature, self.saved_input_example_info = signature, saved_input_example_info
        self.model_uuid = model_uuid() if callable(model_uuid) else model_uuid
        self.mlflow_version: Optional[str] = mlflow_version() if callable(mlflow_version) else mlflow_version
        self.metadata = metadata
        self.model_size_bytes, self.model_id, self.prompts = model_size_bytes, model_id, prompts
        self.__dict__.update(others)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __str__(self) -> str:
        return self.to_yaml()

    def add_flavor(self, name: str, **params: Any) -> Model:
        """Say how to load the model in one more form."""
        self.flavors[name] = params
        return self

    def get_input_schema(self) -> Optional[Schema]:
        return self.signature.inputs if self.signature else None

    def get_output_schema(self) -> Optional[Schema]:
        return self.signature.outputs if self.signature else None

    def get_params_schema(self) -> Optional[ParamSchema]:
        return self.signature.params if self.signature else None

    def load_input_example(self, path: Union[str, Path, None] = None) -> Any:
        """The example that was saved with the model in a directory: a DataFrame, array, sparse matrix or JSON value; None without one.

        Raises:
            FileNotFoundError: It was saved, but its file is gone.
        """
        from deployer_scoring.format.examples import read_example

        return read_example(Path(path or self.artifact_path or "."), self.saved_input_example_info, self.get_input_schema())

    def load_input_example_params(self, path: Union[str, Path]) -> Optional[dict[str, Any]]:
        """The params of the saved example; None where it has none."""
        from deployer_scoring.format.examples import read_example_params

        return read_example_params(Path(path), self.saved_input_example_info)

    def get_serving_input(self, path: Union[str, Path]) -> Optional[str]:
        """The body of a request to /invocations that was saved with the model; None where none was."""
        from deployer_scoring.format.examples import read_serving_input

        return read_serving_input(Path(path), self.saved_input_example_info)

    def to_dict(self) -> dict[str, Any]:
        """The document of the MLmodel file."""
        document = {key: value for key, value in self.__dict__.items() if not key.startswith("_")}
        absent = ("artifact_path", "run_id", "mlflow_version", "metadata", "model_size_bytes", "saved_input_example_info", "signature")
        document = {key: value for key, value in document.items() if value is not None or key not in absent}
        if self.signature is not None:
            document["signature"] = self.signature.to_dict()
            document["is_signature_from_type_hint"] = self.signature.is_from_type_hint
            document["type_hint_from_example"] = self.signature.is_type_hint_from_example
        return document

    def to_yaml(self, stream: Any = None) -> str:
        """The MLmodel file's text; written to the stream where there is one."""
        return yaml.safe_dump(self.to_dict(), stream=stream, default_flow_style=False)  # type: ignore[no-any-return,unused-ignore]

    def to_json(self) -> str:
        return json.dumps(self.to_dict())

    def save(self, path: Union[str, Path]) -> None:
        """Write the MLmodel file at this path."""
        Path(path).write_text(self.to_yaml(), encoding="utf-8")

    @classmethod
    def load(cls, path: Union[str, Path]) -> Model:
        """Read an MLmodel file, or that of a directory.

        Raises:
            MLModelError: No such file, or no MLmodel.
            SchemaError: Its signature breaks the rules.
        """
        file = Path(str(path)[len("file://") :] if str(path).startswith("file:///") else path).expanduser()
        file = file / FILE if file.is_dir() else file
        try:
            document = load_yaml(read_text(file))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise MLModelError(str(file), None, f"can't be read: {error}", "Name a directory that holds an MLmodel file, or the file.") from error
        if not isinstance(document, dict):
            raise MLModelError(str(file), None, "holds no mapping", "Save the model again.")
        return cls.from_dict(document)

    @classmethod
    def from_dict(cls, model_dict: Mapping[str, Any]) -> Model:
        """The object of an MLmodel's document.

        Raises:
            SchemaError: Its signature breaks the rules.
        """
        document = {"model_uuid": None, "mlflow_version": None, **model_dict}
        from_hint, from_example = (bool(document.pop(key, False)) for key in ("is_signature_from_type_hint", "type_hint_from_example"))
        if isinstance(document.get("signature"), dict):
            read = ModelSignature.from_dict(document["signature"])
            document["signature"] = ModelSignature(read.inputs, read.outputs, read.params, from_hint, from_example)
        return cls(**document)

    @classmethod
    def log(cls, artifact_path: Optional[str] = None, flavor: Any = None, registered_model_name: Optional[str] = None, **options: Any) -> Any:
        """Save a model by a flavor's `save_model`, to a tracking server.

        Args:
            artifact_path, name: What the model is called in its run.
            flavor: A module or object with `save_model(path, mlflow_model, **options)`.
            registered_model_name: The model is registered under it, too.
            options: Those of the flavor's save_model, and of mlflow's Model.log.

        Returns:
            mlflow's ModelInfo.

        Raises:
            LoadError: mlflow isn't installed here.
        """
        from deployer_scoring.format.tracking import log

        return log(flavor, described=cls, artifact_path=artifact_path, registered_model_name=registered_model_name, **options)
