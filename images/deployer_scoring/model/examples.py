"""The input example saved with a model, as far as a model wants its input in the same shape (MLflow's TypeFromExample)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deployer_scoring.documents import load_json
from deployer_scoring.errors import MLModelError
from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.model.text import is_file, read_text

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
    name = str(info.get("artifact_path") or "")
    file = model.directory / name
    if info.get("type") != "json_object" or not is_file(file):
        return None
    try:
        example = load_json(read_text(file))
    except (OSError, ValueError) as error:
        raise MLModelError(name, None, f"can't be read as JSON: {error}", "Save the model again.") from error
    return example["inputs"] if info.get("params") and isinstance(example, dict) else example
