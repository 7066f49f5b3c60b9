"""ONNX models without mlflow.onnx and without onnx: onnxruntime alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from deployer_scoring.loaders.loaded import Loaded, Unusual
from deployer_scoring.model.mlmodel import MLModel

FLAVOR = "onnx"
_CPU = "CPUExecutionProvider"
# Where the MLmodel names none.
_PROVIDERS = ("CUDAExecutionProvider", _CPU)
_log = logging.getLogger(__name__)


class OnnxModel:
    """A graph in an onnxruntime session. A frame in gives a frame out, with each output flat; an array or a feed gives a dict of arrays."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self._inputs = [(each.name, each.type) for each in session.get_inputs()]
        self._outputs = [each.name for each in session.get_outputs()]

    def predict(self, data: Any, params: Any = None) -> Any:
        """The graph's outputs by name; params say nothing to it.

        Raises:
            TypeError: The data is neither a frame, an array nor a dict of arrays.
            ValueError: One array for a graph with several inputs.
        """
        given = self.session.run(self._outputs, self._singles(self._feed(data)))
        if not _is_frame(data):
            return dict(zip(self._outputs, given))
        import pandas as pd

        return pd.DataFrame({name: np.asarray(values).reshape(-1) for name, values in zip(self._outputs, given)})

    def _feed(self, data: Any) -> dict[str, Any]:
        if isinstance(data, dict):
            return data
        if isinstance(data, np.ndarray):
            if len(self._inputs) > 1:
                raise ValueError(f"one array was given to a model of {len(self._inputs)} inputs: {', '.join(name for name, _ in self._inputs)}")
            return {self._inputs[0][0]: data}
        if not _is_frame(data):
            raise TypeError(f"the model takes a DataFrame, an array or a dict of arrays, not {type(data).__name__}")
        if len(self._inputs) == 1:
            return {self._inputs[0][0]: data.values}
        return {name: data[name].values for name, _ in self._inputs}

    def _singles(self, feed: dict[str, Any]) -> dict[str, Any]:
        """JSON's numbers come as doubles: they are made single where the graph asks for single ones."""
        for name, kind in self._inputs:
            values = feed.get(name)
            if kind == "tensor(float)" and values is not None and values.dtype == np.float64:
                feed[name] = values.astype(np.float32)
        return feed


def load(model: MLModel, config: Mapping[str, Any]) -> Loaded:
    """Load a model of the onnx flavor.

    Raises:
        Unusual: It has a config, no onnx flavor, or its graph has no input.
    """
    if config or FLAVOR not in model.flavors or not model.data_path.is_file():
        raise Unusual("the onnx flavor takes no config and a single file")
    session = _session(str(model.data_path), model.flavors[FLAVOR])
    if not session.get_inputs():
        raise Unusual("the graph has no input")
    return Loaded(OnnxModel(session))


def _session(path: str, flavor: Mapping[str, Any]) -> Any:
    """A session on the wanted providers that are here; on the CPU where they don't start."""
    import onnxruntime

    wanted = _providers(flavor.get("providers", _PROVIDERS))
    here = set(onnxruntime.get_available_providers())
    usable = [each for each in wanted if _name(each) in here] or [_CPU]
    if missing := [_name(each) for each in wanted if _name(each) not in here and _name(each) not in _PROVIDERS]:
        _log.warning("these execution providers are not in this onnxruntime: %s; using %s", missing, [_name(each) for each in usable])
    options = _session_options(onnxruntime, flavor.get("onnx_session_options") or {})
    try:
        return onnxruntime.InferenceSession(path, providers=usable, sess_options=options)
    except Exception as error:
        if usable == [_CPU]:
            raise
        _log.warning("the execution providers %s did not start (%s): using the CPU", [_name(each) for each in usable], error)
        return onnxruntime.InferenceSession(path, providers=[_CPU], sess_options=options)


def _providers(named: Any) -> list[Any]:
    """Names, or pairs of name and options (lists in the MLmodel, which onnxruntime takes as tuples only)."""
    listed = [named] if isinstance(named, str) else list(named or _PROVIDERS)
    return [tuple(each) if isinstance(each, list) else each for each in listed]


def _name(provider: Any) -> Any:
    return provider[0] if isinstance(provider, tuple) and provider else provider


def _session_options(onnxruntime: Any, wanted: Mapping[str, Any]) -> Any:
    options = onnxruntime.SessionOptions()
    for name in ("inter_op_num_threads", "intra_op_num_threads"):
        if wanted.get(name):
            setattr(options, name, wanted[name])
    mode = str(wanted.get("execution_mode") or "").upper()
    if mode in {"SEQUENTIAL", "PARALLEL"}:
        options.execution_mode = getattr(onnxruntime.ExecutionMode, f"ORT_{mode}")
    if wanted.get("graph_optimization_level"):
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel(wanted["graph_optimization_level"])
    for key, value in (wanted.get("extra_session_config") or {}).items():
        options.add_session_config_entry(key, value)
    return options


def _is_frame(data: Any) -> bool:
    import pandas as pd

    return isinstance(data, pd.DataFrame)
