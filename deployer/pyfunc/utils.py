"""The decorator that holds data against the type hint of a function's input (`mlflow.pyfunc.utils.pyfunc`)."""

from deployer_scoring.python_model import pyfunc

__all__ = ["pyfunc"]
