"""Run by an interpreter with scikit-learn: which estimators predict by one product, and whether it gives their bits, as JSON: {name: verdict}."""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "images"))
warnings.filterwarnings("ignore")

from sklearn import linear_model, pipeline, preprocessing, svm  # noqa: E402

from deployer_scoring.loaders.linear import is_plain  # noqa: E402  found by the line above
from deployer_scoring.loaders.sklearn_models import MatrixModel  # noqa: E402

DRAWN = np.random.default_rng(3)
DATA = DRAWN.normal(size=(200, 6)) * [1, 10, 100, 1e-3, 1e5, 1]
TWO, THREE, TEXT = DATA[:, 0] > 0, DRAWN.integers(0, 3, 200), DRAWN.choice(["hen", "egg"], 200)


class Own(linear_model.Ridge):  # type: ignore[misc]
    def predict(self, X: Any) -> Any:  # noqa: N803  scikit-learn's name
        return super().predict(X) + 1


ESTIMATORS: dict[str, tuple[Any, Any]] = {
    "ridge": (linear_model.Ridge(), DATA[:, 1]),
    "several targets": (linear_model.LinearRegression(), DATA[:, :2]),
    "without intercept": (linear_model.LinearRegression(fit_intercept=False), DATA[:, 1]),
    "two classes": (linear_model.LogisticRegression(), TWO),
    "three classes": (linear_model.LogisticRegression(), THREE),
    "classes of text": (linear_model.RidgeClassifier(), TEXT),
    "support vectors, linear": (svm.LinearSVC(), THREE),
    "by steps": (linear_model.SGDClassifier(), THREE),
    "exponential": (linear_model.PoissonRegressor(), np.abs(DATA[:, 1])),
    "of a pipeline": (pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.Ridge()), DATA[:, 1]),
    "own predict": (Own(), DATA[:, 1]),
}


def verdict(estimator: Any, target: Any) -> str:
    model = MatrixModel(estimator.fit(DATA, target))
    for rows in (1, 3, 200):
        asked = np.asfortranarray(DATA[:rows] * 1.1)
        theirs, ours = estimator.predict(asked), model.predict(asked)
        if theirs.dtype != ours.dtype or theirs.tobytes() != ours.tobytes():
            return "differs"
    for wrong in ([[np.nan] * 6], [[np.inf] * 6], [[1.0] * 5]):
        assert not is_plain(np.array(wrong), 6)
        try:
            model.predict(np.array(wrong))
        except ValueError:
            continue
        return "takes what the estimator refuses"
    return "a product" if model._product else "its own way"


print("\nanswers: " + json.dumps({name: verdict(*each) for name, each in ESTIMATORS.items()}))
