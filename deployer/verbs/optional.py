"""What only some targets can do, and what a client says of the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from deployer.core import targets
from deployer.core.capabilities import (
    SupportsAdoption,
    SupportsCredentials,
    SupportsEndpoints,
    SupportsExplanations,
    SupportsExport,
    SupportsExportWithoutImage,
    SupportsExportWithoutModel,
    SupportsImageRegistry,
    SupportsNamespaces,
    SupportsSelectors,
    SupportsStreaming,
    SupportsTrial,
)
from deployer.core.options import Takes, TargetConfig
from deployer.core.selectors import Selector
from deployer.core.state import DeploymentName
from deployer.core.target import Diagnosis, Exported, Intent, Summary, Target, TargetUri
from deployer.errors import ConfigInvalid
from deployer.events import Report
from deployer.requests import payloads
from deployer.settings.precedence import Options, RunOptions
from deployer.verbs.export import spec_of
from deployer.verbs.lifecycle import Wish, requested

if TYPE_CHECKING:
    from deployer.verbs.images import Use

Config = Mapping[str, Any] | Options | None


class OptionalVerbs(ABC):
    """Part of the client: each verb is there for every target, and refused in the same words where a target hasn't got it."""

    uri: TargetUri
    target: Target[Any, Any]
    on_event: Report

    @abstractmethod
    def _given(self, config: Config) -> Options: ...

    @abstractmethod
    def _settings(self, config: Config) -> RunOptions: ...

    @abstractmethod
    def _parse(self, settings: RunOptions) -> TargetConfig: ...

    @abstractmethod
    def _wish(  # noqa: PLR0917 - the calls of MLflow have as many
        self, intent: Intent | None, name: str | None, model_uri: str | None, flavor: str | None, settings: RunOptions, report: Report, **wish: Any
    ) -> Wish: ...

    @abstractmethod
    def _model_uri(self, given: str | None) -> str | None: ...

    @abstractmethod
    def _cloud(self, config: TargetConfig | None = None) -> Any: ...

    def supports(self, verb: str) -> bool:
        """Whether the target has a verb of `deployer.core.targets.VERBS`."""
        return targets.supports(self.target, verb)

    def predict_stream(
        self,
        deployment_name: str,
        inputs: Any,
        endpoint: str | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        content_type: str | None = None,
        accept: str = payloads.JSON,
    ) -> Iterator[bytes]:
        """The answer's pieces, as the model makes them.

        Raises:
            ConfigInvalid: this target can't stream.
        """
        if not isinstance(self.target, SupportsStreaming):
            self._refuse("stream answers")
        cloud = self._reached(endpoint)
        payload = payloads.encode(inputs, params=params, content_type=content_type, accept=accept)
        return self.target.predict_stream(self.target.check_name(deployment_name), payload, cloud)

    def explain(self, deployment_name: str, df: Any = None, endpoint: str | None = None) -> Any:
        """Explanations of predictions, where the target can give them.

        Raises:
            ConfigInvalid: this target can't.
        """
        if not isinstance(self.target, SupportsExplanations):
            self._refuse("explain predictions")
        return self.target.explain(self.target.check_name(deployment_name), df, self._reached(endpoint))

    def image_repository(self, container_name: str, *, create: bool = False) -> Any:
        """The repository (a `deployer.oci.Repository`) of the target's own registry, made where absent if `create`.

        Raises:
            ConfigInvalid: the target has no registry of its own.
        """
        if not isinstance(self.target, SupportsImageRegistry):
            self._refuse("keep images in a registry of its own", advice="name a registry: --registry")
        return self.target.image_repository(self._cloud(), container_name, create=create)

    def credentials(self, name: str, endpoint: str | None = None) -> Mapping[str, str]:
        """What callers of a deployment bring, by name: keys, a token. Secret: nothing else shows it.

        Raises:
            ConfigInvalid: this target has none, or the deployment is asked with something that the caller has already.
        """
        if not isinstance(self.target, SupportsCredentials):
            self._refuse("tell credentials of a deployment")
        return self.target.credentials(self.target.check_name(name), self._reached(endpoint))

    def image_uses(self) -> tuple[Use, ...]:
        """Every image that something on the target names, of each generation that is kept, and who names it."""
        from deployer.verbs.images import uses_of

        return uses_of(self.target, self._cloud())

    def export(
        self,
        name: str | None,
        model_uri: str | None,
        flavor: str | None = None,
        config: Config = None,
        *,
        form: str | None = None,
        packages: str | None = None,
        endpoint: str | None = None,
    ) -> Exported:
        """The deployment as files, for another tool to apply; nothing is deployed. The image that they name is made where its registry lacks it.

        Args:
            model_uri: may be left out where the files are for any model: a serving-runtime.
            form: what kind of files, as the target has them: plain, kustomize, helm. Default: its first.
            endpoint: the one that the deployment is to be behind, which the files don't make.

        Raises:
            ConfigInvalid: this target can't write deployments as files, or not in this form, or not with these options.
        """
        if not isinstance(self.target, SupportsExport):
            self._refuse("write deployments as files")
        forms = self.target.export_forms()
        if form is not None and form not in forms:
            raise ConfigInvalid(f"{self.uri.scheme} has no files of the form {form!r}", advice=f"--format takes {', '.join(forms)}")
        settings = self._settings(config)
        options = self._parse(settings)
        if not self._model_uri(model_uri):
            if form and isinstance(self.target, SupportsExportWithoutModel) and form in self.target.forms_of_no_model():
                return self.target.export_of_no_model(options, form, self._cloud(options))
            raise ConfigInvalid("which model is not said", advice="name it: -m MODEL")
        cloud = self._reached(endpoint, options)
        wish = self._wish(Intent.CREATE, name, model_uri, flavor, settings, self.on_event, endpoint=endpoint, config=options, packages=packages)
        if form and isinstance(self.target, SupportsExportWithoutImage) and form in self.target.forms_without_image():
            return self.target.export_without_image(requested(self.target, wish, None), form)
        return self.target.export(spec_of(self.target, cloud, wish, self.on_event), form or forms[0], cloud, self.on_event)

    def create_endpoint(self, name: str, config: Config = None) -> dict[str, Any]:
        """An endpoint for several named deployments, without any yet; what is told of it. Where it is there already, nothing is done.

        Raises:
            DeploymentExists: with what can't be changed. NotOurs: somebody else made it.
            ConfigInvalid: an option that isn't an endpoint's; this target's deployments are their own endpoints.
        """
        options = self._endpoint_options(config)
        return dict(self._endpoints().create_endpoint(name, options, self._cloud(options)))

    def update_endpoint(self, endpoint: str, config: Config = None, *, adopt: bool = False) -> dict[str, Any]:
        """Change what is named of an endpoint: who gets which share of its traffic, ...; the rest stays. What is told of it then.

        Raises:
            DeploymentNotFound: there is none. NotOurs: somebody else made it, and it isn't to be taken over.
        """
        options = self._endpoint_options(config)
        cloud = self._cloud(options)
        if adopt and isinstance(self.target, SupportsAdoption):
            cloud = self.target.adopt(DeploymentName(endpoint), cloud)
        return dict(self._endpoints().update_endpoint(endpoint, options, cloud))

    def delete_endpoint(self, endpoint: str) -> bool:
        """Remove an endpoint, with all deployments behind it. False where there was none: that is done, not an error."""
        return self._endpoints().delete_endpoint(endpoint, self._cloud())

    def list_endpoints(self) -> list[dict[str, Any]]:
        """All endpoints of ours that several deployments may share."""
        return [dict(each) for each in self._endpoints().list_endpoints(self._cloud())]

    def get_endpoint(self, endpoint: str) -> dict[str, Any]:
        """One endpoint.

        Raises:
            DeploymentNotFound: there is none.
        """
        return dict(self._endpoints().get_endpoint(endpoint, self._cloud()))

    def _endpoint_options(self, config: Config) -> TargetConfig:
        """The options of an endpoint: those that this call names, and of what stands for all how the cloud is reached."""
        kind, given, called = self._endpoints().endpoint_options(), self._settings(config).all, self._given(config).values
        reach = kind.taken(Takes.NOTHING)
        kept = {key: value for key, value in given.values.items() if key in reach or key in called}
        return kind.parse(kept, given.origins, target=self.uri.scheme)

    def _listed(self, endpoint: str | None, selector: str | None, *, all_namespaces: bool) -> Iterator[Summary]:
        """What is there, of it what a selector picks: by the target's own labels where it has those, else by tags."""
        picked = Selector.parse(selector) if selector else None
        cloud = self._reached(endpoint)
        if all_namespaces:
            if not isinstance(self.target, SupportsNamespaces):
                self._refuse("list all namespaces", advice="it has none: leave --all-namespaces out")
            cloud = self.target.everywhere(cloud)
        if picked and isinstance(self.target, SupportsSelectors):
            return self.target.list(self.target.selecting(picked, cloud))
        return (each for each in self.target.list(cloud) if not picked or picked.matches(each.tags))

    def _trial(self) -> Iterator[Diagnosis]:
        if not isinstance(self.target, SupportsTrial):
            self._refuse("try anything for doctor", advice="doctor looks at all that there is without it: leave --try out")
        return self.target.trial(self._cloud())

    def _reached(self, endpoint: str | None, config: TargetConfig | None = None) -> Any:
        """The cloud, seen through an endpoint where one is named: every call that names a deployment goes through here.

        Raises:
            ConfigInvalid: one is named, and the target's deployments are their own endpoints.
        """
        return self._cloud(config) if endpoint is None else self._endpoints().behind(endpoint, self._cloud(config))

    def _endpoints(self) -> SupportsEndpoints[Any]:
        if not isinstance(self.target, SupportsEndpoints):
            self._refuse("have endpoints apart from deployments", advice="a deployment is its own endpoint here: leave the endpoint out")
        return self.target

    def _refuse(self, what: str, advice: str = "") -> NoReturn:
        raise ConfigInvalid(f"{self.uri.scheme} can't {what}", advice=advice or "deploy targets shows which target can do what")
