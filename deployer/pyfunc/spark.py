"""Models as Spark's functions over columns (`mlflow.pyfunc.spark_udf`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deployer.models.loading import fetched


def spark_udf(spark: Any, model_uri: str | Path, *arguments: Any, **options: Any) -> Any:
    """A Spark UDF of a model, whatever URI it has; the rest as `deployer_scoring.spark.udf.spark_udf`."""
    from deployer_scoring.spark import udf

    return udf.spark_udf(spark, fetched(model_uri), *arguments, **options)
