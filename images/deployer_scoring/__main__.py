"""The container's entry point: `python -m deployer_scoring serve`; `predict` scores a file instead, `fetch` has the model here."""

from __future__ import annotations

import os
import sys
from typing import Any, Optional

from deployer_scoring.errors import ScoringError
from deployer_scoring.server.processes.serving import serve as run
from deployer_scoring.server.settings import BATCHING, ServerSettings
from deployer_scoring.version import __version__


def main(arguments: Optional[list[str]] = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 done, 1 the model can't be served, 2 wrong use.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["predict"]:
        from deployer_scoring.batch.command import main as predict

        return predict(given[1:])
    if given == ["fetch"]:
        from deployer_scoring.fetching.command import main as fetch

        return fetch()
    options = _plain_options(given)
    if options is None:
        options = _parsed_options(given)
    try:
        return run(ServerSettings.of(os.environ, **options))
    except ScoringError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _plain_options(given: list[str]) -> Optional[dict[str, Any]]:
    """The options of `serve --name value ...`; None for anything else. Without argparse, whose import the first answer would wait for."""
    if given[:1] != ["serve"] or len(given) % 2 == 0:
        return None
    options: dict[str, Any] = {}
    for name, value in zip(given[1::2], given[2::2]):
        if name in {"--port", "--grpc-port", "--workers", "--threads"} and value.isdigit():
            options[name[2:].replace("-", "_")] = int(value)
        elif name in {"--host", "--model-name"} or (name == "--batching" and value in BATCHING):
            options[name[2:].replace("-", "_")] = value
        else:
            return None
    return options


def _parsed_options(given: list[str]) -> dict[str, Any]:
    import argparse

    parser = argparse.ArgumentParser(prog="deployer-scoring", description="Serves an MLflow model with the python_function flavor over HTTP.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve the model in $DEPLOYER_MODEL, /opt/ml/model or $AZUREML_MODEL_DIR")
    serve.add_argument("--host", default=None, help="address to listen on (default: 0.0.0.0)")
    serve.add_argument("--port", type=int, default=None, help="default: $SAGEMAKER_BIND_TO_PORT wins over this, $DEPLOYER_PORT, then 8080")
    serve.add_argument("--grpc-port", type=int, help="answer the Open Inference Protocol over gRPC there, too (default: $DEPLOYER_GRPC_PORT)")
    serve.add_argument("--workers", type=int, help="processes that answer (default: $DEPLOYER_WORKERS, else one for each CPU)")
    serve.add_argument("--threads", type=int, help="predicts at once in each, where they aren't joined (default: $DEPLOYER_THREADS)")
    serve.add_argument("--batching", choices=BATCHING, help="join waiting requests into one predict (default: $DEPLOYER_BATCHING)")
    serve.add_argument("--model-name", help="its name in the Open Inference Protocol (default: $DEPLOYER_MODEL_NAME, else any)")
    commands.add_parser("fetch", help="fetch the model from $DEPLOYER_MODEL_SOURCE, compare it, and end")
    commands.add_parser("predict", help="score a file; predict --help has its options")
    options = vars(parser.parse_args(given))
    del options["command"]
    return options


if __name__ == "__main__":
    sys.exit(main())
