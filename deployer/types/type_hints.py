"""Type hints that mean something to a model, under MLflow's names (`mlflow.types.type_hints`)."""

from deployer_scoring.schema.hints import TypeFromExample

__all__ = ["TypeFromExample"]
