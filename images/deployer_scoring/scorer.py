"""A model in memory that answers requests: bytes in, bytes out, several at once where rows may stand together. What HTTP is, it doesn't know."""

from __future__ import annotations

import importlib
import inspect
import logging
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Union

import numpy as np
import pandas as pd

from deployer_scoring.enforcement.columns import refusal
from deployer_scoring.enforcement.enforce import enforce
from deployer_scoring.enforcement.params import enforce_params
from deployer_scoring.errors import InvalidInput, ModelFailure
from deployer_scoring.loaders.loading import Loaded, load, one_line
from deployer_scoring.model.examples import shaped_as_example
from deployer_scoring.model.mlmodel import MLModel, parse_mlmodel
from deployer_scoring.wire.decoding import Decoded, Decoder
from deployer_scoring.wire.encoding import encode
from deployer_scoring.wire.joining import join, join_key, rows_of, split
from deployer_scoring.wire.table import Table

_log = logging.getLogger(__name__)

INVOCATIONS = "invocations"
"""The codec of MLflow's scoring protocol."""
_OTHER_CODECS = {
    "v1": ("v1_codec", "FirstVersionCodec"),
    "v2": ("inference_codec", "InferenceCodec"),
    "v2-grpc": ("inference_grpc", "InferenceMessageCodec"),
}
"""Those of the Open Inference Protocol, imported when one is first asked for."""
MOST_ROWS = 8192
"""How many rows are joined into one predict, where nothing else is said."""


class Ask(NamedTuple):
    """A request, as far as the model is concerned."""

    body: bytes
    content_type: str
    codec: str = INVOCATIONS


class Predicted(NamedTuple):
    """One call of the model's predict."""

    requests: int
    """How many requests were joined in it."""
    rows: int
    """0 where the data has no rows to count."""
    seconds: float


class BatchAnswers(NamedTuple):
    """What became of several requests."""

    outcomes: list[Union[bytes, Exception]]
    """In the order of the requests; an exception is one of those that `Scorer.answer` raises."""
    predicted: list[Predicted]
    seconds: float = 0.0
    """Seconds from bytes to bytes."""


class _Asked(NamedTuple):
    """A decoded request, and its place among the others."""

    place: int
    codec: Any
    decoded: Decoded
    data: Any
    params: Any


