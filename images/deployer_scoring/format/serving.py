"""A request scored without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deployer_scoring.errors import ModelFailure
from deployer_scoring.scorer import Scorer
from deployer_scoring.wire.decoding import Decoder
from deployer_scoring.wire.table import Table


def predict_request(directory: Path, body: bytes, content_type: str = "application/json") -> Any:
    """The model's prediction for a request's body, before it is encoded.

    Raises:
        InvalidInput: A server would refuse it.
        LoadError, MLModelError: The model can't be loaded here.
    """
    scorer = Scorer.load(directory)
    asked = Decoder(scorer.model).decode(body, content_type)
    data = asked.data.frame() if isinstance(asked.data, Table) else asked.data
    try:
        return scorer.predict(data, asked.params)
    except ModelFailure as failure:
        raise failure.__cause__ or failure from None
