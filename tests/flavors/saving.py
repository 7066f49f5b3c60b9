"""Run by an interpreter with the real MLflow and a flavor's library: `saving.py DIRECTORY NAME...` saves models below the directory."""

import logging
import os
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import mlflow  # noqa: E402  it warns while it is imported
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from data import CLASSES, COLUMNS, LABELS, MIXED, NUMBERS, TARGET, TEXTS, WHOLE  # type: ignore[import-not-found]  # noqa: E402  beside this script
from mlflow.models import infer_signature  # noqa: E402

# Given, where MLflow would import each model in a process of its own to find out.
BARE: dict[str, Any] = {"pip_requirements": ["mlflow"]}
NAMED = infer_signature(NUMBERS)


def sklearn_skops(path: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(NUMBERS, LABELS)
    mlflow.sklearn.save_model(model, path, signature=NAMED, **BARE)


def sklearn_cloudpickle(path: Path) -> None:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.pipeline import make_pipeline

    class Centred(TransformerMixin, BaseEstimator):  # type: ignore[misc]
        """Looks at the whole batch: such a model must never be batched."""

        def fit(self, frame: Any, target: Any = None) -> Any:
            return self

        def transform(self, frame: Any) -> Any:
            return frame - frame.mean()

    model = make_pipeline(Centred(), RandomForestRegressor(20, random_state=0)).fit(NUMBERS, TARGET)
    mlflow.sklearn.save_model(model, path, signature=NAMED, serialization_format="cloudpickle", **BARE)


def sklearn_pickle(path: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(20, random_state=0).fit(NUMBERS, LABELS)
    mlflow.sklearn.save_model(model, path, signature=NAMED, serialization_format="pickle", **BARE)


def sklearn_boosting(path: Path) -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(max_iter=20).fit(NUMBERS, TARGET)
    mlflow.sklearn.save_model(model, path, signature=NAMED, serialization_format="cloudpickle", **BARE)


def sklearn_probabilities(path: Path) -> None:
    from sklearn.ensemble import VotingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    parts = [("line", LogisticRegression(max_iter=300)), ("net", MLPClassifier((8,), max_iter=60, random_state=0))]
    model = VotingClassifier(parts, voting="soft").fit(NUMBERS, LABELS)
    mlflow.sklearn.save_model(model, path, signature=NAMED, pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle", **BARE)


def sklearn_by_name(path: Path) -> None:
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(ColumnTransformer([("scaled", StandardScaler(), ["f", "a"])]), LinearRegression()).fit(NUMBERS, TARGET)
    mlflow.sklearn.save_model(model, path, signature=NAMED, **BARE)


def sklearn_neighbours(path: Path) -> None:
    from sklearn.neighbors import KNeighborsRegressor

    mlflow.sklearn.save_model(KNeighborsRegressor().fit(NUMBERS, TARGET), path, signature=NAMED, serialization_format="pickle", **BARE)


def sklearn_quantiles(path: Path) -> None:
    """Predicts by a distribution of scipy.stats."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import QuantileTransformer

    model = make_pipeline(QuantileTransformer(n_quantiles=50, output_distribution="normal"), Ridge()).fit(NUMBERS, TARGET)
    mlflow.sklearn.save_model(model, path, signature=NAMED, **BARE)


def sklearn_ufunc(path: Path) -> None:
    """Holds a function of numpy, which skops trusts by its name."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    mlflow.sklearn.save_model(make_pipeline(FunctionTransformer(np.tanh), Ridge()).fit(NUMBERS, TARGET), path, signature=NAMED, **BARE)


def xgboost_booster(path: Path) -> None:
    import xgboost

    model = xgboost.train({"objective": "reg:squarederror", "nthread": 2}, xgboost.DMatrix(NUMBERS, TARGET), 20)
    params = infer_signature(NUMBERS, params={"output_margin": False, "unheard_of": 1})
    mlflow.xgboost.save_model(model, path, signature=params, **BARE)


def xgboost_classifier(path: Path) -> None:
    import xgboost

    mlflow.xgboost.save_model(xgboost.XGBClassifier(n_estimators=10).fit(NUMBERS, CLASSES), path, signature=NAMED, **BARE)


def lightgbm_booster(path: Path) -> None:
    import lightgbm

    model = lightgbm.train({"objective": "multiclass", "num_class": 3, "verbose": -1}, lightgbm.Dataset(NUMBERS, CLASSES), 10)
    mlflow.lightgbm.save_model(model, path, signature=NAMED, **BARE)


def lightgbm_regressor(path: Path) -> None:
    import lightgbm

    mlflow.lightgbm.save_model(lightgbm.LGBMRegressor(n_estimators=20, verbose=-1).fit(NUMBERS, TARGET), path, signature=NAMED, **BARE)


def sklearn_mixed(path: Path) -> None:
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LinearRegression()).fit(MIXED, TARGET)
    mlflow.sklearn.save_model(model, path, signature=infer_signature(MIXED), **BARE)


def xgboost_mixed(path: Path) -> None:
    import xgboost

    mlflow.xgboost.save_model(xgboost.XGBRegressor(n_estimators=10).fit(MIXED, TARGET), path, signature=infer_signature(MIXED), **BARE)


def lightgbm_mixed(path: Path) -> None:
    import lightgbm

    model = lightgbm.train({"objective": "regression", "verbose": -1}, lightgbm.Dataset(MIXED, TARGET), 10)
    mlflow.lightgbm.save_model(model, path, signature=infer_signature(MIXED), **BARE)


def lightgbm_whole(path: Path) -> None:
    import lightgbm

    parameters = {"objective": "regression", "verbose": -1, "max_bin": 2, "linear_tree": True}
    model = lightgbm.train(parameters, lightgbm.Dataset(WHOLE, TARGET), 10)
    mlflow.lightgbm.save_model(model, path, signature=infer_signature(WHOLE), **BARE)


def catboost_mixed(path: Path) -> None:
    import catboost

    model = catboost.CatBoostRegressor(iterations=20, verbose=0, allow_writing_files=False).fit(MIXED, TARGET)
    mlflow.catboost.save_model(model, path, signature=infer_signature(MIXED), **BARE)


def catboost_regressor(path: Path) -> None:
    import catboost

    model = catboost.CatBoostRegressor(iterations=20, verbose=0, allow_writing_files=False).fit(NUMBERS, TARGET)
    mlflow.catboost.save_model(model, path, signature=NAMED, **BARE)


def statsmodels_ols(path: Path) -> None:
    import statsmodels.api

    mlflow.statsmodels.save_model(statsmodels.api.OLS(TARGET, NUMBERS).fit(), path, signature=NAMED, **BARE)


def _onnx(nodes: list[Any], inputs: list[Any], outputs: list[Any], initial: dict[str, Any]) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs]
    asked = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs]
    graph = helper.make_graph(nodes, "graph", given, asked, [numpy_helper.from_array(value, name) for name, value in initial.items()])
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=versions, ir_version=9)