class Scorer:
    """A loaded model. Not for several threads at once: each makes its own of the same `Loaded`."""

    def __init__(self, model: MLModel, loaded: Loaded, *, most_rows: int = MOST_ROWS) -> None:
        """Wrap what a loader gave.

        Args:
            model: Its description: signature and names of its methods.
            loaded: The object with these methods, and what may be done with it.
            most_rows: How many rows may be joined into one predict.
        """
        self.model, self.loaded = model, loaded
        self._most_rows = most_rows
        self._predict = _Method(loaded.method(model.pyfunc.predict_fn))
        stream = model.pyfunc.predict_stream_fn
        self._stream = _Method(loaded.method(stream)) if stream and hasattr(loaded.implementation, stream) else None
        self._inputs = model.signature.inputs if model.signature else None
        self._params = model.signature.params if model.signature else None
        self._codecs: dict[str, Any] = {INVOCATIONS: _Invocations(model)}

    @classmethod
    def load(cls, directory: Path) -> Scorer:
        """Load a model directory.

        Raises:
            MLModelError: The MLmodel is not valid.
            LoadError: The model can't be loaded here.
        """
        model = parse_mlmodel(directory)
        return cls(model, load(model, alone=False))

    @property
    def streams(self) -> bool:
        """Whether the model can answer piece by piece."""
        return self._stream is not None

    def answer(self, body: bytes, content_type: str, codec: str = INVOCATIONS) -> bytes:
        """The answer to a request.

        Raises:
            InvalidInput: The request is at fault.
            ModelFailure: The model raised.
            EncodingError: The model's answer has no form in the codec.
        """
        (outcome,) = self.answers((Ask(body, content_type, codec),)).outcomes
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def answers(self, asks: Sequence[Ask]) -> BatchAnswers:
        """The answers to several requests, in as few predicts as can be. What is wrong with one is no other's fault.

        Only for models whose rows don't influence each other, unless there is but one request.
        """
        begun = perf_counter()
        outcomes, predicted = self._lone_answer(asks[0]) if len(asks) == 1 else self._joined_answers(asks)
        return BatchAnswers(outcomes, predicted, perf_counter() - begun)

    def _joined_answers(self, asks: Sequence[Ask]) -> tuple[list[Any], list[Predicted]]:
        outcomes: list[Union[bytes, Exception, None]] = [None] * len(asks)
        predicted: list[Predicted] = []
        for group in self._groups(asks, outcomes):
            for asked, answer in zip(group, self._predictions(group, predicted)):
                outcomes[asked.place] = answer if isinstance(answer, Exception) else _encoded(asked, answer)
        return outcomes, predicted

    def answer_in_pieces(self, body: bytes, content_type: str) -> Iterator[bytes]:
        """The answer of a model that streams, a line of JSON for each piece (without the line's end).

        The request is checked before the first piece is asked for; the same errors as `answer` may come at any piece.
        """
        asked = self._codecs[INVOCATIONS].decode(body, content_type)
        data = asked.data.frame() if isinstance(asked.data, Table) else enforce(asked.data, self._inputs)
        return (encode(piece, wrapped=False) for piece in self._pieces(data, asked.params))

    def stream(self, data: Any, params: Any = None) -> Iterator[Any]:
        """The pieces of the model's own answer to one input that is held against its signature first; raises what `predict` raises."""
        return self._pieces(enforce(data, self._inputs), params)

    def _pieces(self, data: Any, params: Any) -> Iterator[Any]:
        return _watched(iter(self._call(self._stream, _single(data), enforce_params(params, self._params))))

    def predict(self, data: Any, params: Any = None) -> Any:
        """The model's own answer to data that is held against its signature first.

        Raises:
            InvalidInput: The data or the params don't fit the signature.
            ModelFailure: The model raised.
        """
        return self._call(self._predict, self._given(self._enforced(data)), enforce_params(params, self._params))

    def _lone_answer(self, ask: Ask) -> tuple[list[Any], list[Predicted]]:
        try:
            asked = self._asked(0, ask)
            started = perf_counter()
            predictions = self._call(self._predict, self._given(asked.data), asked.params)
            seconds = perf_counter() - started
            return [asked.codec.encode(predictions, asked.decoded)], [Predicted(1, rows_of(asked.data), seconds)]
        except Exception as error:
            return [error], []

    def _groups(self, asks: Sequence[Ask], outcomes: list[Any]) -> list[list[_Asked]]:
        """The requests that can be read, those that may be joined together in one list; of the others the error is the outcome."""
        groups: dict[Any, list[_Asked]] = {}
        for place, ask in enumerate(asks):
            try:
                asked = self._asked(place, ask)
            except Exception as error:
                outcomes[place] = error
                continue
            key = join_key(asked.data)
            groups.setdefault(place if key is None else (key, asked.params and repr(asked.params)), []).append(asked)
        return [part for group in groups.values() for part in self._portions(group)]

    def _portions(self, group: list[_Asked]) -> Iterator[list[_Asked]]:
        """A group in parts of no more rows than are joined at once."""
        start, rows = 0, 0
        for at, asked in enumerate(group if len(group) > 1 else ()):
            rows += rows_of(asked.data)
            if rows > self._most_rows and at > start:
                yield group[start:at]
                start, rows = at, rows_of(asked.data)
        yield group[start:]

    def _asked(self, place: int, ask: Ask) -> _Asked:
        codec = self._codecs.get(ask.codec) or self._other_codec(ask.codec)
        decoded = codec.decode(ask.body, ask.content_type)
        params = enforce_params(decoded.params, self._params) if decoded.params is not None or self._params is not None else None
        return _Asked(place, codec, decoded, self._enforced(decoded.data), params)

    def _other_codec(self, name: str) -> Any:
        module, codec = _OTHER_CODECS[name]
        self._codecs[name] = getattr(importlib.import_module(f"deployer_scoring.wire.{module}"), codec)(self.model)
        return self._codecs[name]

    def _predictions(self, group: list[_Asked], predicted: list[Predicted]) -> Sequence[Any]:
        """The model's answers to requests that were joined; an exception stands for the answer of one that failed."""
        started = perf_counter()
        try:
            answer = self._call(self._predict, self._given(join([asked.data for asked in group])), group[0].params)
        except Exception as error:
            if len(group) == 1:
                return [error]
            middle = len(group) // 2  # one of them is at fault: it is found in few steps, and the others keep their answers
            return [*self._predictions(group[:middle], predicted), *self._predictions(group[middle:], predicted)]
        rows = [rows_of(asked.data) for asked in group]
        predicted.append(Predicted(len(group), sum(rows), perf_counter() - started))
        parts = split(answer, rows) if len(group) > 1 else [answer]
        if parts is None:  # not an answer for each row: each request for itself
            return [answer for asked in group for answer in self._predictions([asked], predicted)]
        return parts

    def _enforced(self, data: Any) -> Any:
        if isinstance(data, Table) or self.model.is_signature_from_type_hint:
            return data
        return enforce(data, self._inputs)

    def _given(self, data: Any) -> Any:
        """What the model is called with."""
        if isinstance(data, Table):
            if self.loaded.matrix:
                return data.matrix()
            data = data.frame()
        if self.model.type_hint_from_example and isinstance(data, pd.DataFrame):
            return shaped_as_example(data, self.model)
        return data

    def _call(self, method: Any, data: Any, params: Any) -> Any:
        if params and not method.takes_params:
            _log.warning("the model's predict takes no params, so these are ignored: %s", ", ".join(params))
        try:
            return method.function(data, params=params) if method.takes_params else method.function(data)
        except Exception as error:
            raise _as_ours(error) from error


