"""The page at /docs: a person sends the input example and sees the answer.

One document without anything from elsewhere, so that it works in a network without ways out; the browser is held to that by a content
security policy that names the page's own style and script by their digests.
"""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import re
from pathlib import Path
from typing import Any, Optional, Union

from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.model.serving_example import serving_example
from deployer_scoring.schema.signature import ColSpec, ParamSpec, Schema, TensorSpec
from deployer_scoring.server.http.messages import Response
from deployer_scoring.server.protocols.json_schemas import takes_csv
from deployer_scoring.version import __version__

_FILE = Path(__file__).with_name("page.html")
_DATA = '<script type="application/json" id="model">{}</script>'


def page(model: MLModel, name: str = "") -> Response:
    """The page for a model, under the name that the server was told, if any."""
    html = _FILE.read_text(encoding="utf-8")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src {_digest(html, 'style')}",
            f"script-src {_digest(html, 'script')}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }
    # `<` would end the element that holds the data, whatever it stands in.
    data = json.dumps({**_shown(model), "title": name or f"{model.framework} model"}, ensure_ascii=True).replace("<", "\\u003c")
    return Response(200, html.replace(_DATA, _DATA.replace("{}", data)).encode(), "text/html; charset=utf-8", headers)


def _shown(model: MLModel) -> dict[str, Any]:
    signature, example = model.signature, serving_example(model)
    inputs = signature.inputs if signature else None
    saved_by = f", saved by MLflow {model.mlflow_version}" if model.mlflow_version else ""
    params = signature.params if signature else None
    return {
        "about": f"deployer {__version__} on Python {platform.python_version()}{saved_by}",
        "inputs": _specs(inputs, required=True),
        "outputs": _specs(signature.outputs if signature else None, required=False),
        "params": [_param(each) for each in params.params] if params else None,
        "columns": not model.is_signature_from_type_hint and (inputs is None or (not inputs.is_tensor_spec() and inputs.has_input_names())),
        "csv": takes_csv(signature, hinted=model.is_signature_from_type_hint),
        "streams": bool(model.pyfunc.predict_stream_fn),
        "example": example.body.decode() if example else None,
        "saved": example is not None and example.saved,
    }


def _specs(schema: Optional[Schema], *, required: bool) -> Optional[list[dict[str, Any]]]:
    if schema is None:
        return None
    return [{"name": each.name, "type": _type(each), **({"required": each.required} if required else {})} for each in schema.inputs]


def _type(spec: Union[ColSpec, TensorSpec]) -> str:
    return str(TensorSpec(spec.type, spec.shape)) if isinstance(spec, TensorSpec) else str(spec.type)


def _param(spec: ParamSpec) -> dict[str, Any]:
    default = spec.default if isinstance(spec.default, (str, int, float, bool, list, dict, type(None))) else str(spec.default)
    return {"name": spec.name, "type": str(spec.dtype) + ("" if spec.shape is None else "[]"), "default": default}


def _digest(html: str, element: str) -> str:
    """The source expression of the page's own style or script."""
    found = re.search(f"<{element}>(.*?)</{element}>", html, re.DOTALL)
    if found is None:
        raise ValueError(f"the page has no {element}")
    return f"'sha256-{base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()}'"
