"""The input example saved with a model, as far as a model wants its input in the same shape (MLflow's TypeFromExample)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from deployer_scoring.model.mlmodel import MLModel

if TYPE_CHECKING:
    import pandas as pd


def shaped_as_example(frame: pd.DataFrame, model: MLModel) -> Any:
    """The frame in the form of the model's input example: a frame, a scalar, a list of scalars, one record or a list of them."""
    example = _json_example(model)
    if isinstance(example, dict):
        return frame.to_dict(orient="records")[0] if len(frame) == 1 else frame
    if isinstance(example, list):
        plain = len(frame.columns) == 1 and not any(isinstance(item, (list, dict)) or item is None for item in example)
        return frame.iloc[:, 0].tolist() if plain else frame.to_dict(orient="records")
    return frame if example is None else frame.iloc[0, 0]


def _json_example(model: MLModel) -> Any:
    """The example where it was saved as plain JSON; None for frames and arrays, whose input needs no other shape."""
    info = model.saved_input_example_info or {}
    file = model.directory / str(info.get("artifact_path") or "")
    if info.get("type") != "json_object" or not file.is_file():
        return None
    example = json.loads(file.read_text(encoding="utf-8"))
    return example["inputs"] if info.get("params") and isinstance(example, dict) else example
