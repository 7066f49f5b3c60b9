"""Run by the interpreter that has the real MLflow: saves the models of tests/models.py below the directory it is given."""

import logging
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import mlflow.pyfunc  # noqa: E402  MLflow warns while it is imported
import mlflow.sklearn  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from mlflow.models import ModelSignature, infer_signature  # noqa: E402
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec  # noqa: E402
from mlflow.types.schema import Array, Map, Object, Property  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

# Given, where MLflow would import each model in a process of its own to find out: that takes 10 s a model.
PYTHON_MODEL = [f"mlflow=={mlflow.__version__}", f"numpy=={np.__version__}", f"pandas=={pd.__version__}"]
LIGHT = ["numpy", "pandas"]


def save_sklearn(path: Path) -> None:
    import scipy
    import sklearn
    import skops

    iris = load_iris(as_frame=True)
    model = LogisticRegression(max_iter=200).fit(iris.data, iris.target)
    mlflow.sklearn.save_model(
        model,
        path,
        signature=infer_signature(iris.data, model.predict(iris.data)),
        input_example=iris.data.head(3),
        pip_requirements=[
            *PYTHON_MODEL,
            f"scikit-learn=={sklearn.__version__}",
            f"scipy=={scipy.__version__}",
            f"skops=={skops.__version__}",
        ],
    )


class Shifted(mlflow.pyfunc.PythonModel):
    """Adds what its artifact says, by a function that is in its code folder."""

    def load_context(self, context: Any) -> None:
        self.shift = float(Path(context.artifacts["shift"]).read_text())

    def predict(self, context, model_input, params=None):
        from shifting.arithmetic import shifted  # type: ignore[import-not-found]  # in the model's code folder

        return pd.DataFrame({"a": shifted(model_input["a"], self.shift), "b": model_input["b"].str.upper()})


def save_pythonmodel(path: Path) -> None:
    work = path.parent / "work-pythonmodel"
    (work / "shifting").mkdir(parents=True)
    (work / "shifting" / "__init__.py").write_text("")
    (work / "shifting" / "arithmetic.py").write_text("def shifted(values, by):\n    return values + by\n")
    (work / "shift.txt").write_text("10.5")
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "ÿ"]})
    mlflow.pyfunc.save_model(
        path,
        python_model=Shifted(),
        code_paths=[str(work / "shifting")],
        artifacts={"shift": str(work / "shift.txt")},
        signature=infer_signature(frame, frame),
        input_example=frame,
        pip_requirements=PYTHON_MODEL,
    )


class Described(mlflow.pyfunc.PythonModel):
    """Says what reached it: dtypes, values and params."""

    def predict(self, context, model_input, params=None):
        frame = model_input
        return {
            "columns": {str(name): [str(frame[name].dtype), [repr(value) for value in frame[name]]] for name in frame.columns},
            "params": {} if params is None else {name: repr(value) for name, value in params.items()},
        }


def save_optional(path: Path) -> None:
    columns = [
        ColSpec("double", "amount"),
        ColSpec("long", "count"),
        ColSpec("string", "name"),
        ColSpec("boolean", "active"),
        ColSpec("datetime", "since"),
        ColSpec("integer", "small"),
        ColSpec("float", "single"),
        ColSpec("binary", "blob", required=False),
        ColSpec("double", "discount", required=False),
        ColSpec("string", "note", required=False),
    ]
    params = [
        ParamSpec("top", "long", 3),
        ParamSpec("threshold", "double", 0.5),
        ParamSpec("labels", "string", ["a", "b"], shape=(-1,)),
        ParamSpec("verbose", "boolean", False),
    ]
    signature = ModelSignature(inputs=Schema(columns), params=ParamSchema(params))
    mlflow.pyfunc.save_model(path, python_model=Described(), signature=signature, pip_requirements=PYTHON_MODEL)


def save_nested(path: Path) -> None:
    point = Object([Property("x", DataType.double), Property("label", DataType.string, required=False)])
    columns = [
        ColSpec(Array(DataType.double), "numbers"),
        ColSpec(point, "point"),
        ColSpec(Map(DataType.long), "counts", required=False),
        ColSpec(Array(point), "points", required=False),
    ]
    mlflow.pyfunc.save_model(path, python_model=Described(), signature=ModelSignature(inputs=Schema(columns)), pip_requirements=PYTHON_MODEL)


