"""`spark_udf`: a model as a function on Spark's columns, with the arguments, result types and rules of MLflow's."""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import os
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Optional, Union
from urllib.parse import unquote, urlsplit

from deployer_scoring.enforcement.params import enforce_params
from deployer_scoring.errors import InvalidInput, LoadError
from deployer_scoring.model.mlmodel import MLModel, parse_mlmodel
from deployer_scoring.schema.signature import Schema
from deployer_scoring.spark import result_types, shipping
from deployer_scoring.spark.columns import missing_columns
from deployer_scoring.spark.workers import UdfJob, predictions

_log = logging.getLogger(__name__)

_IDLE = 600.0
_ISOLATED = {"uv", "virtualenv"}


def spark_udf(  # noqa: PLR0917 (MLflow's arguments)
    spark: Any,
    model_uri: Union[str, Path],
    result_type: Any = None,
    env_manager: Optional[str] = "local",
    params: Optional[Mapping[str, Any]] = None,
    extra_env: Optional[Mapping[str, str]] = None,
    prebuilt_env_uri: Optional[str] = None,
    model_config: Union[str, Path, Mapping[str, Any], None] = None,
) -> Callable[..., Any]:
    """A model as a user-defined function of Spark.

    Executors load the model once each, whatever the number of their cores.

    Args:
        spark: A SparkSession on a classic Spark context (not Spark Connect).
        model_uri: The model's directory, as a path or `file:` URI.
        result_type: What each row gives: a `pyspark.sql.types.DataType` or DDL, `"a double, b array<string>"` among them. Without one
            the signature's outputs tell: the type of the one output, or a struct of several; `double` where there are none.
            `int`, `long`, `float`, `double`, `boolean` take the leftmost column of the predictions that fits, arrays of them all that fit,
            `string` the leftmost of all as text, a struct the columns of its fields' names.
        env_manager: `local`: the Python environment of Spark's workers; `uv` or `virtualenv`: one with the model's own requirements, made by
            uv on each executor.
        params: The model's params, for every row.
        extra_env: Environment variables of the model's processes.
        prebuilt_env_uri: Not supported: Databricks' own.
        model_config: Overrides the config that the model was saved with: a mapping, or the path of a YAML file.

    Returns:
        A function of columns, or names of columns. One struct is taken by the names of its fields; several columns by the order of the
        signature; none at all stands for the columns that the signature names.

    Raises:
        MLModelError: The directory is no model.
        ResultTypeError: A result type that predictions can't be given in.
        InvalidInput: The params don't fit the signature; when the function is called: fewer columns than the signature requires.
        LoadError: An environment manager that isn't supported.
    """
    if prebuilt_env_uri is not None:
        raise LoadError("prebuilt_env_uri is for Databricks Connect, which spark_udf doesn't support; use env_manager='uv'")
    model = parse_mlmodel(_local(model_uri))
    json_type = _json_type(result_type, model)
    job = UdfJob(
        **_place(spark, model.directory),
        result_type=json_type,
        params=_params(params, model),
        isolated=_isolated(env_manager),
        environment={**(extra_env or {}), **_config(model_config)},
        idle=_IDLE,
    )
    return _function(_pandas_udf(job), model, spark.sparkContext)


def _local(uri: Union[str, Path]) -> Path:
    parts = urlsplit(str(uri))
    if parts.scheme and parts.scheme != "file":
        raise LoadError(f"{uri} is not a directory; deployer.pyfunc.spark_udf takes any URI of a model")
    return Path(unquote(parts.path) if parts.scheme else str(uri)).resolve()


def _isolated(env_manager: Optional[str]) -> bool:
    if env_manager in {None, "local"}:
        return False
    if env_manager in _ISOLATED:
        return True
    if env_manager == "conda":
        raise LoadError("env_manager='conda' is not supported by spark_udf; 'uv' makes an environment from the same conda.yaml")
    raise LoadError(f"there is no env_manager {env_manager!r}; it is local, uv or virtualenv")


def _json_type(asked: Any, model: MLModel) -> result_types.Json:
    """The JSON of the Spark type that is asked for or else inferred, which predictions can be given in."""
    if asked is None:
        outputs = model.signature.outputs if model.signature else None
        inferred = "double" if outputs is None else result_types.of_outputs(outputs)
        result_types.result_type(inferred, inferred=True)
        return inferred
    given: result_types.Json = (_parsed(asked) if isinstance(asked, str) else asked).jsonValue()
    result_types.result_type(given)
    return given


