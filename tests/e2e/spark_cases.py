"""Runs in the environment with PySpark and MLflow: every case through MLflow's `spark_udf` or through ours, in one Spark session.

    python spark_cases.py PACKAGE_DIRECTORY WORK_DIRECTORY mlflow|ours [PART_OF_A_NAME]

Writes WORK_DIRECTORY/outcomes.json: for each case what was made of it, {"values": [...], "type": DDL} or {"refused": the error's line}.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")
sys.path.insert(0, sys.argv[1])

import mlflow  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from mlflow.models import ModelSignature  # noqa: E402
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec  # noqa: E402
from mlflow.types.schema import Array, Map, Object, Property  # noqa: E402
from pyspark.sql import SparkSession  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402, N812
from pyspark.sql import types as T  # noqa: E402, N812

WORK = Path(sys.argv[2])


class Shapes(mlflow.pyfunc.PythonModel):
    """Answers in the form that the param `form` names, made of the column x (or the first), an integer."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        x = model_input.iloc[:, 0].to_numpy().astype("int64")
        strings = [f"s{value}" for value in x]
        frame = pd.DataFrame(
            {
                "text": strings,
                "flag": x % 2 == 0,
                "big": x * 10_000_000_000,
                "small": x.astype("int16"),
                "byte": x.astype("uint8"),
                "integer": x.astype("int32"),
                "half": (x / 2).astype("float32"),
                "third": x / 3,
                "list": [[float(value), value + 0.5] for value in x],
                "names": [[f"a{value}", None] for value in x],
                "nested": [[[int(value)], [int(value), 1]] for value in x],
                "record": [{"a": int(value), "b": [float(value)]} for value in x],
                "mapping": [{f"k{value}": int(value)} for value in x],
                "sometimes": [None if value % 2 else value / 4 for value in x],
                "words": [None if value % 2 else f"w{value}" for value in x],
                "nothing": [None] * len(x),
                "when": pd.to_datetime(x, unit="h"),
            },
            index=range(5, 5 + len(x)),
        )
        forms = {
            "frame": lambda: frame,
            "numbers": lambda: frame[["third", "half", "integer", "big"]],
            "integers": lambda: frame[["big", "integer", "small"]],
            "doubles": frame["third"].to_numpy,
            "longs": lambda: x,
            "int32s": lambda: x.astype("int32"),
            "booleans": lambda: x % 2 == 0,
            "strings": lambda: strings,
            "objects": lambda: np.array(strings, dtype=object),
            "matrix": lambda: np.stack([x, x + 1, x + 2], axis=1).astype("float64"),
            "cube": lambda: np.stack([np.stack([x, x + 1], axis=1)] * 2, axis=2).astype("float64"),
            "lists": lambda: [[float(value), 1.0] for value in x],
            "ragged": lambda: [[float(value)] * int(value % 3) for value in x],
            "series": lambda: frame["third"],
            "list of numbers": lambda: [float(value) for value in x],
            "list of records": lambda: [{"third": value / 3, "text": f"s{value}"} for value in x],
            "dictionary": lambda: {"third": x / 3, "text": strings},
            "gaps": lambda: frame["sometimes"],
            "words": lambda: frame["words"],
            "nothing": lambda: frame[["nothing"]],
            "times": lambda: frame["when"],
            "bytes": lambda: pd.Series([f"b{value}".encode() for value in x]),
            "one": lambda: float(x[0]),
            "too few": lambda: x[:-1].astype("float64"),
            "raises": lambda: 1 / 0,
            "nested": frame["nested"].tolist,
            "arrays of records": lambda: [[{"a": int(value), "b": f"s{value}"}] * 2 for value in x],
            "mapping": lambda: [{"k": int(value)} for value in x],
        }
        return forms[(params or {}).get("form") or "doubles"]()


class Seen(mlflow.pyfunc.PythonModel):
    """Answers with what it was given: dtypes, and each row's values with their Python types."""

    def predict(self, context: Any, model_input: pd.DataFrame) -> list[str]:
        dtypes = {str(name): str(dtype) for name, dtype in model_input.dtypes.items()}
        rows = [
            {repr(name): told(value) for name, value in zip(model_input.columns, row, strict=True)} for row in model_input.itertuples(index=False)
        ]
        return [f"{dtypes} {row}" for row in rows]