LOADER = """
    {imports}


    class Model:
        def predict(self, model_input):
            {body}


    def _load_pyfunc(path):
        {load}
        return Model()
"""
DOUBLES = "return [{by} * value for value in model_input['x'].tolist()]"


def save_with_loader(path: Path, signature: ModelSignature, *, body: str, imports: str = "", load: str = "", more: str = "", **flavor: Any) -> None:
    """Save a model by a loader module of its own, which lies in its code folder and needs no mlflow."""
    module = f"{path.name}_loader"
    work = path.parent / f"work-{path.name}"
    work.mkdir()
    source = textwrap.dedent(LOADER).format(imports=imports, body=body, load=load or "pass")
    (work / f"{module}.py").write_text(source.replace("\n\n\ndef _load", textwrap.indent(textwrap.dedent(more), "    ") + "\n\n\ndef _load"))
    (work / "data.txt").write_text(path.name)
    mlflow.pyfunc.save_model(
        path,
        loader_module=module,
        data_path=str(work / "data.txt"),
        code_paths=[str(work / f"{module}.py")],
        signature=signature,
        input_example=pd.DataFrame({"x": [1.0, 2.5]}) if flavor.pop("example", True) else None,
        pip_requirements=LIGHT,
        **flavor,
    )


NUMBERS = ModelSignature(inputs=Schema([ColSpec("double", "x")]), outputs=Schema([ColSpec("double")]))


def save_doubler(path: Path) -> None:
    save_with_loader(path, NUMBERS, body=DOUBLES.format(by=2))


def save_tripler(path: Path) -> None:
    save_with_loader(path, NUMBERS, body=DOUBLES.format(by=3))


def save_broken(path: Path) -> None:
    save_with_loader(path, NUMBERS, body="return None", load="import a_module_that_is_not_there", example=False)


def save_slow(path: Path) -> None:
    body = "time.sleep(max(model_input['x'])); " + DOUBLES.format(by=2)
    save_with_loader(path, NUMBERS, imports="import time", body=body, load="time.sleep(2)", example=False)


def save_streamer(path: Path) -> None:
    more = """

        def predict_stream(self, model_input):
            yield {"x": model_input["x"], "doubled": 2 * model_input["x"]}
            if model_input["x"] < 0:
                raise ValueError("x is negative")
            yield "that was all"
    """
    save_with_loader(path, NUMBERS, body=DOUBLES.format(by=2), more=more, streamable=True)


def save_tensor(path: Path) -> None:
    inputs = Schema([TensorSpec(np.dtype("float32"), (-1, 2, 2))])
    save_with_loader(path, ModelSignature(inputs=inputs), body="return model_input.sum(axis=(1, 2))", example=False)


class Typed(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[str], params: Any = None) -> list[str]:
        return [text.upper() for text in model_input]


def save_typed(path: Path) -> None:
    mlflow.pyfunc.save_model(path, python_model=Typed(), input_example=["a", "b"], pip_requirements=PYTHON_MODEL)


class Chat(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        said = model_input.to_dict(orient="records")[0] if isinstance(model_input, pd.DataFrame) else model_input
        return {"choices": [{"message": {"role": "assistant", "content": str(said["messages"][-1]["content"])[::-1]}}], "params": params}


def save_chat(path: Path) -> None:
    message = Object([Property("role", DataType.string), Property("content", DataType.string)])
    signature = ModelSignature(inputs=Schema([ColSpec(Array(message), "messages")]), params=ParamSchema([ParamSpec("temperature", "double", 1.0)]))
    mlflow.pyfunc.save_model(path, python_model=Chat(), signature=signature, pip_requirements=PYTHON_MODEL)


def main() -> None:
    directory = Path(sys.argv[1])
    savers = {name.removeprefix("save_"): save for name, save in globals().items() if name.startswith("save_") and name != "save_with_loader"}
    for name, save in savers.items():
        save(directory / name)


if __name__ == "__main__":
    main()