class _Method:
    """A method of the model, and whether it takes params."""

    def __init__(self, function: Any) -> None:
        self.function = function
        takes = inspect.signature(function).parameters.get("params")
        self.takes_params = takes is not None and takes.kind is not inspect.Parameter.VAR_KEYWORD


class _Invocations:
    """MLflow's scoring protocol as a codec."""

    def __init__(self, model: MLModel) -> None:
        self.decode = Decoder(model).decode

    def encode(self, predictions: Any, asked: Decoded) -> bytes:
        return encode(predictions, wrapped=asked.wrapped)


def _encoded(asked: _Asked, predictions: Any) -> Union[bytes, Exception]:
    try:
        return asked.codec.encode(predictions, asked.decoded)  # type: ignore[no-any-return]
    except Exception as error:
        return error


def _watched(pieces: Iterator[Any]) -> Iterator[Any]:
    while True:
        try:
            piece = next(pieces)
        except StopIteration:
            return
        except Exception as error:
            raise _as_ours(error) from error
        yield piece


def _as_ours(error: Exception) -> Exception:
    """The model's failure, or the request's: where its type hint refuses the input, or mlflow inside it does (an exception that stands for a 4xx)."""
    if isinstance(error, InvalidInput) and error.status < 500:
        return error
    status = getattr(error, "get_http_status_code", None)
    if callable(status) and 400 <= status() < 500:
        return InvalidInput(str(error), error_code=str(getattr(error, "error_code", "BAD_REQUEST")))
    return ModelFailure(one_line(error), stack="".join(traceback.format_exception(type(error), error, error.__traceback__)))


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