class Tensors(mlflow.pyfunc.PythonModel):
    """Answers with the shape and type of the tensor it was given, and its sums."""

    def predict(self, context: Any, model_input: Any) -> list[str]:
        arrays = model_input if isinstance(model_input, dict) else {"": model_input}
        rows = len(next(iter(arrays.values())))
        return [
            str({name: (type(array).__name__, str(array.dtype), array.shape[1:], array[row].tolist()) for name, array in arrays.items()})
            for row in range(rows)
        ]


class Configured(mlflow.pyfunc.PythonModel):
    """Answers with its config."""

    def predict(self, context: Any, model_input: pd.DataFrame) -> list[str]:
        return [json.dumps(context.model_config, sort_keys=True)] * len(model_input)


def told(value: Any) -> str:
    """A value with the types of all its parts."""
    if isinstance(value, (list, np.ndarray)):
        kind = f"{type(value).__name__}[{value.dtype}]" if isinstance(value, np.ndarray) else "list"
        return f"{kind}({', '.join(map(told, value))})"
    if isinstance(value, dict):
        return f"dict({', '.join(f'{key}={told(item)}' for key, item in value.items())})"
    return f"{type(value).__name__}:{value!r}"


def saved(name: str, model: Any, signature: ModelSignature | None, **options: Any) -> str:
    path = WORK / name
    if not path.exists():
        mlflow.pyfunc.save_model(str(path), python_model=model, signature=signature, pip_requirements=["mlflow", "pandas"], **options)
    return str(path)


FORM = ParamSchema([ParamSpec("form", DataType.string, "doubles")])


def shapes(outputs: Schema | None = None) -> str:
    inputs = Schema([ColSpec(DataType.long, "x")])
    name = "shapes" if outputs is None else f"shapes-{abs(hash(str(outputs)))}"
    return saved(name, Shapes(), ModelSignature(inputs, outputs, FORM))


def seen(inputs: Schema | None) -> str:
    return saved(
        "seen" if inputs is None else f"seen-{abs(hash(str(inputs)))}", Seen(), inputs and ModelSignature(inputs, Schema([ColSpec(DataType.string)]))
    )


@dataclasses.dataclass(frozen=True)
class Case:
    """One way to make and call a UDF."""

    name: str
    model: str
    call: Callable[[Any], Any]
    """From the UDF to a column of the data frame."""
    data: str = "numbers"
    result_type: Any = None
    params: dict[str, Any] | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def forms() -> Iterator[Case]:
    """What a model may return, as each result type."""
    scalars = ["int", "long", "float", "double", "string", "boolean", "bool"]
    arrays = [f"array<{kind}>" for kind in ("int", "bigint", "float", "double", "string", "boolean")]
    wanted: dict[str, list[Any]] = {
        "frame": [*scalars, *arrays],
        "numbers": ["int", "long", "array<double>"],
        "integers": ["int", "long", "array<bigint>"],
        "doubles": ["int", "double", "float", "string"],
        "longs": ["int", "long", "double", "boolean", "array<bigint>"],
        "int32s": ["int", "long"],
        "booleans": ["boolean", "int", "string"],
        "strings": ["string", "double", "array<string>"],
        "objects": ["string"],
        "matrix": ["double", "array<double>", "array<string>", "array<array<double>>"],
        "cube": ["array<array<double>>", "array<array<array<double>>>"],
        "lists": ["array<double>", "array<array<double>>"],
        "ragged": ["array<double>"],
        "series": ["double", "array<float>"],
        "list of numbers": ["double"],
        "list of records": ["string", "third double, text string", "double"],
        "dictionary": ["string", "third double, text string", "text string"],
        "gaps": ["double", "string", "a double"],
        "words": ["string", "array<string>"],
        "nothing": ["string", "double", "nothing string", "nothing double"],
        "one": ["double"],
        "too few": ["double"],
        "raises": ["double"],
        "nested": ["array<array<int>>", "array<array<array<bigint>>>"],
        "arrays of records": ["array<array<struct<a:int,b:string>>>"],
    }
    structs = [
        "third double, text string",
        "struct<integer: int, big: bigint, half: float, flag: boolean>",
        "list array<double>",
        "names array<string>, nested array<array<int>>",
        "record struct<a: int, b: array<double>>",
        "mapping map<string, bigint>",
        "sometimes double, words string",
        "nothing int, third float",
        "big string, flag string",
        "third int",
        "missing double",
        "when timestamp",
    ]
    typed = [
        T.IntegerType(), T.LongType(), T.FloatType(), T.DoubleType(), T.StringType(), T.BooleanType(), T.ArrayType(T.LongType()),
        T.StructType([T.StructField("third", T.DoubleType()), T.StructField("byte", T.IntegerType())]),
    ]  # fmt: skip
    wanted["frame"] += [*structs, *typed, "timestamp", "date", "decimal(10,2)", "map<int,int>"]
    for form, kinds in wanted.items():
        for kind in kinds:
            label = kind if isinstance(kind, str) else repr(kind)
            yield Case(f"{form} as {label}", shapes(), lambda udf: udf("x"), result_type=kind, params={"form": form})


