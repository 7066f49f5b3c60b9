"""`python -m deployer_localstack serve ...`: the daemon in the foreground. `deploy localstack up` is what people type."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deployer.errors import DeployerError
from deployer_localstack.lifecycle import refuse_without_extra
from deployer_localstack.options import AZURE_PORT, PORT, StartOptions, default_directory


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployer_localstack", description="A local AWS, and Azure, whose endpoints really run.")
    serve = parser.add_subparsers(required=True).add_parser("serve", help="run in the foreground until SIGTERM")
    serve.add_argument("--directory", type=Path, default=default_directory())
    serve.add_argument("--port", type=int, default=PORT, help="of the AWS endpoint; 0 takes any")
    serve.add_argument("--registry-port", type=int, default=0, help="of the image registry; 0 takes any")
    serve.add_argument("--runtime", choices=["auto", "docker", "process"], default="auto")
    serve.add_argument("--registry", choices=["auto", "debian", "docker", "python"], default="auto")
    serve.add_argument("--commands", action="store_true", help="run images that are only a command (io.deployer.command); for tests")
    serve.add_argument("--azure", action="store_true", help="a local Azure beside it")
    serve.add_argument("--azure-port", type=int, default=AZURE_PORT, help="of the local Azure; 0 takes any")
    serve.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a first value of an adjustable setting")
    given = parser.parse_args(arguments)
    options = StartOptions(
        directory=given.directory.resolve(),
        port=given.port,
        registry_port=given.registry_port,
        runtime=given.runtime,
        registry=given.registry,
        commands=given.commands,
        azure=given.azure,
        azure_port=given.azure_port,
        settings=tuple((name, value) for name, _, value in (each.partition("=") for each in given.set)),
    )
    try:
        refuse_without_extra()
        from deployer_localstack.daemon import serve as run

        return run(options)
    except (DeployerError, OSError, ValueError) as fault:
        said = f"{fault.message}: {fault.advice}" if isinstance(fault, DeployerError) else f"{type(fault).__name__}: {fault}"
        print(said, file=sys.stderr)  # noqa: T201
        return fault.exit_code if isinstance(fault, DeployerError) else 1


if __name__ == "__main__":
    sys.exit(main())
