"""Models of many flavors, saved by the real MLflow: loaded without it, they answer what `mlflow.pyfunc` answers."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from tests.environments import flavors_python, runtime_python
from tests.flavors.models import LIGHT, answers, light_models

NEED_MLFLOW = {"python_more_mlflow", "statsmodels_ols"}
NATIVE = [name for name in LIGHT if name not in NEED_MLFLOW]
BATCHED = {
    "sklearn_skops",
    "sklearn_pickle",
    "sklearn_boosting",
    "sklearn_probabilities",
    "sklearn_by_name",
    "sklearn_quantiles",
    "sklearn_ufunc",
    "xgboost_booster",
    "xgboost_classifier",
    "lightgbm_booster",
    "lightgbm_regressor",
    "catboost_regressor",
    "sklearn_mixed",
    "xgboost_mixed",
    "lightgbm_mixed",
    "lightgbm_whole",
    "catboost_mixed",
    "onnx_trees",
    "onnx_two_outputs",
}
AS_MATRIX = (BATCHED | {"sklearn_neighbours", "onnx_ranks"}) - {"sklearn_by_name", "sklearn_ufunc", "onnx_two_outputs"}
TREES = sorted(BATCHED - {"sklearn_skops", "sklearn_probabilities", "sklearn_by_name", "sklearn_quantiles", "sklearn_ufunc", "sklearn_mixed"})


@cache
def wanted() -> dict[str, Any]:
    return answers("mlflow", flavors_python(), light_models(), LIGHT)


@cache
def found() -> dict[str, Any]:
    return answers("ours", flavors_python(), light_models(), LIGHT)


@cache
def found_without_mlflow() -> dict[str, Any]:
    return answers("ours", runtime_python(), light_models(), NATIVE)


@pytest.mark.mlflow
@pytest.mark.parametrize("name", LIGHT)
def test_the_answer_is_the_one_of_mlflow_bit_for_bit(name: str) -> None:
    assert found()[name]["answer"] == wanted()[name]


@pytest.mark.mlflow
@pytest.mark.parametrize("name", NATIVE)
def test_mlflow_is_not_imported_to_load_and_predict_though_it_is_installed(name: str) -> None:
    assert found()[name]["native"]
    assert not found()[name]["mlflow"]


@pytest.mark.mlflow
@pytest.mark.parametrize("name", NATIVE)
def test_the_answer_is_the_same_where_mlflow_is_not_installed(name: str) -> None:
    assert found_without_mlflow()[name]["answer"] == wanted()[name]


@pytest.mark.mlflow
def test_a_model_that_needs_more_of_mlflow_gets_it_and_is_told_where_it_is_missing() -> None:
    assert found()["python_more_mlflow"]["mlflow"]
    with pytest.raises(RuntimeError, match=r"No module named 'mlflow.utils': mlflow is not installed, and the model uses more of it"):
        answers("ours", runtime_python(), light_models(), ["python_more_mlflow"])
    with pytest.raises(RuntimeError, match=r"LoadError: ModuleNotFoundError: No module named 'mlflow'"):
        answers("ours", runtime_python(), light_models(), ["statsmodels_ols"])


@pytest.mark.mlflow
def test_only_models_whose_rows_are_known_not_to_influence_each_other_are_batched() -> None:
    assert {name for name in LIGHT if found()[name]["row_wise"]} == BATCHED


@pytest.mark.mlflow
@pytest.mark.parametrize("name", sorted(BATCHED))
def test_a_row_in_a_batch_is_answered_as_alone_to_1e_12(name: str) -> None:
    assert found()[name]["difference"] < 1e-12


@pytest.mark.mlflow
@pytest.mark.parametrize("name", TREES)
def test_trees_answer_a_row_in_a_batch_bit_for_bit_as_alone(name: str) -> None:
    assert found()[name]["difference"] == 0


@pytest.mark.mlflow
def test_an_array_in_place_of_the_frame_is_answered_bit_for_bit_as_the_frame() -> None:
    assert {name for name in LIGHT if found()[name]["matrix"]} == AS_MATRIX
    assert all(found()[name]["same"] for name in AS_MATRIX)


@pytest.mark.mlflow
def test_users_own_code_is_never_prompt() -> None:
    own = {name for name in LIGHT if name.startswith(("python", "statsmodels"))} | {"sklearn_cloudpickle"}
    assert {name for name in LIGHT if not found()[name]["prompt"]} == own


# Whether all of its code is a library's, goes by rows, and takes an array in place of the frame.
NATURES = {
    "ridge": [True, True, True],
    "scaled ridge": [True, True, True],
    "components": [True, True, True],
    "grid search": [True, True, True],
    "vote": [True, True, True],
    "support vectors": [True, True, True],
    "mean imputed": [True, True, True],
    "several targets": [True, True, True],
    "most frequent": [True, True, True],
    "log of the target": [True, True, False],
    "elementwise": [True, True, False],
    "by name": [True, True, False],
    "pandas inside": [True, True, False],
    "neighbours": [True, False, True],
    "neighbours in a stack": [True, False, True],
    "factors": [True, False, True],
    "imputed by neighbours": [True, False, True],
    "random": [True, False, True],
    "over the batch": [True, False, False],
    "own function": [False, False, False],
    "own score": [False, False, False],
    "own class": [False, False, False],
    "own class inside": [False, False, False],
}


@pytest.mark.mlflow
def test_what_may_be_done_with_an_estimator_is_told_from_all_that_it_holds() -> None:
    assert answers("", runtime_python(), light_models(), [], script="natures.py") == NATURES


PRODUCTS = {
    "ridge": "a product",
    "several targets": "a product",
    "without intercept": "a product",
    "two classes": "a product",
    "three classes": "a product",
    "classes of text": "a product",
    "support vectors, linear": "a product",
    "by steps": "a product",
    "exponential": "its own way",
    "of a pipeline": "its own way",
    "own predict": "its own way",
}


@pytest.mark.mlflow
def test_linear_estimators_give_the_same_bits_by_one_product_and_refuse_the_same() -> None:
    assert answers("", runtime_python(), light_models(), [], script="products.py") == PRODUCTS


@pytest.mark.mlflow
def test_models_predict_in_parallel_in_a_process_forked_after_they_were_loaded_and_asked() -> None:
    names = ["xgboost_booster", "lightgbm_booster", "sklearn_boosting", "catboost_regressor", "onnx_trees"]
    assert answers("forked", runtime_python(), light_models(), names) == dict.fromkeys(names, "fine")


@pytest.mark.mlflow
def test_a_model_of_numbers_is_served_without_pyarrow_and_answers_the_same() -> None:
    names = ["sklearn_skops", "xgboost_booster", "onnx_trees"]
    lean = answers("ours", flavors_python(), light_models(), names, script="answering_lean.py")
    assert {name: (each["answer"], each["pyarrow"]) for name, each in lean.items()} == {name: (wanted()[name], False) for name in names}
    others = answers("ours", flavors_python(), light_models(), ["python_hinted"], script="answering_lean.py")
    assert others["python_hinted"]["pyarrow"]


FORMS = {
    "sklearn_skops": ("sklearn", "sklearn.pipeline.Pipeline"),
    "sklearn_cloudpickle": ("sklearn", "sklearn.pipeline.Pipeline"),
    "xgboost_booster": ("xgboost", "xgboost.core.Booster"),
    "xgboost_classifier": ("xgboost", "xgboost.sklearn.XGBClassifier"),
    "lightgbm_booster": ("lightgbm", "lightgbm.basic.Booster"),
    "lightgbm_regressor": ("lightgbm", "lightgbm.sklearn.LGBMRegressor"),
    "catboost_regressor": ("catboost", "catboost.core.CatBoostRegressor"),
    "statsmodels_ols": ("statsmodels", "statsmodels.regression.linear_model.RegressionResultsWrapper"),
    "onnx_trees": ("onnx", "onnx.onnx_ml_pb2.ModelProto"),
}


@pytest.mark.mlflow
def test_a_model_loads_in_the_form_of_its_flavor_without_mlflow() -> None:
    flavors = [f"{name}:{flavor}" for name, (flavor, _) in FORMS.items()]
    assert answers("forms", flavors_python(), light_models(), flavors) == {
        f"{name}:{flavor}": [form, False] for name, (flavor, form) in FORMS.items()
    }


@pytest.mark.mlflow
def test_a_form_that_the_model_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(RuntimeError, match="the model has no flavor xgboost, only python_function, sklearn"):
        answers("forms", runtime_python(), light_models(), ["sklearn_skops:xgboost"])
