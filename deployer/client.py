"""The Python API: MLflow's deployment calls, and what MLflow's have not: apply, plan, diff, events. All goes through `deployer.verbs.lifecycle`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Literal, overload

from deployer.core import targets
from deployer.core.capabilities import SupportsRunningHere
from deployer.core.options import TargetConfig
from deployer.core.state import DeploymentName, PackagedModel
from deployer.core.target import Intent, Payload, TargetUri
from deployer.errors import ConfigInvalid
from deployer.events import Event, Noticed, Report, silent
from deployer.requests import payloads
from deployer.requests.streaming import streamed
from deployer.settings.config_file import ConfigFile
from deployer.settings.option_help import help_text
from deployer.settings.precedence import Options, RunOptions, gather
from deployer.verbs import lifecycle
from deployer.verbs.changes import Changes
from deployer.verbs.deployment import Deployment
from deployer.verbs.lifecycle import Wish
from deployer.verbs.optional import Config
from deployer.verbs.reading import ReadingVerbs, removed_by
from deployer.verbs.traffic import TrafficVerbs


def get_deploy_client(target_uri: str, config: Config = None, *, on_event: Report = silent) -> DeployClient:
    """A client for the target that a URI names: `sagemaker:/us-west-2`, `local`, ...

    Args:
        config: options for every call; those of a call win over them. Text is read as the option's type has it.
        on_event: is called with each event of `deployer.events` as it happens.

    Raises:
        ConfigInvalid: no such target.
        ExtraMissing: it stands on a package that isn't installed.
    """
    return DeployClient(target_uri, config, on_event=on_event)


class DeployClient(ReadingVerbs, TrafficVerbs):
    """Deploys to one target. All calls raise the errors of `deployer.errors`; see there which mean what."""

    def __init__(
        self,
        target_uri: str,
        config: Config = None,
        *,
        on_event: Report = silent,
        config_file: ConfigFile | str | Path | None = None,
        tracking_uri: str | None = None,
        registry_uri: str | None = None,
    ) -> None:
        """See `get_deploy_client`.

        Args:
            config_file: options for the deployment (churn.yaml), read once.
            tracking_uri, registry_uri: where MLflow's model URIs are looked up; default: as MLflow's own variables say.
        """
        self.uri = TargetUri.parse(target_uri)
        self.target = targets.load(self.uri)
        self.on_event = on_event
        self._config = Options.of(config, "the client's config")
        self._file = ConfigFile.read(Path(config_file)) if isinstance(config_file, (str, Path)) else config_file
        self._mlflow = {"tracking_uri": tracking_uri, "registry_uri": registry_uri}
        self._connected: tuple[TargetConfig, Any] | None = None

    # Changing

    def create_deployment(
        self,
        name: str | None,
        model_uri: str | None,
        flavor: str | None = None,
        config: Config = None,
        endpoint: str | None = None,
        *,
        packages: str | None = None,
        adopt: bool = False,
    ) -> Deployment:
        """Make a deployment; where the same serves already, there is nothing to do. A missing name is the model's, made valid here.

        Raises:
            DeploymentExists: with another model or other options; `apply` creates or updates.
        """
        wish = {"packages": packages, "adopt": adopt}
        return self._deploy(Intent.CREATE, name, model_uri, flavor, config, endpoint, self.on_event, **wish)

    def update_deployment(
        self,
        name: str | None,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Config = None,
        endpoint: str | None = None,
        *,
        packages: str | None = None,
        allow_schema_change: bool = False,
        adopt: bool = False,
    ) -> Deployment:
        """Change a deployment: its model, its options or both; what isn't named stays as it is.

        Raises:
            DeploymentNotFound: there is none.
            SchemaChangeRefused: the new model's signature breaks today's callers.
        """
        wish = {"packages": packages, "allow_schema_change": allow_schema_change, "adopt": adopt}
        return self._deploy(Intent.UPDATE, name, model_uri, flavor, config, endpoint, self.on_event, **wish)

    @overload
    def apply(
        self,
        name: str | None,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Config = None,
        endpoint: str | None = None,
        *,
        stream: Literal[False] = False,
        packages: str | None = None,
        allow_schema_change: bool = False,
        adopt: bool = False,
    ) -> Deployment: ...

    @overload
    def apply(
        self,
        name: str | None,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Config = None,
        endpoint: str | None = None,
        *,
        stream: Literal[True],
        packages: str | None = None,
        allow_schema_change: bool = False,
        adopt: bool = False,
    ) -> Generator[Event, None, Deployment]: ...

    def apply(
        self,
        name: str | None,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Config = None,
        endpoint: str | None = None,
        *,
        stream: bool = False,
        packages: str | None = None,
        allow_schema_change: bool = False,
        adopt: bool = False,
    ) -> Deployment | Generator[Event, None, Deployment]:
        """Create or update: what is given is the whole of it, and what isn't given has its default.

        Args:
            stream: give the events as they happen, the deployment as the generator's value, errors where they arise. To close the generator early
                is to interrupt the deployment: before the switch what was made is removed, after it the cloud goes on.
        """
        wish = {"packages": packages, "allow_schema_change": allow_schema_change, "adopt": adopt}

        def run(report: Report) -> Deployment:
            return self._deploy(Intent.APPLY, name, model_uri, flavor, config, endpoint, report, **wish)

        return streamed(run, self.on_event) if stream else run(self.on_event)

    def delete_deployment(self, name: str, config: Config = None, endpoint: str | None = None) -> bool:
        """Remove a deployment and all that is ours of it. False where there was none: that is done, not an error."""
        options = self._parse(self._settings(config))
        return lifecycle.delete(self.target, self._reached(endpoint, options), self.target.check_name(name), options, self.on_event)

    def prune(self, name: str, config: Config = None, endpoint: str | None = None) -> tuple[str, ...]:
        """Remove the generations past `keep` (default 1) before the one in service; what was removed.

        Raises:
            DeploymentNotFound: there is none.
        """
        options = self._parse(self._settings(config))
        plan = lifecycle.prune(self.target, self._reached(endpoint, options), self.target.check_name(name), options, self.on_event)
        return removed_by(plan)

    # Looking

    def plan(
        self,
        name: str | None,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Config = None,
        endpoint: str | None = None,
        *,
        intent: Intent | str | None = None,
        packages: str | None = None,
        allow_schema_change: bool = False,
        adopt: bool = False,
        allow_build: bool = False,
    ) -> Changes:
        """What a run would do; changes nothing. What that run would refuse is the answer's `refusal`.

        Args:
            intent: the verb that follows. Default: an apply where a file says the whole of it; else an update of what is there, which needs no
                model named, or a create.
            allow_build: whether packages that have no wheel may be built, which runs their code, to learn what would be installed.

        Raises:
            What the run would raise as it looks: DeploymentExists, DeploymentNotFound, ConfigInvalid, ...
        """
        settings = self._settings(config)
        options = self._parse(settings)
        cloud = self._reached(endpoint, options)
        meant = Intent(intent) if intent else Intent.APPLY if self._file else None
        how = {"packages": packages, "allow_schema_change": allow_schema_change, "adopt": adopt, "allow_build": allow_build}
        wish = self._wish(meant, name, model_uri, flavor, settings, silent, endpoint=endpoint, config=options, **how)
        found = lifecycle.prospect(self.target, cloud, wish)
        noticed: list[Event] = []
        refusal = lifecycle.refusal(found, wish, noticed.append)
        return Changes.of(found, str(self.uri), refusal, tuple(each.message for each in noticed if isinstance(each, Noticed)))

    def diff(
        self,
        name: str | None,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Config = None,
        endpoint: str | None = None,
        *,
        intent: Intent | str | None = None,
    ) -> Changes:
        """What differs between the deployment and what it should be: the same as `plan`, of which it prints less."""
        return self.plan(name, model_uri, flavor, config, endpoint, intent=intent)

    def target_help(self) -> str:
        """The target's options in words."""
        return help_text(self.uri.scheme, self.target.config)

    def settings(self, config: Config = None) -> RunOptions:
        """All options that a run here would have, with where each comes from."""
        return self._settings(config)

    def options(self, config: Config = None) -> TargetConfig:
        """The same as the target has them.

        Raises:
            ConfigInvalid: one is unknown, or not as its type has it; no cloud is asked.
        """
        return self._parse(self._settings(config))

    # Asking

    def predict(
        self,
        deployment_name: str | None,
        inputs: Any,
        endpoint: str | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        content_type: str | None = None,
    ) -> Any:
        """Predictions for `inputs`; see `deployer.requests.payloads` for what may be sent and what comes back for it. Behind an endpoint, where no
        deployment is named, the one answers that its traffic chooses.

        Raises:
            ConfigInvalid: the model refuses the input; its own words say why.
        """
        payload = payloads.encode(inputs, params=params, content_type=content_type)
        return payloads.decode(self.query(deployment_name, payload, endpoint), inputs)

    def query(self, deployment_name: str | None, payload: Payload, endpoint: str | None = None) -> Payload:
        """One request's body for one answer's, both as they go over the wire."""
        if deployment_name is None:
            if endpoint is None:
                raise ConfigInvalid("which deployment is not said", advice="name it, or an endpoint whose traffic says which answers")
            return self._endpoints().predict_by_traffic(endpoint, payload, self._cloud())
        return self.target.predict(self.target.check_name(deployment_name), payload, self._reached(endpoint))

    # On this machine

    def run_local(
        self,
        model_uri: str | None,
        flavor: str | None = None,
        config: Config = None,
        *,
        runtime: str | None = None,
        packages: str | None = None,
        port: int = 0,
        detach: bool = True,
        on_event: Report | None = None,
        log: Callable[[str], None] = print,
        ready: Callable[[Any], None] | None = None,
    ) -> Any:
        """Run here exactly what the target would run: its name, URL, runtime, and a curl command that asks it.

        Args:
            runtime: "docker", "process", or None: docker where an engine answers and has the image.
            packages: where the model's packages come from, as for `create_deployment`; a process makes the model's own environment.
            port: where to listen on 127.0.0.1; 0 picks one.
            detach: return once it answers, and leave it to `delete_deployment` of the local target; else stay until Ctrl-C.
            log, ready: get the container's lines, and word that it answers, where it isn't detached.

        Raises:
            RolloutFailed: the container can't serve. MachineFault: the port is taken.
        """
        report = on_event or self.on_event
        options = self._parse(self._settings(config))
        model = self._fetched(model_uri, flavor, report)
        if model is None:
            raise ConfigInvalid("which model is not said", advice="name its URI")
        here = targets.load(TargetUri("local"))
        if not isinstance(here, SupportsRunningHere):
            raise ConfigInvalid("the local target that is installed can't run another's containers", advice='pip install --upgrade "deployer-ml"')
        how: dict[str, Any] = {"runtime": runtime, "packages": packages or "auto", "port": port, "detach": detach}
        return here.run_here(self.target, model, options, report=report, log=log, ready=ready, **how)

    # The one way through

    def name_for(self, name: str | None, model_uri: str | None) -> DeploymentName:
        """A name as given, else the file's, else the model's, made valid for the target.

        Raises:
            ConfigInvalid: the name given is not valid here, or there is nothing to take one from.
        """
        from deployer.artifacts import candidate_name

        given = name or (self._file.name if self._file else None)
        if given:
            return self.target.check_name(given)
        uri = self._model_uri(model_uri)
        if not uri:
            raise ConfigInvalid("which deployment is not said", advice="name it: -n NAME; deploy list shows what is there")
        return self.target.name_for(candidate_name(uri))

    def _deploy(  # noqa: PLR0917 - the calls of MLflow have as many
        self,
        intent: Intent,
        name: str | None,
        model_uri: str | None,
        flavor: str | None,
        config: Config,
        endpoint: str | None,
        report: Report,
        **wish: Any,
    ) -> Deployment:
        settings = self._settings(config)
        options = self._parse(settings)
        cloud = self._reached(endpoint, options)
        wanted = self._wish(intent, name, model_uri, flavor, settings, report, endpoint=endpoint, config=options, **wish)
        return self._done(cloud, wanted, options, report)

    def _wish(  # noqa: PLR0917 - as above
        self, intent: Intent | None, name: str | None, model_uri: str | None, flavor: str | None, settings: RunOptions, report: Report, **wish: Any
    ) -> Wish:
        """What is asked for; the name is looked at first, the model fetched last."""
        from deployer.core.provenance import provenance

        return Wish(
            name=self.name_for(name, model_uri),
            intent=intent,
            named=frozenset(settings.named.values),
            provenance=provenance(),
            model=self._fetched(model_uri, flavor, report),
            **wish,
        )

    def _fetched(self, model_uri: str | None, flavor: str | None, report: Report) -> PackagedModel | None:
        from deployer.artifacts import fetch

        wanted = flavor or (self._file.flavor if self._file else None)
        if wanted not in (None, "python_function"):
            raise ConfigInvalid(f"the flavor {wanted} can't be served", advice="python_function is the one that every model has; leave flavor out")
        uri = self._model_uri(model_uri)
        return fetch(uri, report, **self._mlflow) if uri else None

    def _model_uri(self, given: str | None) -> str | None:
        return given or (self._file.model_uri if self._file else None)

    def _given(self, config: Config) -> Options:
        """The options of a call, and under them the client's."""
        return Options.of(config, "the call's config").over(self._config)

    def _settings(self, config: Config) -> RunOptions:
        return gather(self.target, self.uri, self._given(config), file=self._file)

    def _parse(self, settings: RunOptions) -> TargetConfig:
        config: TargetConfig = self.target.config.parse(settings.all.values, settings.all.origins, target=self.uri.scheme)
        return config

    def _cloud(self, config: TargetConfig | None = None) -> Any:
        """A connection for these options: the same one as long as they stay the same."""
        config = config or self._parse(self._settings(None))
        if self._connected is None or self._connected[0] != config:
            targets.import_libraries(self.target)
            self._connected = (config, self.target.connect(self.uri, config))
        return self._connected[1]


def target_help(target: str) -> str:
    """A target's options in words."""
    return get_deploy_client(target).target_help()


def run_local(target: str, name: str | None, model_uri: str, flavor: str | None = None, config: Config = None) -> Any:
    """Run here exactly what a target would run, until Ctrl-C; see `DeployClient.run_local`. MLflow's call gives a name; nothing here needs one."""
    return get_deploy_client(target).run_local(model_uri, flavor, config, detach=False)
