"""ONNX models without mlflow.onnx and without onnx: onnxruntime alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from deployer_scoring.loaders.loaded import Loaded, Unusual, numeric_columns
from deployer_scoring.model.mlmodel import MLModel

FLAVOR = "onnx"
_CPU = "CPUExecutionProvider"
# Where the MLmodel names none.
_PROVIDERS = ("CUDAExecutionProvider", _CPU)
# Inputs that a probe with random numbers makes sense for.
_DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64}
_PROBED_ROWS = 67
_log = logging.getLogger(__name__)


class OnnxModel:
    """A graph in an onnxruntime session. A frame in gives a frame out, with each output flat; an array or a feed gives a dict of arrays."""

    def __init__(self, session: Any, matrix: bool = False) -> None:
        """Wrap a session.

        Args:
            session: An onnxruntime.InferenceSession.
            matrix: Whether an array stands for a frame, and so is answered as one.
        """
        self.session, self._matrix = session, matrix
        self._inputs = [(each.name, each.type) for each in session.get_inputs()]
        self._outputs = [each.name for each in session.get_outputs()]

    def predict(self, data: Any, params: Any = None) -> Any:
        """The graph's outputs by name; params say nothing to it.

        Raises:
            TypeError: The data is neither a frame, an array nor a dict of arrays.
            ValueError: One array for a graph with several inputs.
        """
        given = self.session.run(self._outputs, self._singles(self._feed(data)))
        if not _is_frame(data) and not (self._matrix and isinstance(data, np.ndarray)):
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
    matrix = numeric_columns(model) and len(session.get_inputs()) == 1 and model.pyfunc.predict_fn == "predict"
    return Loaded(OnnxModel(session, matrix), row_wise=_goes_by_rows(session, OnnxModel(session)), prompt=True, matrix=matrix)


def _goes_by_rows(session: Any, probed: OnnxModel) -> bool:
    """Whether the graph answers each row by itself, bit for bit: its first dimension is free and each output has one number a row, and a
    batch of numbers drawn at random gives what its rows give alone."""
    free = all(each.shape and not isinstance(each.shape[0], int) for each in (*session.get_inputs(), *session.get_outputs()))
    flat = all(len(each.shape) == 1 or (len(each.shape) == 2 and each.shape[1] == 1) for each in session.get_outputs())
    if not free or not flat or not all(_is_probeable(each) for each in session.get_inputs()):
        return False
    random = np.random.default_rng(0)
    feeds = {each.name: random.normal(size=(_PROBED_ROWS, *each.shape[1:])).astype(_DTYPES[each.type]) for each in session.get_inputs()}
    try:
        whole = probed.predict(dict(feeds))
        alone = [probed.predict({name: values[row : row + 1] for name, values in feeds.items()}) for row in range(_PROBED_ROWS)]
    except Exception:  # what the graph makes of random numbers is its own affair
        return False
    return all(np.array_equal(whole[name], np.concatenate([each[name] for each in alone]), equal_nan=True) for name in whole)


def _is_probeable(given: Any) -> bool:
    return given.type in _DTYPES and all(isinstance(size, int) for size in given.shape[1:])


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
