"""models serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from deployer.cli import options
from deployer.cli.choices import ModelChoice
from deployer.cli.model_options import env_manager, ignored_of_mlflow, mlserver_refused
from deployer.cli.output import pass_on, say
from deployer.cli.progress import reporting
from deployer.cli.session import Session
from deployer.errors import ConfigInvalid
from deployer.events import Noticed

HOST = "127.0.0.1"
PORT = 5000
"""MLflow's."""


@click.command(context_settings={"help_option_names": ["--help"]})
@options.model
@click.option("-p", "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Where to listen; 0 picks a free one.")
@click.option("--grpc-port", type=click.IntRange(1, 65535), help="Where the Open Inference Protocol is answered over gRPC, too; on 127.0.0.1.")
@click.option("-h", "--host", default=HOST, show_default=True, metavar="ADDRESS", help="Which address to listen on; 0.0.0.0: all of them.")
@click.option("-w", "--workers", type=click.IntRange(min=0), default=1, show_default=True, help="Processes that answer; 0: one for each CPU.")
@click.option(
    "--batching",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    show_default=True,
    help="Join waiting requests into one predict; auto: where rows are independent.",
)
@click.option("-t", "--timeout", type=click.IntRange(min=1), metavar="SECONDS", help="How long a predict may take; default: 60.")
@options.variables
@env_manager
@ignored_of_mlflow("--install-mlflow")
@mlserver_refused
@options.run
def serve(
    *,
    session: Session,
    model: ModelChoice,
    port: int,
    grpc_port: int | None,
    host: str,
    workers: int,
    batching: str,
    timeout: int | None,
    variables: Mapping[str, str],
    manager: str,
) -> None:
    """Serve a model on this machine until Ctrl-C, with the server that every target runs.

    The model's own lines and the server's go to standard error; how to ask it goes to standard output. run-local does the same with what a
    target would run: its image, its variables. -t and -h are MLflow's here, not the target and help that they are elsewhere.
    """
    from deployer_images.managers import interpreter_for, lacking_for_grpc
    from deployer_targets.local import run_local
    from deployer_targets.local.config import LocalConfig
    from deployer_targets.local.target import Local

    uri = model.named()
    if grpc_port and host != HOST:
        raise ConfigInvalid(f"gRPC is answered on {HOST} alone here, not on {host}", advice="leave --host or --grpc-port out")
    settings: dict[str, Any] = {
        "DEPLOYER_WORKERS": workers,
        "DEPLOYER_BATCHING": batching,
        "DEPLOYER_REQUEST_TIMEOUT_SECONDS": timeout,
        "DEPLOYER_GRPC_PORT": grpc_port,
    }
    wanted = {**variables, **{name: str(value) for name, value in settings.items() if value is not None}}
    with reporting(session, uri) as report:
        found = model.fetched(uri, report)
        assert found.path is not None
        more = lacking_for_grpc(found.path) if grpc_port else ()
        interpreter = interpreter_for(found.path, manager, more=more, say=lambda text: report(Noticed(message=text)))
        target = Local()
        spec = run_local.local_spec(target, found, LocalConfig.parse({}, target="local"), "process", packages="image")  # it is made already
        container = target.container(spec)
        run_local.run(
            replace(container, environment={**container.environment, **wanted, "DEPLOYER_INTERPRETER": str(interpreter)}),
            model_path=found.path,
            runtime="process",
            port=port,
            host=host,
            report=report,
            log=lambda line: pass_on(line, err=True),
            ready=lambda started: say(started.text),
        )
