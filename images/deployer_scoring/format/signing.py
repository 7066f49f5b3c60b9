"""Which signature a saved model gets: from the type hints of its predict, as given, or from its example and what it predicts for it."""

from __future__ import annotations

import copy
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pandas as pd

from deployer_scoring.enforcement.enforce import enforce
from deployer_scoring.enforcement.params import enforce_params
from deployer_scoring.errors import InvalidInput, SchemaError
from deployer_scoring.format.examples import InputExample
from deployer_scoring.format.inference import infer_params, infer_schema
from deployer_scoring.loaders.loading import load
from deployer_scoring.loaders.own_modules import forget
from deployer_scoring.model.mlmodel import parse_mlmodel
from deployer_scoring.schema.datatypes import AnyType
from deployer_scoring.schema.hinted import held_against
from deployer_scoring.schema.hints import InvalidHint, TypeFromExample, input_schema, output_schema, says_nothing_of_columns
from deployer_scoring.schema.signature import ColSpec, ModelSignature, Schema

_log = logging.getLogger(__name__)
_ANY = Schema([ColSpec(AnyType())])


def sign(directory: Path, model: Any, given: Optional[ModelSignature], example: Optional[InputExample]) -> Optional[ModelSignature]:
    """The signature of a model; None where nothing tells it.

    Args:
        directory: The model as saved so far, its MLmodel too: what predicts for the example is loaded from there, so that the object at hand
            stays as it is.
        model: The object: its type hints count first.
        given: The signature that the user gave.
        example: Held against the given signature, or else what a signature is inferred from.

    Raises:
        InvalidHint: The type hint of predict breaks the rules.
        SchemaError: The example doesn't fit the given signature.
    """
    hints = model.predict_type_hints
    from_example = hints.input == TypeFromExample
    hinted = None if from_example or hints.input is None or says_nothing_of_columns(hints.input) else _from_hints(directory, hints, example)
    if hinted is not None:
        if given is not None and given != hinted:
            _log.warning("the given signature is not what the type hints of predict say; theirs is taken:\n%s", hinted)
        return hinted
    if given is None:
        signature = None if example is None else _from_example(directory, example)
    else:
        signature = given
        _check_example(given, example)
    if not from_example or signature is None:
        return signature
    if example is None or not isinstance(example.data, (list, pd.DataFrame, pd.Series)):
        _log.warning("TypeFromExample needs an input example that is a list, DataFrame or Series: without one, the input is a DataFrame")
        return signature
    return replace(signature, is_type_hint_from_example=True)


def _from_hints(directory: Path, hints: Any, example: Optional[InputExample]) -> Optional[ModelSignature]:
    try:
        inputs = input_schema(hints.input)
    except InvalidHint:
        raise
    except SchemaError as error:
        _log.warning("no signature from the type hint of predict: %s", error)
        return None
    outputs = _output_of(directory, hints.output, example)
    params = infer_params(example.params) if example is not None and example.params else None
    return ModelSignature(inputs, outputs, params, is_from_type_hint=True)


def _output_of(directory: Path, hint: Any, example: Optional[InputExample]) -> Schema:
    """The schema of the output's hint; any where there is none, or where the prediction for the example isn't of it."""
    if hint is None:
        return _ANY
    try:
        schema = output_schema(hint)
    except SchemaError as error:
        _log.info("the type hint of predict's output has no schema, so it is any: %s", error)
        return _ANY
    try:
        if example is not None:
            held_against(_prediction(directory, example.data, example.params), hint)
    except InvalidInput as error:
        _log.warning("what predict gives for the example is not of its type hint, so the output's schema is any: %s", error)
        return _ANY
    except Exception as error:
        _log.warning("predict failed for the example: %s: %s", type(error).__name__, error)
    return schema


def _from_example(directory: Path, example: InputExample) -> Optional[ModelSignature]:
    """The signature that the example and the prediction for it have; None where the model can't predict for it."""
    try:
        inputs = infer_schema(example.data)
        params = infer_params(example.params) if example.params else None
        data = enforce(copy.deepcopy(example.data), inputs)
        prediction = _prediction(directory, data, enforce_params(example.params, params))
    except Exception as error:  # a model may raise anything
        _log.warning("no signature from the input example: %s: %s", type(error).__name__, error)
        return None
    if isinstance(prediction, np.ndarray) and prediction.ndim == 1 and not inputs.is_tensor_spec():
        prediction = pd.Series(prediction)
    try:
        return ModelSignature(inputs, infer_schema(prediction), params)
    except Exception as error:
        _log.warning("the prediction for the example has no schema, so it is any: %s", error)
        return ModelSignature(inputs, _ANY, params)


def _check_example(given: ModelSignature, example: Optional[InputExample]) -> None:
    if example is None:
        return
    try:
        enforce(copy.deepcopy(example.data), given.inputs)
        enforce_params(example.params, given.params)
    except InvalidInput as error:
        raise SchemaError(f"the input example doesn't fit the signature: {error}") from error


def _prediction(directory: Path, data: Any, params: Any) -> Any:
    with _as_found(directory):
        return load(parse_mlmodel(directory), alone=False).method("predict")(copy.deepcopy(data), params=params)


@contextmanager
def _as_found(directory: Path) -> Iterator[None]:
    """Leave sys.path, the modules and the environment as they were, which loading a model changes for good, and no bytecode beside its code."""
    paths, variables, without_bytecode = [*sys.path], dict(os.environ), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.path[:], sys.dont_write_bytecode = paths, without_bytecode
        forget(directory)
        for name in os.environ.keys() - variables.keys():
            del os.environ[name]
        os.environ.update(variables)
