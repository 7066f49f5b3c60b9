"""The bases of models in Python, where MLflow has them too (`mlflow.pyfunc.model`)."""

from deployer_scoring.python_model import PythonModel, PythonModelContext

__all__ = ["PythonModel", "PythonModelContext"]
