"""CatBoost models without mlflow.catboost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer_scoring.loaders.loaded import Loaded, Unusual, column_names, numeric_columns
from deployer_scoring.model.mlmodel import MLModel

FLAVOR = "catboost"
_CLASSES = ("CatBoost", "CatBoostClassifier", "CatBoostRegressor")


class CatBoostModel:
    """A model of CatBoost."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, data: Any, params: Any = None) -> Any:
        """The model's prediction; params say nothing to it."""
        return self.model.predict(data)


def load(model: MLModel, config: Mapping[str, Any]) -> Loaded:
    """Load a model of the catboost flavor.

    Raises:
        Unusual: It has a config, names no file, or is of another class.
    """
    if config:
        raise Unusual("the catboost flavor takes no config")
    made = read_model(model)
    matrix = numeric_columns(model) and model.pyfunc.predict_fn == "predict" and _fits(made, column_names(model))
    return Loaded(CatBoostModel(made), row_wise=True, prompt=True, matrix=matrix)


def read_model(model: MLModel) -> Any:
    """The model itself, of the class that the flavor names."""
    flavor = model.flavors.get(FLAVOR, {})
    file, kind = flavor.get("data"), flavor.get("model_type")
    if not isinstance(file, str) or kind not in _CLASSES:
        raise Unusual(f"a model of class {kind} in the file {file}")
    import catboost

    made = getattr(catboost, kind)()
    made.load_model(str(model.directory / file), format=str(flavor.get("save_format", "cbm")))
    return made


def _fits(made: Any, names: list[str]) -> bool:
    """Whether the columns in their order are those that the model was trained on, all of them numbers."""
    special = (made.get_cat_feature_indices(), made.get_text_feature_indices(), made.get_embedding_feature_indices())
    return not any(map(len, special)) and list(made.feature_names_) in (names, [str(position) for position in range(len(names))])
