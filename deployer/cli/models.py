"""The verbs for models, each in a module of its own that is imported when it runs."""

from __future__ import annotations

import click

from deployer.cli.groups import LazyGroup

VERBS = {
    "check": ("model_check:check", "Say what a model needs and what would break, without running it."),
    "build-docker": ("model_image:build_docker", "Make an image of one model that needs nothing beside it."),
    "generate-dockerfile": ("model_image:generate_dockerfile", "Write a Dockerfile for one model, and what it copies."),
    "predict": ("model_predict:predict", "Score a file with a model, on this machine."),
    "packages": ("model_packages:packages", "Say which packages a model's image gets."),
    "serve": ("model_serve:serve", "Serve a model on this machine until Ctrl-C."),
}

MEANINGS = {
    **dict.fromkeys(("validate", "lint", "inspect", "show", "describe", "info", "get"), ("check",)),
    **dict.fromkeys(("score", "infer", "batch", "test"), ("predict",)),
    **dict.fromkeys(("requirements", "dependencies", "deps", "lock", "freeze", "layers"), ("packages",)),
    **dict.fromkeys(("build", "image", "build-image", "containerize", "package", "docker"), ("build-docker",)),
    **dict.fromkeys(("dockerfile", "generate"), ("generate-dockerfile",)),
    **dict.fromkeys(("run", "server", "start", "up"), ("serve",)),
}


class Models(LazyGroup):
    """Its verbs by name, as the program has its commands."""

    table = VERBS
    meanings = MEANINGS

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.group(cls=Models)
def models() -> None:
    """Look at models, score files with them and serve them on this machine, before or without a deployment."""
