"""A model in memory that answers requests: bytes in, bytes out. What HTTP is, it doesn't know."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pandas as pd

from deployer_scoring.enforcement.columns import refusal
from deployer_scoring.enforcement.enforce import enforce
from deployer_scoring.enforcement.params import enforce_params
from deployer_scoring.errors import InvalidInput, ModelFailure
from deployer_scoring.loaders.loading import load_implementation, one_line
from deployer_scoring.model.examples import shaped_as_example
from deployer_scoring.model.mlmodel import MLModel, parse_mlmodel
from deployer_scoring.wire.decoding import decode
from deployer_scoring.wire.encoding import encode

_log = logging.getLogger(__name__)


class Scorer:
    """A loaded model. Not for several threads at once: models are seldom made for that."""

    def __init__(self, model: MLModel, implementation: Any) -> None:
        """Wrap what a loader module gave.

        Args:
            model: Its description: signature and names of its methods.
            implementation: The object with these methods.
        """
        self.model = model
        self._predict = getattr(implementation, model.pyfunc.predict_fn)
        stream = model.pyfunc.predict_stream_fn
        self._stream = getattr(implementation, stream, None) if stream else None
        self._inputs = model.signature.inputs if model.signature else None
        self._params = model.signature.params if model.signature else None

    @classmethod
    def load(cls, directory: Path) -> Scorer:
        """Load a model directory.

        Raises:
            MLModelError: The MLmodel is not valid.
            LoadError: The model can't be loaded here.
        """
        model = parse_mlmodel(directory)
        return cls(model, load_implementation(model))

    @property
    def streams(self) -> bool:
        """Whether the model can answer piece by piece."""
        return self._stream is not None

    def answer(self, body: bytes, content_type: str) -> bytes:
        """The JSON answer to a request.

        Raises:
            InvalidInput: The request is at fault.
            ModelFailure: The model raised.
            EncodingError: The model's answer has no JSON form.
        """
        asked = decode(body, content_type, self.model)
        return encode(self.predict(asked.data, asked.params), wrapped=asked.wrapped)

    def answer_in_pieces(self, body: bytes, content_type: str) -> Iterator[bytes]:
        """The answer of a model that streams, a line of JSON for each piece (without the line's end).

        The request is checked before the first piece is asked for; the same errors as `answer` may come at any piece.
        """
        asked = decode(body, content_type, self.model)
        data = _single(enforce(asked.data, self._inputs))
        pieces = self._call(self._stream, data, enforce_params(asked.params, self._params))
        return (encode(piece, wrapped=False) for piece in _watched(iter(pieces)))

    def predict(self, data: Any, params: Any = None) -> Any:
        """The model's own answer to data that is held against its signature first.

        Raises:
            InvalidInput: The data or the params don't fit the signature.
            ModelFailure: The model raised.
        """
        if not self.model.is_signature_from_type_hint:
            data = enforce(data, self._inputs)
            if self.model.type_hint_from_example and isinstance(data, pd.DataFrame):
                data = shaped_as_example(data, self.model)
        return self._call(self._predict, data, enforce_params(params, self._params))

    def _call(self, method: Any, data: Any, params: Any) -> Any:
        takes = inspect.signature(method).parameters.get("params")
        if takes is not None and takes.kind is not inspect.Parameter.VAR_KEYWORD:
            return _guarded(lambda: method(data, params=params))
        if params:
            _log.warning("the model's predict takes no params, so these are ignored: %s", ", ".join(params))
        return _guarded(lambda: method(data))


def _guarded(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        raise _as_ours(error) from error


def _watched(pieces: Iterator[Any]) -> Iterator[Any]:
    end = object()
    while (piece := _guarded(lambda: next(pieces, end))) is not end:
        yield piece


def _as_ours(error: Exception) -> Exception:
    """The model's failure, or the request's where mlflow inside the model blames it (an MlflowException that stands for a 4xx)."""
    status = getattr(error, "get_http_status_code", None)
    if callable(status) and 400 <= status() < 500:
        return InvalidInput(str(error), error_code=str(getattr(error, "error_code", "BAD_REQUEST")))
    return ModelFailure(one_line(error))


def _single(data: Any) -> Any:
    """The one request that a streaming model takes: not a frame, not an array, but the JSON value behind it.

    Raises:
        InvalidInput: More than one row.
    """
    if isinstance(data, pd.DataFrame):
        data = data.iloc[:, 0].tolist() if [*map(str, data.columns)] == ["0"] else data.to_dict(orient="records")
    data = _without_numpy(data)
    if not isinstance(data, list):
        return data
    if len(data) != 1:
        raise refusal(f"a streamed answer is for one row, and the input has {len(data)}")
    return data[0]


def _without_numpy(value: Any) -> Any:
    """The value with numpy's arrays and scalars, at any depth, as Python's lists and scalars."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list):
        return [_without_numpy(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_numpy(item) for key, item in value.items()}
    return value
