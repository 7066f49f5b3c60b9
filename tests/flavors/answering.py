"""Run by an interpreter with a flavor's library: what a side answers with saved models, as JSON on one line of stdout, after `answers: `.

    answering.py mlflow DIRECTORY NAME...     {name: answer}
    answering.py ours DIRECTORY NAME...       {name: {answer, native, row_wise, prompt, matrix, forks, mlflow, ...}}
    answering.py forms DIRECTORY NAME:FLAVOR...   {name:flavor: [the class of the model in the flavor's own form, whether mlflow is imported]}
    answering.py forked DIRECTORY NAME...     {name: what a process forked after the model was loaded says: "fine", "hangs" or how it ended}
    answering.py body DIRECTORY NAME...       {name: the question as a request's body}

Our side is given the names in this order, all in one process, and says after each whether mlflow is imported.
"""

import json
import logging
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from data import MIXED, NUMBERS, TEXTS, WHOLE  # type: ignore[import-not-found]  # beside this script

warnings.filterwarnings("error", message="X does not have valid feature names")
logging.disable(logging.WARNING)
sys.path.insert(0, str(Path(__file__).parents[2] / "images"))

_ALONE = 80
_PATIENCE = 20  # seconds
PARAMS: dict[str, dict[str, Any]] = {"xgboost_booster": {"output_margin": True, "unheard_of": 2}, "python_class": {"shift": 2.5}}


def question(name: str) -> Any:
    """What a model is asked."""
    questions = {
        "python_hinted": TEXTS["text"].tolist(),
        "prophet": pd.DataFrame({"ds": pd.date_range("2025-09-01", periods=5)}),
        "tensorflow": NUMBERS.to_numpy("float32"),
    }
    if name.endswith(("_mixed", "_whole")):
        return MIXED if name.endswith("_mixed") else WHOLE
    return questions.get(name, TEXTS if name in {"python_by_reference", "spacy", "transformers"} else NUMBERS)


def plain(value: Any) -> Any:
    """Predictions as JSON can hold them, with their type; floats keep every bit."""
    if hasattr(value, "columns"):
        return {"DataFrame": {str(name): plain(value[name].to_numpy()) for name in value.columns}}
    if hasattr(value, "to_numpy"):
        return {"Series": plain(value.to_numpy())}
    if isinstance(value, np.ndarray) and value.dtype.kind in "mM":
        return {str(value.dtype): value.astype(str).tolist()}
    if isinstance(value, np.ndarray):
        return {"object": plain(value.tolist())} if value.dtype == object else {str(value.dtype): value.tolist()}
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def mlflow_answers(directory: Path, name: str) -> Any:
    import mlflow.pyfunc

    return plain(mlflow.pyfunc.load_model(str(directory / name)).predict(question(name), params=PARAMS.get(name)))


def our_answers(directory: Path, name: str) -> dict[str, Any]:
    from deployer_scoring.enforcement.enforce import enforce
    from deployer_scoring.enforcement.params import enforce_params
    from deployer_scoring.loaders.loading import load
    from deployer_scoring.model.mlmodel import parse_mlmodel

    model = parse_mlmodel(directory / name)
    loaded = load(model)
    data, signature = question(name), model.signature
    if not model.is_signature_from_type_hint:
        data = enforce(data, signature.inputs if signature else None)
    params = enforce_params(PARAMS.get(name), signature.params if signature else None)
    predict = getattr(loaded.implementation, model.pyfunc.predict_fn)
    answer = predict(data, params=params) if params else predict(data)
    said = {name: getattr(loaded, name) for name in ("native", "row_wise", "prompt", "matrix", "forks")}
    return {
        **said,
        "answer": plain(answer),
        **batched(predict, data, answer, loaded),
        "mlflow": "mlflow" in sys.modules,
        "pyarrow": "pyarrow" in sys.modules,
    }


def form(directory: Path, name: str) -> Any:
    from deployer_scoring.loaders.own_form import load_own_form

    model, _, flavor = name.partition(":")
    kind = type(load_own_form(directory / model, flavor))
    return f"{kind.__module__}.{kind.__qualname__}", "mlflow" in sys.modules


def forked(directory: Path, name: str) -> str:
    """Whether a forked process predicts, as the server makes them: the parent keeps to one thread, the child allows itself two."""
    from deployer_scoring.loaders.threads import allow_threads, single_threaded

    single_threaded()
    from deployer_scoring.loaders.loading import load
    from deployer_scoring.model.mlmodel import parse_mlmodel

    model = parse_mlmodel(directory / name)
    predict = getattr(load(model).implementation, model.pyfunc.predict_fn)
    predict(question(name)[:1])
    if (child := os.fork()) == 0:
        allow_threads(2)
        predict(question(name))
        os._exit(0)
    for _ in range(_PATIENCE * 10):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return "fine" if status == 0 else f"ends with {os.waitstatus_to_exitcode(status)}"
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"


def body(directory: Path, name: str) -> str:
    if isinstance(question(name), np.ndarray):
        return json.dumps({"inputs": question(name).tolist()})
    return f'{{"dataframe_split": {question(name).to_json(orient="split", index=False, date_format="iso", double_precision=15)}}}'


def batched(predict: Any, data: Any, answer: Any, loaded: Any) -> dict[str, Any]:
    """How far the rows' own answers are from those in a batch, relative; and whether the matrix's answer is the frame's, bit for bit."""
    found: dict[str, Any] = {}
    if loaded.row_wise:
        alone = [predict(data.iloc[[row]]) for row in range(_ALONE)]
        some = [predict(data.iloc[first : first + 17]) for first in range(0, len(data), 17)]
        found["difference"] = max(
            difference(rows(answer)[: len(pieces)], pieces) for pieces in ([row for piece in way for row in rows(piece)] for way in (alone, some))
        )
    if loaded.matrix:
        found["same"] = plain(predict(np.ascontiguousarray(data.to_numpy()))) == plain(answer)
        found["same"] &= plain(predict(np.ascontiguousarray(data.to_numpy()[:1]))) == plain(predict(data.iloc[:1]))
    return found


def rows(answer: Any) -> list[Any]:
    return list(answer.to_numpy()) if hasattr(answer, "to_numpy") else list(answer)


def difference(one: Any, other: Any) -> float:
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype.kind != "f":
        return 0.0 if (one == other).all() else 1.0
    return float(np.max(np.abs(one - other) / np.maximum(np.abs(one), np.finfo(one.dtype).tiny)))


def main() -> None:
    answer = {"mlflow": mlflow_answers, "ours": our_answers, "forms": form, "forked": forked, "body": body}[sys.argv[1]]
    found = {name: answer(Path(sys.argv[2]), name) for name in sys.argv[3:]}
    print("\nanswers: " + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
