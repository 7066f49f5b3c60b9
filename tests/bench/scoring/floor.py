"""Run by the model's interpreter: the median milliseconds of the estimator's own predict, on the array and on the frame of so many rows.

python floor.py MODEL ROWS
"""

import json
import sys
import time
import warnings
from pathlib import Path
from statistics import median

import pandas as pd
import skops.io

warnings.filterwarnings("ignore")


def main(model: Path, rows: int) -> None:
    file = model / "model.skops"
    estimator = skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    frame = pd.DataFrame([[5.1, 3.5, 1.4, 0.2]] * rows, columns=list(estimator.feature_names_in_))
    array = frame.to_numpy()
    print(json.dumps({"array": _median(estimator, array), "frame": _median(estimator, frame)}))


def _median(estimator, data) -> float:  # type: ignore[no-untyped-def]
    taken = []
    for turn in range(400):
        begin = time.perf_counter()
        estimator.predict(data)
        if turn >= 50:
            taken.append(time.perf_counter() - begin)
    return median(taken) * 1000


main(Path(sys.argv[1]), int(sys.argv[2]))
