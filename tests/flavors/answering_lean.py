"""As answering.py, after pandas was imported as a server of the first model imports it: without pyarrow, if the model has no use for it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "images"))

from deployer_scoring.loaders.lean_pandas import import_pandas
from deployer_scoring.model.mlmodel import parse_mlmodel

import_pandas(parse_mlmodel(Path(sys.argv[2]) / sys.argv[3]))

from answering import main  # type: ignore[import-not-found]  # noqa: E402  imports pandas

main()