def _parsed(ddl: str) -> Any:
    from pyspark.sql.types import _parse_datatype_string

    return _parse_datatype_string("boolean" if ddl.strip().lower() == "bool" else ddl)


def _params(params: Optional[Mapping[str, Any]], model: MLModel) -> Optional[dict[str, Any]]:
    """The params as JSON, having been held against the signature: what is wrong with them is said here, not by a task."""
    if params is None:
        return None
    enforce_params(dict(params), model.signature.params if model.signature else None)
    plain: dict[str, Any] = json.loads(json.dumps(dict(params), default=_plain))
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if hasattr(value, "dtype") and value.dtype.kind == "M":
        return str(value)
    return value.tolist()


def _config(model_config: Union[str, Path, Mapping[str, Any], None]) -> dict[str, str]:
    """The variable by which a model's config is overridden."""
    if not model_config:
        return {}
    if isinstance(model_config, (str, Path)):
        import yaml

        model_config = yaml.safe_load(Path(model_config).read_text(encoding="utf-8"))
    return {"SERVING_MODEL_CONFIG": json.dumps(model_config)}


def _place(spark: Any, directory: Path) -> dict[str, Any]:
    """Where executors find the model, and this package: what they lack is sent."""
    context = spark.sparkContext
    shipping.ship_package(context)
    identity = shipping.identity(directory)
    if shipping.on_threads(context):
        return {"identity": identity, "directory": str(directory), "shipped": False}
    return {"identity": identity, "directory": shipping.ship_model(context, directory, identity), "shipped": True}


def _pandas_udf(job: UdfJob) -> Any:
    import pandas as pd
    from pyspark.sql.functions import pandas_udf
    from pyspark.sql.types import _parse_datatype_json_value

    def predict(batches):  # type: ignore[no-untyped-def]
        return predictions(job, batches)

    struct = isinstance(job.result_type, dict) and job.result_type["type"] == "struct"
    # Spark reads which kind of UDF it is from the annotations themselves.
    predict.__annotations__ = {
        "batches": typing.Iterator[typing.Tuple[Union[pd.Series, pd.DataFrame], ...]],
        "return": typing.Iterator[pd.DataFrame] if struct else typing.Iterator[pd.Series],
    }
    return pandas_udf(predict, _parse_datatype_json_value(job.result_type))


@contextlib.contextmanager
def _preloading(context: Any) -> Iterator[None]:
    """Give the UDF that is made in the block a Python daemon that imports ahead what its workers share.

    Spark has a daemon for each set of variables, and takes those of the context when a UDF is first called.
    """
    before = context.environment
    entry = shipping.ship_preload(context)
    context.environment = {**before, "PYTHONPATH": os.pathsep.join(filter(None, [entry, before.get("PYTHONPATH")]))}
    try:
        yield
    finally:
        context.environment = before


def _function(udf: Any, model: MLModel, context: Any) -> Callable[..., Any]:
    inputs = model.signature.inputs if model.signature else None

    def predict(*columns: Any) -> Any:
        if inputs is not None and len(columns) > 1:
            missing_columns(len(columns), inputs)
        with _preloading(context):
            return udf(*(columns or _signature_columns(inputs)))

    predict.metadata = model  # type: ignore[attr-defined]
    return predict


def _signature_columns(inputs: Optional[Schema]) -> list[Any]:
    """The columns that a signature names.

    Raises:
        InvalidInput: It names none, or leaves open which there are.
    """
    from pyspark.sql.functions import col

    if inputs is None:
        raise InvalidInput("the model has no signature that would name the columns: call the UDF with them")
    if not inputs.has_input_names():
        raise InvalidInput(f"the model's signature doesn't name its {len(inputs)} columns ({inputs}): call the UDF with them")
    if optional := inputs.optional_input_names():
        raise InvalidInput(f"{', '.join(map(str, optional))} of the model's signature are optional: call the UDF with the columns there are")
    return [col("`{}`".format(str(name).replace("`", "``"))) for name in inputs.input_names()]
