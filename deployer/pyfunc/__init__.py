"""Models as Python functions, under MLflow's names (`mlflow.pyfunc`): written, saved, logged, loaded.

    import deployer.pyfunc

    class AddN(deployer.pyfunc.PythonModel):
        def __init__(self, n):
            self.n = n

        def predict(self, context, model_input):
            return model_input + self.n

    deployer.pyfunc.save_model("add_n", python_model=AddN(5))
    deployer.pyfunc.load_model("add_n").predict(frame)

What is saved here loads in MLflow without this package, and the other way round (docs/format.md). Names are loaded when used: making models
needs the `scoring` extra, importing this needs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.lazy import lazily

if TYPE_CHECKING:
    from deployer.pyfunc.loading import load_model, load_pyfunc
    from deployer.pyfunc.saving import log_model, save_model
    from deployer.pyfunc.spark import spark_udf
    from deployer_scoring.format.environments import get_default_conda_env, get_default_pip_requirements
    from deployer_scoring.format.flavor import add_to_model
    from deployer_scoring.format.loading import PyFuncModel
    from deployer_scoring.python_model import PythonModel, PythonModelContext

__all__ = [
    "FLAVOR_NAME",
    "PyFuncModel",
    "PythonModel",
    "PythonModelContext",
    "add_to_model",
    "get_default_conda_env",
    "get_default_pip_requirements",
    "load_model",
    "load_pyfunc",
    "log_model",
    "save_model",
    "spark_udf",
]

FLAVOR_NAME = "python_function"

__getattr__ = lazily(
    __name__,
    {
        "PyFuncModel": "deployer_scoring.format.loading",
        "PythonModel": "deployer_scoring.python_model",
        "PythonModelContext": "deployer_scoring.python_model",
        "add_to_model": "deployer_scoring.format.flavor",
        "get_default_conda_env": "deployer_scoring.format.environments",
        "get_default_pip_requirements": "deployer_scoring.format.environments",
        "load_model": "deployer.pyfunc.loading",
        "load_pyfunc": "deployer.pyfunc.loading",
        "log_model": "deployer.pyfunc.saving",
        "save_model": "deployer.pyfunc.saving",
        "spark_udf": "deployer.pyfunc.spark",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
