"""The scoring runtime: what runs inside the container, and the model format that the rest of the product reads through it.

It stands alone: of third parties it needs pyyaml to read a model, numpy and pandas to score with it; orjson, msgspec and uvloop make it faster
where they are. Its source stays valid for Python 3.8 (`OLDEST_PYTHON`), because registries are full of models saved by one.

    schema, model       the format: types and signatures, the model's directory; no numpy at import
    loaders             a model directory to an object that predicts
    enforcement         data held against the signature
    wire                bytes to data, predictions to bytes
    scorer              a model in memory that answers requests
    server              HTTP, the queue, the container's life
"""

from deployer_scoring.version import OLDEST_PYTHON, __version__

__all__ = ["OLDEST_PYTHON", "__version__"]