def inferred() -> Iterator[Case]:
    """Result types from a signature's outputs."""
    named = {"third": DataType.double, "integer": DataType.integer, "text": DataType.string, "flag": DataType.boolean, "half": DataType.float}
    outputs: dict[str, tuple[str, Schema]] = {
        "one double": ("doubles", Schema([ColSpec(DataType.double)])),
        "one long": ("longs", Schema([ColSpec(DataType.long, "label")])),
        "one string": ("strings", Schema([ColSpec(DataType.string)])),
        "one datetime": ("times", Schema([ColSpec(DataType.datetime)])),
        "one binary": ("bytes", Schema([ColSpec(DataType.binary)])),
        "several columns": ("frame", Schema([ColSpec(kind, name) for name, kind in named.items()])),
        "an array": ("lists", Schema([ColSpec(Array(DataType.double))])),
        "a nested array": ("nested", Schema([ColSpec(Array(Array(DataType.long)))])),
        "an object among columns": (
            "frame",
            Schema(
                [ColSpec(Object([Property("a", DataType.long), Property("b", Array(DataType.double))]), "record"), ColSpec(DataType.double, "third")]
            ),
        ),
        "a map among columns": ("frame", Schema([ColSpec(Map(DataType.long), "mapping"), ColSpec(DataType.string, "text")])),
        "a tensor of labels": ("longs", Schema([TensorSpec(np.dtype("int64"), (-1,))])),
        "a tensor of rows": ("matrix", Schema([TensorSpec(np.dtype("float64"), (-1, 3))])),
        "a tensor of cubes": ("cube", Schema([TensorSpec(np.dtype("float64"), (-1, 2, 2))])),
        "a tensor of int16": ("longs", Schema([TensorSpec(np.dtype("int16"), (-1,))])),
    }
    for name, (form, schema) in outputs.items():
        yield Case(f"inferred from {name}", shapes(schema), lambda udf: udf("x"), params={"form": form})
    yield Case("double where nothing is said", shapes(), lambda udf: udf("x"))


