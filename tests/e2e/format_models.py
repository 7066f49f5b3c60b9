"""Run by both sides of the format: saves models, or loads saved ones and says what they predict.

    python format_models.py (save|ask DIRECTORY)...

It is written for mlflow; for our side tests change the name of the package, which has to be enough. The first three are the documented
examples of the format: adding n, an XGBoost model behind artifacts, the iris tutorial with code files.
"""

import json
import pickle
import sys
import warnings
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types.schema import Array, ColSpec, Object, ParamSchema, ParamSpec, Property, Schema, TensorSpec
from mlflow.types.type_hints import TypeFromExample
from pydantic import BaseModel

warnings.filterwarnings("ignore")

NUMBERS = pd.DataFrame([range(10)])
FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "ÿ"]})

LOADER = """
import pickle


class Labels:
    def __init__(self, model):
        self.model = model

    def predict(self, data):
        return self.model.predict(data)


def _load_pyfunc(path):
    with open(path, "rb") as file:
        return Labels(pickle.load(file))
"""
SHIFTING = """
import mlflow.pyfunc


class Shifting(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.by = float(open(context.artifacts["by"]).read())

    def predict(self, context, model_input, params=None):
        return model_input["a"] + self.by
"""
SCRIPT = """
import mlflow.pyfunc
from mlflow.models import ModelConfig, set_model

config = ModelConfig(development_config={"by": 1})


class Times(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input * config.get("by")


set_model(Times())
"""


class AddN(mlflow.pyfunc.PythonModel):
    def __init__(self, n):
        self.n = n

    def predict(self, context, model_input, params=None):
        return model_input.apply(lambda column: column + self.n)


class XGBWrapper(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        import xgboost as xgb

        self.booster = xgb.Booster()
        self.booster.load_model(context.artifacts["xgb_model"])

    def predict(self, context, model_input, params=None):
        import xgboost as xgb

        return self.booster.predict(xgb.DMatrix(model_input.values))


class Described(mlflow.pyfunc.PythonModel):
    """Says what reached it, config and params too, and streams."""

    def predict(self, context, model_input, params=None):
        types = {str(name): str(kind) for name, kind in model_input.dtypes.items()}
        return {"types": types, "params": params, "config": context.model_config}

    def predict_stream(self, context, model_input, params=None):
        yield from (model_input, params)


class Sensor(BaseModel):
    name: str
    readings: list[float]
    place: dict[str, int] | None = None


class Hinted(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[Sensor]) -> list[str]:
        return [f"{each.name} {sum(each.readings)} {each.place}" for each in model_input]


class Upper(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[str], params=None) -> list[str]:
        return [each.upper() * (params or {}).get("times", 1) for each in model_input]


class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: TypeFromExample):
        return [type(model_input).__name__, *map(str, model_input)]