def onnx_trees(path: Path) -> None:
    from onnx import helper

    tree = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[0, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_values=[0.1, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_ids=[0, 0],
        target_weights=[-1.5, 2.25],
    )
    model = _onnx([tree], [("x", ["rows", len(COLUMNS)])], [("y", ["rows", 1])], {})
    mlflow.onnx.save_model(model, path, signature=NAMED, **BARE)


def onnx_ranks(path: Path) -> None:
    """Divides each row by the sum of all of them: its batch dimension is free, and it must not be batched."""
    from onnx import helper

    weights = np.linspace(0.5, 1.5, len(COLUMNS), dtype=np.float32).reshape(-1, 1)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Softmax", ["h"], ["y"], axis=0)]
    model = _onnx(nodes, [("x", ["rows", len(COLUMNS)])], [("y", ["rows", 1])], {"w": weights})
    mlflow.onnx.save_model(model, path, signature=NAMED, **BARE)


def onnx_two_outputs(path: Path) -> None:
    """Takes its columns one by one, and gives two outputs."""
    from onnx import helper

    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Mul", ["a", "b"], ["product"])]
    model = _onnx(nodes, [("a", ["rows"]), ("b", ["rows"])], [("sum", ["rows"]), ("product", ["rows"])], {})
    mlflow.onnx.save_model(model, path, signature=NAMED, **BARE)


def python_class(path: Path) -> None:
    import gzip  # a module that the class's pickle refers to

    class Scaled(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def load_context(self, context: Any) -> None:
            with gzip.open(context.artifacts["factor"], "rt") as file:
                self.factor = float(file.read()) + context.model_config["more"]

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input["a"] * self.factor + (params or {}).get("shift", 0)

    factor = path.with_suffix(".factor.gz")
    with gzip.open(factor, "wt") as file:
        file.write("2.5")
    signature = infer_signature(NUMBERS, params={"shift": 1.0})
    mlflow.pyfunc.save_model(path, python_model=Scaled(), artifacts={"factor": str(factor)}, model_config={"more": 0.5}, signature=signature, **BARE)


def python_function(path: Path) -> None:
    def doubled(model_input: Any) -> Any:
        return model_input * 2

    mlflow.pyfunc.save_model(path, python_model=doubled, signature=NAMED, **BARE)


SCRIPT = """
    import mlflow
    from mlflow.models import ModelConfig, set_model
    from mlflow.pyfunc import PythonModel

    config = ModelConfig(development_config={"by": 10})


    class Multiplied(PythonModel):
        def predict(self, context, model_input, params=None):
            return model_input["b"] * config.get("by")


    set_model(Multiplied())
"""


def python_script(path: Path) -> None:
    script = path.with_name("python_script_model.py")
    script.write_text(textwrap.dedent(SCRIPT))
    mlflow.pyfunc.save_model(path, python_model=str(script), model_config={"by": 4}, signature=NAMED, **BARE)


def python_hinted(path: Path) -> None:
    class Upper(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, model_input: list[str], params: Any = None) -> list[str]:
            return [text.upper() for text in model_input]

    mlflow.pyfunc.save_model(path, python_model=Upper(), input_example=["a", "b"], **BARE)


def python_by_reference(path: Path) -> None:
    """Its class lies in a module of the code folder, which imports mlflow itself."""
    module = path.with_name("lengths_model.py")
    source = "from mlflow.pyfunc import PythonModel\n\n\nclass Lengths(PythonModel):\n"
    source += "    def predict(self, context, model_input, params=None):\n        return model_input['text'].str.len()\n"
    module.write_text(source)
    sys.path.insert(0, str(module.parent))
    from lengths_model import Lengths  # type: ignore[import-not-found]

    mlflow.pyfunc.save_model(path, python_model=Lengths(), code_paths=[str(module)], signature=infer_signature(TEXTS), **BARE)


def python_more_mlflow(path: Path) -> None:
    """Uses more of mlflow than its base class."""

    class Named(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return pd.Series([mlflow.utils.PYTHON_VERSION[:2]] * len(model_input))

    mlflow.pyfunc.save_model(path, python_model=Named(), signature=NAMED, **BARE)


def main() -> None:
    directory = Path(sys.argv[1])
    for name in sys.argv[2:]:
        globals()[name](directory / name)


if __name__ == "__main__":
    main()
