"""What runs in Spark's Python workers: a UDF's batches go to the executor's model process, its answers come back.

It is pickled by reference, so that the workers import it from the package that `shipping` has sent; numpy, pandas and pyarrow they have
for every pandas UDF.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from deployer_scoring.spark.client import Client, ModelProcessSpec

_KEPT = 4  # connections that a worker keeps between tasks

_clients: OrderedDict[str, Client] = OrderedDict()


@dataclass(frozen=True)
class UdfJob:
    """A UDF, as the workers need to know it."""

    identity: str
    """Of the model's content."""
    directory: str
    """The model's directory where all executors see it; or else its name below Spark's files."""
    shipped: bool
    """Whether the directory is a name below Spark's files."""
    result_type: Any
    """JSON of the Spark type."""
    params: Optional[Mapping[str, Any]]
    """As JSON has them."""
    isolated: bool
    """Whether the model gets a Python environment of its own, rather than the workers'."""
    environment: Mapping[str, str]
    """Variables of the model process."""
    idle: float
    """Seconds that a model process stays without a connection."""


def predictions(job: UdfJob, batches: Iterator[Any]) -> Iterator[Any]:
    """The predictions for each batch that Spark has for a pandas UDF: a series, or a frame where the result type is a struct.

    Raises:
        LoadError, ModelFailure, InvalidInput: As `Client.predict`; Spark shows them with the failed task.
    """
    from deployer_scoring.spark.batches import packed, result

    client = _taken(job)
    try:
        for batch in batches:
            arguments = batch if isinstance(batch, tuple) else (batch,)
            if len(arguments[0]):
                yield result(client.predict(packed(arguments)), job.result_type)
    except BaseException:
        client.close()  # an answer may be on its way that nobody takes
        raise
    _kept(job, client)


def rehearse() -> None:
    """Go through a batch's ways once, so that all that is made on first use is there."""
    import pandas as pd
    import pyarrow as pa

    from deployer_scoring.spark.batches import packed, result, stream

    numbers = pa.array([0.5, 1.5])
    packed([numbers.to_pandas(), pd.Series(["a", None])])
    for kind, values in (("double", numbers), ("string", pa.array(["a", None]))):
        pa.Array.from_pandas(result(stream(pa.record_batch([values], ["result"])), kind))


def _taken(job: UdfJob) -> Client:
    return _clients.pop(_key(job), None) or Client(_order(job), {"result_type": job.result_type, "params": job.params})


def _kept(job: UdfJob, client: Client) -> None:
    if _key(job) in _clients or len(_clients) >= _KEPT:
        _clients.popitem(last=False)[1].close()
    _clients[_key(job)] = client


def _key(job: UdfJob) -> str:
    return repr(job)


def _order(job: UdfJob) -> ModelProcessSpec:
    directory = job.directory
    if job.shipped:
        from pyspark import SparkFiles

        directory = SparkFiles.get(directory)
    package = str(Path(__file__).parents[2])
    python, import_path = sys.executable, (package, *filter(None, sys.path))
    if job.isolated:
        from deployer_scoring.spark.environments import environment

        python, import_path = str(environment(Path(directory))), (package,)
    return ModelProcessSpec(job.identity, directory, python, import_path, job.environment, job.idle)