class Summing(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return model_input.sum(axis=(1, 2))


class Labelled(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return [len(point["tags"]) for point in model_input["point"]]


def doubled(model_input: list[float]) -> list[float]:
    return [2 * each for each in model_input]


def save_add_n(path, work):
    mlflow.pyfunc.save_model(path=path, python_model=AddN(n=5))


def save_xgboost(path, work):
    import xgboost as xgb
    from sklearn.datasets import load_iris

    iris = load_iris()
    model = xgb.XGBRegressor(n_estimators=10, max_depth=3, random_state=1).fit(iris.data, iris.target)
    model.get_booster().save_model(work / "xgb_model.json")
    conda = {"name": "xgb_env", "channels": ["defaults"], "dependencies": ["python=3.11", "pip", {"pip": [f"xgboost=={xgb.__version__}"]}]}
    mlflow.pyfunc.save_model(path=path, python_model=XGBWrapper(), artifacts={"xgb_model": str(work / "xgb_model.json")}, conda_env=conda)


def save_iris(path, work):
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier

    iris = load_iris(as_frame=True)
    model = DecisionTreeClassifier(random_state=1).fit(iris.data, iris.target)
    (work / "model.pkl").write_bytes(pickle.dumps(model))
    (work / "iris_loader.py").write_text(LOADER)
    mlflow.pyfunc.save_model(
        path=path,
        loader_module="iris_loader",
        data_path=str(work / "model.pkl"),
        code_paths=[str(work / "iris_loader.py")],
        signature=infer_signature(iris.data, model.predict(iris.data)),
        input_example=iris.data.head(2),
    )


def save_described(path, work):
    signature = ModelSignature(
        inputs=Schema([ColSpec("double", "a"), ColSpec("string", "b"), ColSpec("long", "c", required=False)]),
        params=ParamSchema([ParamSpec("top", "long", 3), ParamSpec("names", "string", ["x"], shape=(-1,))]),
    )
    mlflow.pyfunc.save_model(
        path=path,
        python_model=Described(),
        signature=signature,
        input_example=(FRAME, {"top": 5}),
        model_config={"depth": 3, "names": ["a"]},
        metadata={"team": "churn"},
        pip_requirements=["pandas"],
    )


def save_hinted(path, work):
    example = [{"name": "s", "readings": [1.0, 2.0]}]
    mlflow.pyfunc.save_model(path=path, python_model=Hinted(), input_example=example, pip_requirements=["pydantic"])


def save_upper(path, work):
    mlflow.pyfunc.save_model(path=path, python_model=Upper(), input_example=(["a"], {"times": 2}), extra_pip_requirements=["pyyaml"])


def save_echo(path, work):
    mlflow.pyfunc.save_model(path=path, python_model=Echo(), input_example=["a", "b"], pip_requirements=["pandas"])


def save_function(path, work):
    mlflow.pyfunc.save_model(path=path, python_model=doubled, input_example=[1.5], pip_requirements=["pandas"])


def save_tensor(path, work):
    signature = ModelSignature(inputs=Schema([TensorSpec(np.dtype("float32"), (-1, 2, 2))]))
    example = np.ones((2, 2, 2), dtype="float32")
    mlflow.pyfunc.save_model(path=path, python_model=Summing(), signature=signature, input_example=example, pip_requirements=["numpy"])


def save_nested(path, work):
    point = Object([Property("x", "double"), Property("tags", Array("string"), required=False)])
    example = pd.DataFrame({"point": [{"x": 1.0, "tags": ["a", "b"]}]})
    signature = ModelSignature(inputs=Schema([ColSpec(point, "point")]), outputs=Schema([ColSpec("long")]))
    mlflow.pyfunc.save_model(path=path, python_model=Labelled(), signature=signature, input_example=example, pip_requirements=["pandas"])


def save_by_reference(path, work):
    (work / "shifting.py").write_text(SHIFTING)
    (work / "by.txt").write_text("10.5")
    sys.path.insert(0, str(work))
    from shifting import Shifting  # type: ignore[import-not-found]

    mlflow.pyfunc.save_model(
        path=path,
        python_model=Shifting(),
        code_paths=[str(work / "shifting.py")],
        artifacts={"by": str(work / "by.txt")},
        input_example=FRAME,
        pip_requirements=["pandas"],
    )


def save_script(path, work):
    (work / "times.py").write_text(SCRIPT)
    mlflow.pyfunc.save_model(path=path, python_model=str(work / "times.py"), model_config={"by": 3}, pip_requirements=["pandas"])


MODELS = {
    "add_n": (save_add_n, lambda model: model.predict(NUMBERS)),
    "xgboost": (save_xgboost, lambda model: model.predict(pd.DataFrame([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]))),
    "iris": (save_iris, lambda model: model.predict(model.input_example)),
    "described": (save_described, lambda model: [model.predict(FRAME, params={"top": 7}), *model.predict_stream(FRAME.head(1), {"top": 7})]),
    "hinted": (save_hinted, lambda model: model.predict([{"name": "s", "readings": [1.0], "place": {"x": 1}}])),
    "upper": (save_upper, lambda model: [model.predict(["a", "ß"]), model.predict(pd.DataFrame({"t": ["c"]}), params={"times": 3})]),
    "echo": (save_echo, lambda model: model.predict(["c", "d"])),
    "function": (save_function, lambda model: model.predict([1.0, 2.5])),
    "tensor": (save_tensor, lambda model: model.predict(np.arange(8, dtype="float32").reshape(2, 2, 2))),
    "nested": (save_nested, lambda model: model.predict(model.input_example)),
    "by_reference": (save_by_reference, lambda model: model.predict(FRAME)),
    "script": (save_script, lambda model: model.predict(pd.DataFrame({"a": [1, 2]}))),
}


def plain(value):
    return json.loads(value.to_json(orient="split")) if isinstance(value, (pd.DataFrame, pd.Series)) else value.tolist()


def said(verb, directory):
    found = {}
    for name, (save, ask) in MODELS.items():
        if verb == "save":
            work = directory / f"work-{name}"
            work.mkdir(parents=True)
            save(directory / name, work)
        try:
            found[name] = ask(mlflow.pyfunc.load_model(str(directory / name)))
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


def main():
    for verb, directory in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        print(json.dumps(said(verb, Path(directory)), default=plain))


if __name__ == "__main__":
    main()
