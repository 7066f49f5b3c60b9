"""Run by the interpreter that has the real MLflow: what `mlflow.pyfunc.load_model(...).predict` says of each request.

Reads `[[directory, columns, rows, params], ...]` as JSON on stdin, writes the predictions as MLflow's server would. Without columns the
rows are the data as they stand.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from functools import cache

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

import mlflow.pyfunc  # noqa: E402  warnings are silenced first
import pandas as pd  # noqa: E402
from mlflow.pyfunc.scoring_server import predictions_to_json  # noqa: E402

load = cache(mlflow.pyfunc.load_model)
answers = []
for directory, columns, rows, params in json.load(sys.stdin):
    model = load(directory)
    data = pd.DataFrame(rows, columns=columns) if columns else rows
    schema = model.metadata.get_input_schema()
    for spec in schema.inputs if schema and columns else ():
        if spec.name in data and repr(spec.type) in {"integer", "float"}:
            data[spec.name] = data[spec.name].astype(spec.type.to_pandas())  # types that JSON doesn't have
        if spec.name in data and repr(spec.type) == "datetime":
            data[spec.name] = pd.to_datetime(data[spec.name])
    output = io.StringIO()
    predictions_to_json(model.predict(data, params=params), output)
    answers.append(output.getvalue())
json.dump(answers, sys.stdout)
