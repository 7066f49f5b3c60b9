"""`deployer.models.predict`, under MLflow's name: a file, or data, scored by a model on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deployer.artifacts.fetching import fetch
from deployer.core import targets
from deployer.core.capabilities import SupportsScoringHere
from deployer.core.target import TargetUri
from deployer.errors import ConfigInvalid
from deployer.events import Report, silent


def predict(  # noqa: PLR0917 - the call of MLflow has as many
    model_uri: str,
    input_data: Any = None,
    input_path: str | Path | None = None,
    content_type: str | None = None,
    output_path: str | Path | None = None,
    env_manager: str = "uv",
    *,
    params: Mapping[str, Any] | None = None,
    chunk_rows: int | None = None,
    pip_requirements_override: Sequence[str] = (),
    extra_envs: Mapping[str, str] | None = None,
    install_mlflow: bool = False,
    on_event: Report = silent,
) -> int:
    """Score a file with a model, in chunks, with the checks that the server makes; how many rows it had.

    Args:
        model_uri: as `fetch` takes it.
        input_data: a DataFrame, array, list or request body, instead of `input_path`.
        input_path: csv, json, jsonl or parquet.
        content_type: csv, json, jsonl or parquet, where the file's ending doesn't say it.
        output_path: where the predictions go, in the format of its ending; standard output where it's left out.
        env_manager: "uv", "local", "virtualenv" or "conda".
        chunk_rows: rows that are scored at once, 0 for all; left out, the model's kind decides.
        pip_requirements_override: requirements that replace the model's.
        extra_envs: environment variables for the model's process.
        install_mlflow: MLflow's; not needed here.

    Raises:
        ConfigInvalid: the input doesn't fit the model. ModelInvalid: it can't be loaded, or failed. MachineFault: a file can't be read or written.
    """
    if (input_data is None) == (input_path is None):
        raise ConfigInvalid("the input is not said, or twice", advice="give one of input_data and input_path")
    here = targets.load(TargetUri("local"))
    if not isinstance(here, SupportsScoringHere):
        raise ConfigInvalid("the local target that is installed can't score files", advice='pip install --upgrade "deployer-ml"')
    model = fetch(model_uri, on_event)
    options: dict[str, Any] = {
        "target": Path(output_path).absolute() if output_path else None,
        "chunk_rows": chunk_rows,
        "manager": env_manager,
        "more": tuple(pip_requirements_override),
        "variables": dict(extra_envs or {}),
    }
    if input_path is not None:
        return here.score_here(model, source=Path(input_path).absolute(), form=content_type, params=params, report=on_event, **options)
    from deployer.requests.payloads import encode

    with tempfile.NamedTemporaryFile(suffix=".csv" if content_type == "csv" else ".json") as file:
        file.write(encode(input_data, params=params).body)
        file.flush()
        return here.score_here(model, source=Path(file.name), form=content_type, params=None, report=on_event, **options)
