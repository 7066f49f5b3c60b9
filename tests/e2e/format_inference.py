"""Run by an interpreter with the real MLflow, and our runtime on its path: prints, as JSON, both sides' signature for each case."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")
logging.disable(logging.ERROR)
sys.path.insert(0, str(Path(__file__).parent))

import mlflow.models  # noqa: E402
from format_cases import CASES, PARAMS, made  # type: ignore[import-not-found]  # noqa: E402

from deployer_scoring.format.inference import infer_signature  # noqa: E402
from deployer_scoring.schema.signature import ModelSignature  # noqa: E402


def said(infer: Any, **given: Any) -> Any:
    try:
        return infer(**given).to_dict()
    except Exception:
        return "refused"


def repr_of(text: str) -> Any:
    """What each side makes of the other's JSON: read, shown and written again."""
    theirs, ours = (kind.from_dict({"inputs": text}) for kind in (mlflow.models.ModelSignature, ModelSignature))
    return [repr(theirs), repr(ours)], [theirs.to_dict(), ours.to_dict()]


def main() -> None:
    found: dict[str, Any] = {}
    for kind, cases in (("model_input", CASES), ("params", PARAMS)):
        for name, source in cases.items():
            theirs, ours = (said(infer, **{kind: made(source)}) for infer in (mlflow.models.infer_signature, infer_signature))
            found[f"{kind}: {name}"] = [theirs, ours]
            if isinstance(theirs, dict) and theirs.get("inputs"):
                shown, written = repr_of(theirs["inputs"])
                found[f"shown: {name}"], found[f"written: {name}"] = shown, written
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
