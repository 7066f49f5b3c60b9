"""The scoring runtime: what runs inside the container, and the model format that the rest of the product reads through it.

It stands alone: of third parties it needs pyyaml to read a model, numpy and pandas to score with it, and uvicorn to serve it. Its source
stays valid for Python 3.9, because registries are full of models saved by one.

    mlmodel, signature, datatypes, requirements     the format: no numpy at import
    loading, scorer                                 a model in memory
    decoding, enforcement, encoding                 bytes to data, data held against the signature, predictions to bytes
    service, worker, serving                        HTTP
"""

from deployer_scoring.version import __version__

__all__ = ["__version__"]
