"""A Python daemon for Spark's executors whose workers share what every pandas UDF imports.

    spark.python.daemon.module  deployer_scoring.spark.daemon

Spark's own daemon forks its workers first, and each then imports numpy, pandas and pyarrow for itself: some 80 MB and a second of a core
for each. This one imports them before. The module must be installed on the executors: it is looked for before any file is sent to them.
"""

import gc

import numpy  # noqa: F401
import pandas  # noqa: F401
import pyarrow  # noqa: F401
from pyspark import daemon

if __name__ == "__main__":
    gc.freeze()
    daemon.manager()
