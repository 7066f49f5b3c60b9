"""Run by the interpreter that has the real MLflow and XGBoost: saves the benchmark's own models below the directory it is given."""

import sys
import time
from pathlib import Path

import mlflow.pyfunc
import mlflow.xgboost
import numpy as np
import pandas as pd
import xgboost
from mlflow.models import infer_signature

PINS = [f"mlflow=={mlflow.__version__}", f"numpy=={np.__version__}", f"pandas=={pd.__version__}"]


class Heavy(mlflow.pyfunc.PythonModel):
    """Works for 50 ms of processor time, then gives the rows' sums; rows don't influence each other."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass
        return model_input.sum(axis=1).to_numpy()


def save_wide(path: Path) -> None:
    drawn = np.random.default_rng(7)
    frame = pd.DataFrame({f"c{n}": drawn.uniform(0, 8, 2000) if n % 2 else drawn.integers(0, 50, 2000) for n in range(200)})
    model = xgboost.XGBRegressor(n_estimators=100, max_depth=6, n_jobs=1).fit(frame, frame.sum(axis=1))
    mlflow.xgboost.save_model(model, path, signature=infer_signature(frame, model.predict(frame)), pip_requirements=[*PINS, "xgboost-cpu"])


def save_heavy(path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0], "b": [2.0]})
    signature = infer_signature(frame, np.array([3.0]))
    mlflow.pyfunc.save_model(path, python_model=Heavy(), signature=signature, pip_requirements=PINS, metadata={"batching": True})


if __name__ == "__main__":
    save_wide(Path(sys.argv[1], "wide"))
    save_heavy(Path(sys.argv[1], "heavy"))
