"""One connection of a model process: a Spark worker's batches in, predictions out."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Callable, Optional

import pandas as pd
import pyarrow as pa

from deployer_scoring.errors import ScoringError, kind_of
from deployer_scoring.loaders.loading import one_line
from deployer_scoring.schema.signature import Schema
from deployer_scoring.spark import batches, frames
from deployer_scoring.spark.columns import as_frame
from deployer_scoring.spark.predictions import as_result
from deployer_scoring.spark.result_types import DOUBLE, ResultType, result_type

Predict = Callable[[pd.DataFrame, Any], Any]


def answer(
    connection: socket.socket, predict: Predict, inputs: Optional[Schema], turn: AbstractContextManager[Any], deaths: Mapping[int, str]
) -> None:
    """Answer a connection until its worker ends it.

    Args:
        connection: Its first message says which result type and params its batches have.
        predict: The model: a frame and params to predictions.
        inputs: The signature's inputs.
        turn: Held while the model predicts.
        deaths: What became of processes that answered before, by process id.

    Raises:
        OSError: The worker is gone.
    """
    kind: ResultType = DOUBLE
    params = None
    while (message := frames.receive(connection)) is not None:
        if message.kind == frames.HELLO:
            asked = message.json()
            kind, params = result_type(asked["result_type"], inferred=True), asked["params"]
            frames.send_json(connection, frames.HELLO, {"pid": os.getpid(), "died": deaths.get(asked["after"])})
            continue
        try:
            arguments = batches.unpacked(message.body)
            with turn:
                predictions = predict(as_frame(arguments, inputs), params)
            result = as_result(predictions, kind, len(arguments[0]))
        except Exception as error:
            frames.send_json(connection, frames.ERROR, failure(error))
            continue
        frames.send(connection, frames.RESULT, batches.stream(pa.record_batch([result], ["result"])))


def failure(error: Exception) -> dict[str, str]:
    """An error as it travels to the worker; where it isn't one of ours, its stack goes to the log."""
    cause = error.__cause__ or error
    if not isinstance(cause, ScoringError):
        traceback.print_exception(type(cause), cause, cause.__traceback__, file=sys.stderr)
        sys.stderr.flush()
    known = isinstance(error, ScoringError)
    return {"type": kind_of(error) if known else "ModelFailure", "message": str(error) if known else one_line(error)}
