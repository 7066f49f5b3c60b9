"""Whether a model needs mlflow where it is served: our own loaders serve most without, and mlflow with what only it requires is most of an
environment. Only what is certain is called not needed; nothing of the model is run to find out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from deployer.checks.check import check_model
from deployer.checks.surroundings import of_requirements
from deployer.core.requirements import MLFLOW, need
from deployer.core.state import PackagedModel
from deployer_scoring.errors import ScoringError
from deployer_scoring.loaders.loading import needs_no_mlflow
from deployer_scoring.model.mlmodel import MLModel, parse_mlmodel

_BY_CODE = frozenset({"mlflow.pyfunc.model", "mlflow.pyfunc.loaders.code_model"})


def with_mlflow_said(model: PackagedModel) -> PackagedModel:
    """The model, its facts saying whether it needs mlflow; one that isn't on this machine keeps what its facts say."""
    if model.path is None:
        return model
    try:
        return replace(model, facts=replace(model.facts, needs_mlflow=_needs_mlflow(model)))
    except ScoringError:
        return model  # it can't be read, which is for others to say


def _needs_mlflow(model: PackagedModel) -> bool:
    assert model.path is not None
    described = parse_mlmodel(model.path)
    if not needs_no_mlflow(described.pyfunc.loader_module) or _unusual(described):
        return True
    others = [line for line in model.facts.requirements if need(line).name not in MLFLOW]
    if len(others) == len(model.facts.requirements):
        return False  # it asks for none
    return bool(_missing(model, others) - _missing(model, model.facts.requirements))


def _missing(model: PackagedModel, requirements: Sequence[str]) -> set[str]:
    """What of its imports no requirement is known to bring: mlflow's own modules, and those of what only mlflow requires."""
    found = check_model(model, there=of_requirements(requirements, model.facts.python_version)).findings
    return {f"{each.file}: {each.what}" for each in found if each.code == "missing-module"}


def _unusual(model: MLModel) -> bool:
    """What our loaders leave to mlflow's, as far as the MLmodel says."""
    flavor = model.pyfunc
    if flavor.loader_module not in _BY_CODE:
        library = flavor.loader_module.rpartition(".")[2]
        named = str(model.flavors.get(library, {}).get("model_class", "xgboost."))
        return bool(flavor.model_config) or (library == "xgboost" and not named.startswith("xgboost."))
    script = str(flavor.options.get("model_code_path", ""))
    return bool(script) and _asks_for_more(model, script.rpartition("/")[2])


def _asks_for_more(model: MLModel, script: str) -> bool:
    from deployer_scoring.loaders.standin import asks_for_more  # by models from code alone

    try:
        source = (model.data_path / script).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return True
    return asks_for_more(source) or "dbutils" in source
