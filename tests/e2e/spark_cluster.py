"""Runs in the environment with PySpark: one executor of several cores as a process of its own (`local-cluster`), and what becomes of its models.

    python spark_cluster.py PACKAGE_DIRECTORY WORK_DIRECTORY CORES [first]

Prints one line of JSON with what was seen; with `first` only the memory.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")
sys.path.insert(0, sys.argv[1])

import mlflow  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pyspark  # noqa: E402
from mlflow.models import ModelSignature  # noqa: E402
from mlflow.types import ColSpec, Schema  # noqa: E402
from pyspark.sql import SparkSession  # noqa: E402

WORK = Path(sys.argv[2])
CORES = int(sys.argv[3])
MEGABYTES = 300
SIGNATURE = ModelSignature(Schema([ColSpec("long", "x")]), Schema([ColSpec("string")]))


class Large(mlflow.pyfunc.PythonModel):
    """300 MB, and answers with where it is and who answers."""

    def __init__(self) -> None:
        self.table = np.random.default_rng(0).random(MEGABYTES * 2**20 // 8)

    def predict(self, context: Any, model_input: pd.DataFrame) -> list[str]:
        total = float(self.table[::512].sum())  # each page
        time.sleep(0.5)
        return [f"{os.getpid()} {os.getppid()} {total:.3f}"] * len(model_input)


class Mortal(mlflow.pyfunc.PythonModel):
    """Dies as the column x says: 1 always, 2 the first time, 3 by an exception."""

    def predict(self, context: Any, model_input: pd.DataFrame) -> list[str]:
        x = int(model_input["x"].max())
        mark = Path(os.environ["MARKS"]) / "died"
        if x == 1 or (x == 2 and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), 11)
        if x == 3:
            raise ValueError("three is too much")
        return [f"lived with {x}"] * len(model_input)


class Isolated(mlflow.pyfunc.PythonModel):
    """Answers with the environment that it runs in."""

    def predict(self, context: Any, model_input: pd.DataFrame) -> list[str]:
        import sys as system

        return [f"{system.prefix} {'pyspark' in system.modules}"] * len(model_input)


class Absent(mlflow.pyfunc.PythonModel):
    """Can't be loaded."""

    def load_context(self, context: Any) -> None:
        raise RuntimeError("the weights are elsewhere")

    def predict(self, context: Any, model_input: pd.DataFrame) -> list[str]:
        return []


def saved(model: Any, *requirements: str) -> str:
    path = WORK / type(model).__name__.lower()
    if not path.exists():
        mlflow.pyfunc.save_model(str(path), python_model=model, signature=SIGNATURE, pip_requirements=[*requirements])
    return str(path)


def processes() -> Iterator[tuple[int, str]]:
    """Python processes of executors, by id, with what they run."""
    listed = subprocess.run(["ps", "-wweo", "pid,args"], capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    for line in listed:
        pid, command = line.split(None, 1)
        for module in ("pyspark.daemon", "deployer_scoring.spark.process"):
            if f"-m {module}" in command and belongs(int(pid)):
                yield int(pid), module


def belongs(pid: int) -> bool:
    """Whether a process is of this test, and not of another that runs beside it."""
    try:
        return f"SPARK_TEST={os.environ['SPARK_TEST']}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def memory() -> float:
    """MiB of PSS of all of them."""
    total = 0
    for pid, _ in processes():
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1024


def refused(data: Any, column: Any) -> str:
    try:
        return f"given: {data.select(column).collect()}"
    except Exception as error:
        return str(error)


def main() -> None:
    from deployer_scoring.spark.udf import spark_udf

    os.environ["SPARK_TEST"] = str(os.getpid())
    builder = SparkSession.builder.master(f"local-cluster[1,{CORES},1024]").config("spark.ui.enabled", "false").config("spark.task.maxFailures", "1")
    spark = builder.config("spark.executorEnv.SPARK_TEST", os.environ["SPARK_TEST"]).getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    seen: dict[str, Any] = {"cores": CORES}

    numbers = spark.range(CORES * 4, numPartitions=CORES * 2).withColumnRenamed("id", "x")
    large = numbers.select(spark_udf(spark, saved(Large()))("x"))
    answers = [row[0].split() for _ in range(2) for row in large.collect()]
    seen["memory"] = memory()
    seen["answerers"], seen["loaders"], seen["totals"] = (len({answer[place] for answer in answers}) for place in range(3))

    if len(sys.argv) == 4:
        marks = WORK / "marks"
        marks.mkdir(exist_ok=True)
        mortal = spark_udf(spark, saved(Mortal()), extra_env={"MARKS": str(marks)})
        row = {x: spark.range(x, x + 1, numPartitions=1).withColumnRenamed("id", "x") for x in range(4)}
        seen["dies once"] = refused(row[2], mortal("x"))
        seen["dies always"] = refused(row[1], mortal("x"))
        seen["raises"] = refused(row[3], mortal("x"))
        seen["lives on"] = refused(row[0], mortal("x"))
        seen["can't load"] = refused(row[0], spark_udf(spark, saved(Absent()))("x"))
        seen["isolated"] = refused(row[0], spark_udf(spark, saved(Isolated(), "pandas", "cloudpickle"), env_manager="uv")("x"))
    seen["shipped"] = [Path(each).name for each in spark.sparkContext.listFiles] + [each.split("#")[-1] for each in spark.sparkContext.listArchives]

    running = [pid for pid, _ in processes()]
    # Where the executor's files are: below SPARK_HOME, whatever is set.
    files = Path(pyspark.__file__).parent / "work" / spark.sparkContext.applicationId
    spark.stop()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(True for _ in processes()):
        time.sleep(0.2)
    seen["left"] = [module for _, module in processes()]
    seen["ran"] = len(running)
    shutil.rmtree(files)
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
