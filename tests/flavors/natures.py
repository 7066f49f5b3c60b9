"""Run by an interpreter with scikit-learn: what is told of estimators, as JSON: {name: [known, row_wise, arrays]}."""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from data import CLASSES, COLUMNS, NUMBERS, TARGET  # type: ignore[import-not-found]  # beside this script

sys.path.insert(0, str(Path(__file__).parents[2] / "images"))
warnings.filterwarnings("ignore")

from sklearn import (  # noqa: E402  # noqa: E402
    compose,
    decomposition,
    dummy,
    ensemble,
    impute,
    linear_model,
    model_selection,
    multioutput,
    neighbors,
    pipeline,
    preprocessing,
    svm,
)
from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402

from deployer_scoring.loaders.estimators import nature_of, without_names  # noqa: E402  found by the line above

RIDGE = linear_model.Ridge()


class Own(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    def fit(self, frame: Any, target: Any) -> Any:
        return self


def piped(*steps: Any) -> Any:
    return pipeline.make_pipeline(*steps)


REGRESSORS = {
    "ridge": RIDGE,
    "scaled ridge": piped(preprocessing.StandardScaler(), linear_model.Ridge()),
    "components": piped(decomposition.PCA(3), linear_model.Ridge()),
    "grid search": model_selection.GridSearchCV(piped(preprocessing.StandardScaler(), linear_model.Ridge()), {"ridge__alpha": [0.1, 1]}),
    "vote": ensemble.VotingRegressor([("a", linear_model.Ridge()), ("b", ensemble.RandomForestRegressor(5))]),
    "support vectors": svm.SVR(),
    "log of the target": compose.TransformedTargetRegressor(RIDGE, func=np.arcsinh, inverse_func=np.sinh),
    "elementwise": piped(preprocessing.FunctionTransformer(np.tanh), linear_model.Ridge()),
    "mean imputed": piped(impute.SimpleImputer(), linear_model.Ridge()),
    "by name": piped(compose.ColumnTransformer([("s", preprocessing.StandardScaler(), ["a"])], remainder="passthrough"), linear_model.Ridge()),
    "pandas inside": piped(preprocessing.StandardScaler().set_output(transform="pandas"), linear_model.Ridge()),
    "neighbours": neighbors.KNeighborsRegressor(),
    "neighbours in a stack": ensemble.StackingRegressor([("k", neighbors.KNeighborsRegressor())], linear_model.Ridge()),
    "factors": piped(preprocessing.MinMaxScaler(), decomposition.NMF(2), linear_model.Ridge()),
    "imputed by neighbours": piped(impute.KNNImputer(), linear_model.Ridge()),
    "over the batch": piped(preprocessing.FunctionTransformer(np.cumsum, kw_args={"axis": 0}), linear_model.Ridge()),
    "own function": piped(preprocessing.FunctionTransformer(lambda frame: frame - frame.mean()), linear_model.Ridge()),
    "own score": model_selection.GridSearchCV(linear_model.Ridge(), {"alpha": [1]}, scoring=lambda model, frame, target: 0.0),
}
CLASSIFIERS = {
    "own class": Own(),
    "own class inside": ensemble.VotingClassifier([("own", Own())]),
    "several targets": multioutput.MultiOutputClassifier(linear_model.LogisticRegression()),
    "most frequent": dummy.DummyClassifier(strategy="most_frequent"),
    "random": dummy.DummyClassifier(strategy="stratified", random_state=0),
}


def main() -> None:
    found = {}
    for name, estimator in {**REGRESSORS, **CLASSIFIERS}.items():
        target = np.column_stack([CLASSES, CLASSES]) if name == "several targets" else CLASSES if name in CLASSIFIERS else TARGET
        if "own class" not in name:
            estimator.fit(NUMBERS, target)
        nature = nature_of(estimator)
        found[name] = [nature.known, nature.row_wise, nature.arrays]
        if nature.arrays:
            check_nameless(estimator)
    print("\nanswers: " + json.dumps(found))


def check_nameless(estimator: Any) -> None:
    """The nameless copy takes an array without a warning, and the estimator keeps its names."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(without_names(estimator).predict(NUMBERS.to_numpy()), estimator.predict(NUMBERS))
    assert list(estimator.feature_names_in_) == COLUMNS


if __name__ == "__main__":
    main()