def inputs() -> Iterator[Case]:
    """What the model is given."""
    two = Schema([ColSpec(DataType.long, "x"), ColSpec(DataType.double, "y")])
    optional = Schema([ColSpec(DataType.long, "x"), ColSpec(DataType.double, "y", required=False), ColSpec(DataType.string, "text", required=False)])
    unnamed = Schema([ColSpec(DataType.long), ColSpec(DataType.double)])
    dotted = Schema([ColSpec(DataType.long, "an x (cm)")])
    yield Case("columns without a signature", seen(None), lambda udf: udf("x", "y"), result_type="string")
    yield Case("one column without a signature", seen(None), lambda udf: udf("y"), result_type="string")
    yield Case("a struct without a signature", seen(None), lambda udf: udf(F.struct("x", "y", "text")), result_type="string")
    yield Case("a struct and a column without a signature", seen(None), lambda udf: udf(F.struct("x", "y"), "text"), result_type="string")
    yield Case("no columns without a signature", seen(None), lambda udf: udf(), result_type="string")
    yield Case("the signature's columns", seen(two), lambda udf: udf())
    yield Case("columns in order", seen(two), lambda udf: udf("x", "y"))
    yield Case("column objects", seen(two), lambda udf: udf(F.col("x"), F.col("y") * 2))
    yield Case("columns of other names", seen(two), lambda udf: udf("x", "x"))
    yield Case("more columns than the signature", seen(two), lambda udf: udf("x", "y", "text"))
    yield Case("a struct in another order", seen(two), lambda udf: udf(F.struct("text", "y", "x")))
    yield Case("a struct with a column missing", seen(two), lambda udf: udf(F.struct("x")))
    yield Case("a column missing", seen(two), lambda udf: udf("x"))
    yield Case("a string for a double", seen(two), lambda udf: udf("x", "text"))
    yield Case("nulls for a long", seen(two), lambda udf: udf("gaps", "y"))
    yield Case("optional columns left out", seen(optional), lambda udf: udf("x"))
    yield Case("an optional column given", seen(optional), lambda udf: udf("x", "y"))
    yield Case("optional columns in a struct", seen(optional), lambda udf: udf(F.struct("x", "text")))
    yield Case("no columns with optional ones", seen(optional), lambda udf: udf())
    yield Case("a signature without names", seen(unnamed), lambda udf: udf("x", "y"))
    yield Case("no columns with a signature without names", seen(unnamed), lambda udf: udf())
    yield Case("a name with spaces and brackets", seen(dotted), lambda udf: udf(), data="dotted")
    yield Case("types in a struct", seen(None), lambda udf: udf(F.struct(*TYPES)), data="types", result_type="string")
    yield Case("types side by side", seen(None), lambda udf: udf(*TYPES), data="types", result_type="string")
    nested = Schema(
        [
            ColSpec(Array(DataType.string), "strings"),
            ColSpec(Object([Property("a", DataType.long), Property("b", DataType.string)]), "record"),
            ColSpec(Map(DataType.long), "mapping"),
        ]
    )
    yield Case("a nested signature", seen(nested), lambda udf: udf(), data="types")
    tensor = saved("tensor", Tensors(), ModelSignature(Schema([TensorSpec(np.dtype("float32"), (-1, 2, 2))]), Schema([ColSpec(DataType.string)])))
    yield Case("a tensor from an array column", tensor, lambda udf: udf("fours"), data="types")
    tensors = ModelSignature(
        Schema([TensorSpec(np.dtype("float64"), (-1, 2, 2), "fours"), TensorSpec(np.dtype("int32"), (-1,), "int")]),
        Schema([ColSpec(DataType.string)]),
    )
    yield Case("named tensors", saved("tensors", Tensors(), tensors), lambda udf: udf("fours", "int"), data="types")
    yield Case("named tensors by name", saved("tensors", Tensors(), tensors), lambda udf: udf(), data="types")
    yield Case("a param of the wrong type", shapes(), lambda udf: udf("x"), params={"form": 3})
    yield Case("a param that isn't declared", shapes(), lambda udf: udf("x"), params={"from": "x"})
    configured = saved("configured", Configured(), None, model_config={"a": 1, "b": "two"})
    yield Case("a config of its own", configured, lambda udf: udf("x"), result_type="string")
    yield Case("a config overridden", configured, lambda udf: udf("x"), result_type="string", options={"model_config": {"a": 5, "unknown": 6}})
    yield Case("an unknown environment manager", shapes(), lambda udf: udf("x"), options={"env_manager": "pipenv"})


