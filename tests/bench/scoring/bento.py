"""The service that BentoML serves in the benchmark; imported by BentoML alone, in its own environment."""

import os
from pathlib import Path

import bentoml
import numpy as np
import skops.io

_FILE = Path(os.environ["BENCH_MODEL"], "model.skops")


@bentoml.service(workers=1, traffic={"timeout": 60})
class Iris:
    """The estimator of the model directory in $BENCH_MODEL."""

    def __init__(self) -> None:
        self.model = skops.io.load(_FILE, trusted=skops.io.get_untrusted_types(file=_FILE))

    @bentoml.api(batchable=True, max_batch_size=256, max_latency_ms=1000)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict(rows))
