"""What the flavors' models are fitted on and asked: the same numbers in every interpreter."""

import numpy as np
import pandas as pd

COLUMNS = ["a", "b", "c", "d", "e", "f"]
ROWS = 200

_random = np.random.default_rng(7)
NUMBERS = pd.DataFrame(_random.normal(size=(ROWS, len(COLUMNS))), columns=COLUMNS)
TARGET = NUMBERS["a"] * 3 - NUMBERS["b"] ** 2 + _random.normal(scale=0.3, size=ROWS) + 5
LABELS = np.array(["low", "middle", "high"])[np.digitize(TARGET, [3.5, 5.5])]
CLASSES = np.digitize(TARGET, [3.5, 5.5])
# Of every numeric type; whole numbers past what single precision holds.
MIXED = NUMBERS.assign(b=(NUMBERS["b"] * 2**40).astype("int64"), c=NUMBERS["c"].astype("float32"), d=(NUMBERS["d"] * 2**28).astype("int32"))
WHOLE = pd.DataFrame({name: (NUMBERS[name] * 2**28).astype("int64") for name in COLUMNS})
TEXTS = pd.DataFrame({"text": ["a short text", "straße", "one more", "and the last of them"]})
