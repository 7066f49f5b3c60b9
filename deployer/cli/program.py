"""The program: its commands by name, each with one line of help, none of them imported until it runs; and what becomes of errors."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import click

from deployer.cli.groups import LazyGroup
from deployer.cli.session import Session

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Deploy": {
        "create": ("deploy:create", "Make a deployment of a model."),
        "update": ("deploy:update", "Change a deployment; what isn't named stays."),
        "apply": ("deploy:apply", "Create or update; what is given is the whole of it."),
        "rollback": ("deploy:rollback", "Bring back a generation that is there still."),
        "delete": ("remove:delete", "Remove a deployment and all that is ours of it."),
        "prune": ("remove:prune", "Remove generations that are no longer needed."),
        "export": ("export:export", "Write a deployment as files, for GitOps."),
    },
    "Endpoints that several deployments share": {
        "create-endpoint": ("endpoints:create_endpoint", "Make an endpoint, without deployments."),
        "update-endpoint": ("endpoints:update_endpoint", "Share its traffic among its deployments; change its options."),
        "delete-endpoint": ("endpoints:delete_endpoint", "Remove an endpoint and all deployments behind it."),
        "list-endpoints": ("endpoints:list_endpoints", "List the endpoints that several deployments share."),
        "get-endpoint": ("endpoints:get_endpoint", "Show one endpoint."),
    },
    "Look": {
        "list": ("listing:list_deployments", "List the deployments on a target, or on several."),
        "get": ("inspect:get", "Show one deployment, its history and its options."),
        "history": ("inspect:history", "Show who changed a deployment, and what came of it."),
        "plan": ("inspect:plan", "Show what would be done, and do nothing."),
        "diff": ("inspect:diff", "Show what differs from what is asked for."),
        "logs": ("inspect:logs", "Print the container's log."),
        "doctor": ("inspect:doctor", "Look at all that a deployment would need."),
    },
    "Ask": {
        "predict": ("predict:predict", "Send input to a deployment and print the answer."),
        "explain": ("predict:explain", "Explain predictions, where a target can."),
    },
    "On this machine": {
        "run-local": ("run_local:run_local", "Run here exactly what a target would run."),
        "build-and-push-container": ("image:build_and_push_container", "Build the scoring image and push it, once."),
        "images": ("images:images", "List what registries hold; remove what nobody uses."),
        "localstack": ("localstack:localstack", "A local cloud: up, down, status, env, logs, reset."),
        "models": ("models:models", "Check models, score files with them, serve them here."),
    },
    "About": {
        "targets": ("about:targets", "Show which target can do what."),
        "help": ("about:help_", "Show a target's options, or help for a command."),
        "config": ("about:config", "Print the JSON schema of the options' file."),
        "completion": ("about:completion", "Print what makes a shell complete commands."),
    },
}

_MEANT: dict[tuple[str, ...], str] = {
    ("list",): "ls all deployments endpoints",
    ("get",): "status describe show info inspect details state",
    ("get", "list"): "ps",
    ("create", "apply"): "up deploy launch start new add make publish release",
    ("update",): "rollout change modify edit patch set upgrade scale promote abort canary redeploy restart",
    ("history",): "revisions audit versions who",
    ("rollback",): "undo revert back",
    ("delete",): "rm remove destroy undeploy down del teardown uninstall drop stop kill terminate",
    ("export",): "manifests manifest template render helm kustomize yaml gitops",
    ("prune",): "clean cleanup gc",
    ("predict",): "invoke call query infer request send ask test",
    ("predict", "models predict"): "score",
    ("plan",): "preview dry-run dryrun whatif what-if simulate",
    ("diff",): "compare drift",
    ("logs",): "log tail events",
    ("doctor",): "login auth whoami permissions health ping",
    ("run-local", "models serve"): "run serve server",
    ("run-local", "localstack"): "local",
    ("build-and-push-container",): "build push image container build-image docker build-and-push",
    ("models check",): "check validate lint",
    ("config schema",): "schema init",
    ("help -t TARGET",): "options settings",
    ("targets",): "clouds platforms providers support",
    ("completion",): "completions complete",
    ("--version",): "version",
}
MEANINGS = {word: commands for commands, words in _MEANT.items() for word in words.split()}
"""What is meant by the words of other tools (docker, kubectl, terraform, clouds' own)."""

OVERVIEW = """\
Put a packaged Python model (an MLmodel directory) behind an endpoint.

  deploy create churn -t local -m ./model      make a deployment
  deploy predict churn -t local -i rows.csv    ask it
  deploy plan churn -t local -m ./newer        see what an update would do
  deploy update churn -t local -m ./newer      do it
  deploy list -t local                         see what is there
  deploy delete churn -t local                 remove it

Where to: -t local, -t sagemaker:/us-west-2 (deploy targets)
Before:   deploy doctor, deploy models check ./model
All of it: deploy --help"""

COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Program(LazyGroup):
    """All commands, and what becomes of their errors."""

    table = COMMANDS
    meanings = MEANINGS

    def overview(self, ctx: click.Context) -> str:
        return OVERVIEW

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()], col_max=30)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and exit with the documented code whatever happens; not standalone: as click has it."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        session = Session()
        # What urllib3 says of its own optional parts is no word to users; the clouds' libraries silence it, but not in every thread.
        warnings.filterwarnings("ignore", module=r"urllib3\.")
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, obj=session, **extra)
        except BaseException as error:  # only here do errors become words and codes
            from deployer.cli.failure import report_failure

            code = report_failure(error, session)
        sys.exit(code if isinstance(code, int) else 0)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from deployer.cli.about import version_text

        click.echo(version_text())
        ctx.exit()


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="The versions of all that matters.")
def program() -> None:
    """Put a packaged Python model behind a production endpoint: the same verbs on every target.

    \b
      deploy create  churn -t sagemaker:/us-west-2 -m models:/churn/3
      deploy predict churn -t sagemaker:/us-west-2 -i example.json
      deploy update  churn -t sagemaker:/us-west-2 -m models:/churn/4

    \b
    Everywhere: NAME or -n NAME, -t TARGET, -m MODEL, -f FILE (name, model, targets and options; - reads standard input), -o FORMAT.
    """
