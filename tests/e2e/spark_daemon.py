"""A Python daemon for Spark with MLflow in it, so that a worker that failed costs no new import of 3 s."""

import mlflow.pyfunc  # noqa: F401
import pandas  # noqa: F401
import pyarrow  # noqa: F401
from pyspark import daemon

if __name__ == "__main__":
    daemon.manager()