TIMES = [
    None if text is None else datetime.datetime.fromisoformat(text)
    for text in ("2020-02-29T12:30:01.000005", None, *(f"1970-01-01T0{hour}" for hour in range(3)))
]
NUMBERS = "x long, y double, text string, gaps long"
ROWS = [(0, 0.5, "a", 1), (1, 1.5, "b", None), (2, float("nan"), None, 3), (3, -2.0, "ä", 4), (7, 1e300, "", 5)]
TYPES = {
    "byte": ("tinyint", [1, 2, None, -4, 5]),
    "short": ("smallint", [1, 2, 3, 4, 5]),
    "int": ("int", [1, 2, 3, 4, 5]),
    "long": ("bigint", [1, 2**53 + 1, 3, 4, None]),
    "float": ("float", [0.1, None, 3.0, float("nan"), float("inf")]),
    "double": ("double", [0.1, None, 3.0, float("nan"), float("inf")]),
    "flag": ("boolean", [True, None, False, True, False]),
    "flags": ("boolean", [True, True, False, True, False]),
    "string": ("string", ["a", None, "", "ä", "null"]),
    "binary": ("binary", [b"a", None, b"", b"\xff", b"0"]),
    "date": ("date", [datetime.date(2020, 2, 29), None, datetime.date(1900, 1, 1), datetime.date(2200, 1, 1), datetime.date(1970, 1, 1)]),
    "timestamp": ("timestamp", [*TIMES]),
    "local": ("timestamp_ntz", [*TIMES]),
    "decimal": ("decimal(20,4)", [decimal.Decimal("1.2500"), None, decimal.Decimal(0), decimal.Decimal("-3.1"), decimal.Decimal("123456789.0001")]),
    "interval": ("interval day to second", [datetime.timedelta(1, 2), None, *[datetime.timedelta(hours=hour) for hour in range(3)]]),
    "ints": ("array<int>", [[1, 2], None, [], [3], [4, None]]),
    "fours": ("array<double>", [[1.0, 2.0, 3.0, float(number)] for number in range(5)]),
    "strings": ("array<string>", [["a", "b"], [], [], ["c"], ["d"]]),
    "lists": ("array<array<int>>", [[[1], [2, 3]], None, [], [[]], [[4]]]),
    "record": ("struct<a: bigint, b: string>", [(1, "x"), (2, None), (3, ""), (4, "y"), (5, "z")]),
    "deep": ("struct<a: struct<b: array<int>>, c: map<string, int>>", [(([1],), {"k": 1}), (([],), {}), None, ((None,), {"l": 2}), (([2],), None)]),
    "records": ("array<struct<a: int, b: string>>", [[(1, "x"), (2, "y")], None, [], [(3, None)], [(4, "z")]]),
    "mapping": ("map<string, bigint>", [{"a": 1}, {"b": 2, "c": 3}, {}, {"a": 4}, {"d": 5}]),
    "maps": ("array<map<string, int>>", [[{"a": 1}, {"b": 2}], None, [], [{}], [{"a": 3}]]),
    "nothing": ("string", [None] * 5),
}


def frames(spark: Any) -> dict[str, Any]:
    """The data frames by name, each one partition, so that its batches are the same in every run."""
    schema = ", ".join(f"`{name}` {kind}" for name, (kind, _) in TYPES.items())
    columns = zip(*(values for _, values in TYPES.values()), strict=True)
    return {
        "numbers": spark.createDataFrame(ROWS, NUMBERS).coalesce(1).cache(),
        "types": spark.createDataFrame([*columns], schema).coalesce(1).cache(),
        "dotted": spark.createDataFrame([(1,), (2,)], "`an x (cm)` long").coalesce(1).cache(),
    }


def outcome(make: Callable[..., Any], spark: Any, data: Any, case: Case) -> dict[str, Any]:
    """What came of a case."""
    try:
        options = {"env_manager": "local", **case.options}
        udf = make(spark, case.model, result_type=case.result_type, params=case.params, **options)
        rows = data.select(case.call(udf).alias("it"))
        return {"type": rows.schema[0].dataType.simpleString(), "values": [told(plain(row[0])) for row in rows.collect()]}
    except Exception as error:
        said = [line for line in str(error).splitlines() if re.match(r"^[\w.]+(Error|Exception|Failure|Input)\b", line)]
        return {"refused": said[-1] if said else f"{type(error).__name__}: {str(error).splitlines()[0]}"}


def plain(value: Any) -> Any:
    """Spark's rows as dictionaries, at any depth."""
    if isinstance(value, T.Row):
        return {name: plain(item) for name, item in value.asDict().items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def main() -> None:
    from deployer_scoring.spark.udf import spark_udf

    builder = SparkSession.builder.master("local[3]").config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "America/New_York")
    builder = builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", "4").config("spark.python.daemon.module", "spark_daemon")
    spark = builder.config("spark.sql.shuffle.partitions", "1").getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    data = frames(spark)
    cases = [case for case in (*forms(), *inferred(), *inputs()) if len(sys.argv) < 5 or sys.argv[4] in case.name]
    make = {"mlflow": mlflow.pyfunc.spark_udf, "ours": spark_udf}[sys.argv[3]]
    with ThreadPoolExecutor(3) as pool:
        told = {case.name: pool.submit(outcome, make, spark, data[case.data], case) for case in cases}
        found = {name: each.result() for name, each in told.items()}
    spark.stop()
    Path(WORK / "outcomes.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
