"""Linear models' predict as the one product that it is, without scikit-learn's checks, which take fifty times as long for a row.

What the checks refuse is refused still: data that isn't plain finite doubles of the right width goes to the estimator itself.
"""

from __future__ import annotations

import math
import sys
from typing import Any, Callable, Optional

import numpy as np

Predict = Callable[[Any], Any]
_WIDEST = 4096  # columns: beyond, the trial would cost more memory than the checks cost time
_TRIALS = (1, 2, 7, 300)  # rows: products of few and of many rows go different ways in BLAS


def product_of(estimator: Any) -> Optional[Predict]:
    """A linear estimator's predict for 2-D arrays that `is_plain` accepts; None where it isn't known to give the same bits.

    Known are scikit-learn's own classifiers and regressors on its linear bases, and they are tried: some of them predict in ways of their own.
    """
    base = sys.modules.get("sklearn.linear_model._base")
    try:
        predict = None if base is None else _classifier(estimator, base) or _regressor(estimator, base)
        return predict if predict is not None and estimator.n_features_in_ <= _WIDEST and _agrees(estimator, predict) else None
    except Exception:  # an estimator that is not as others are: its own way, then
        return None


def is_plain(data: Any, width: int) -> bool:
    """Whether data is what the checks of scikit-learn let pass unchanged: finite doubles in so many columns."""
    if not isinstance(data, np.ndarray) or data.dtype != np.float64 or data.ndim != 2 or data.shape[1] != width or not len(data):
        return False
    return math.isfinite(data.sum())  # a sum that overflows is but a detour


def _classifier(estimator: Any, base: Any) -> Optional[Predict]:
    mixin = base.LinearClassifierMixin
    if not isinstance(estimator, mixin) or type(estimator).decision_function is not mixin.decision_function or not _is_library_code(estimator):
        return None
    weights, intercept, classes = np.atleast_2d(estimator.coef_).T, estimator.intercept_, estimator.classes_

    def predict(data: Any) -> Any:
        scores = data @ weights + intercept
        chosen = scores.argmax(axis=1) if scores.shape[1] > 1 else (scores.ravel() > 0).astype(np.intp)
        return classes.take(chosen, axis=0)

    return predict


def _regressor(estimator: Any, base: Any) -> Optional[Predict]:
    own = base.LinearModel
    if not isinstance(estimator, own) or type(estimator)._decision_function is not own._decision_function or not _is_library_code(estimator):
        return None
    weights, intercept = estimator.coef_.T, estimator.intercept_
    return lambda data: data @ weights + intercept


def _is_library_code(estimator: Any) -> bool:
    return str(type(estimator).predict.__module__).startswith(("sklearn.linear_model.", "sklearn.svm."))


def _agrees(estimator: Any, predict: Predict) -> bool:
    drawn = np.random.default_rng(0)
    for rows in _TRIALS:
        data = np.asfortranarray(drawn.normal(size=(rows, estimator.n_features_in_)) * drawn.choice([1e-3, 1.0, 1e3], size=estimator.n_features_in_))
        theirs, ours = estimator.predict(data), predict(data)
        if theirs.dtype != ours.dtype or theirs.shape != ours.shape or theirs.tobytes() != ours.tobytes():
            return False
    return True
