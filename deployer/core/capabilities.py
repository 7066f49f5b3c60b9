"""What only some targets can do, beside the contract of `deployer.core.target`: a target that has a class's methods has the capability."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from deployer.core.accelerators import Accelerator
from deployer.core.selectors import Selector
from deployer.core.state import DeploymentName, ModelFacts, PackagedModel
from deployer.core.target import ConfigT, DeploymentRequest, DeploymentSpec, Diagnosis, Exported, Payload, Target
from deployer.core.traffic import Measured, Strategy
from deployer.events import Report

if TYPE_CHECKING:
    from deployer.core.options import TargetConfig  # pydantic, which no completion of a command line waits for

Cloud = TypeVar("Cloud")
Cloud_contra = TypeVar("Cloud_contra", contravariant=True)


@runtime_checkable
class SupportsEndpoints(Protocol[Cloud]):
    """Targets with endpoints that several named deployments share, as MLflow's `endpoint=` has them; elsewhere a deployment is its own endpoint."""

    def behind(self, endpoint: str, cloud: Cloud) -> Cloud:
        """The cloud seen through one endpoint: a name is that of a deployment inside it, `list` lists these, and a claim is the endpoint's.

        Asks nothing. What is observed there has its `endpoint`.
        """

    def endpoint_options(self) -> type[TargetConfig]:
        """The options that an endpoint is made with or changed, beside those that say how the cloud is reached."""

    def create_endpoint(self, endpoint: str, config: Any, cloud: Cloud) -> Mapping[str, Any]:
        """An endpoint without deployments; what is told of it, its `name` at least. `config` is of the class that `endpoint_options` gives."""

    def update_endpoint(self, endpoint: str, config: Any, cloud: Cloud) -> Mapping[str, Any]:
        """Other options of the endpoint itself: those that are set; what is told of it then.

        Raises:
            DeploymentNotFound: there is none.
        """

    def delete_endpoint(self, endpoint: str, cloud: Cloud) -> bool:
        """The endpoint, with all deployments behind it. False where there was none: that is done, not an error."""

    def list_endpoints(self, cloud: Cloud) -> list[Mapping[str, Any]]:
        """All endpoints of ours."""

    def get_endpoint(self, endpoint: str, cloud: Cloud) -> Mapping[str, Any]:
        """One endpoint.

        Raises:
            DeploymentNotFound: there is none.
        """

    def predict_by_traffic(self, endpoint: str, payload: Payload, cloud: Cloud) -> Payload:
        """One request to whichever deployment the endpoint's traffic gives it to; raises as `predict` does."""


@runtime_checkable
class SupportsSelectors(Protocol[Cloud]):
    """Targets that have labels, and pick by these themselves; elsewhere a selector goes by the `tags` of each summary."""

    def selecting(self, selector: Selector, cloud: Cloud) -> Cloud:
        """The cloud seen through a selector: `list` lists what has such labels."""


@runtime_checkable
class SupportsNamespaces(Protocol[Cloud]):
    """Targets that have namespaces, of which a URI names one."""

    def everywhere(self, cloud: Cloud) -> Cloud:
        """The cloud seen in all namespaces at once: `list` lists all of them, each summary with the `path` of its own."""


@runtime_checkable
class SupportsTrial(Protocol[Cloud_contra]):
    """Targets of which not all that a deployment would need can be looked at."""

    def trial(self, cloud: Cloud_contra) -> Iterator[Diagnosis]:
        """The rest of `doctor`: the first finding says what is made for it, before it is, and it is removed whatever comes of it. None raises."""


@runtime_checkable
class SupportsAdoption(Protocol[Cloud]):
    """Targets that can tell what somebody else made, and take it over when told to."""

    def adopt(self, name: DeploymentName, cloud: Cloud) -> Cloud:
        """The same cloud, where what carries this name counts as ours: `observe` doesn't raise NotOurs for it."""


@runtime_checkable
class SupportsStrategies(Protocol[Cloud_contra]):
    """Targets that can do more with traffic than switch it all at once; how its plans come to that is in `deployer.core.rollout`."""

    def strategies(self) -> Mapping[Strategy, frozenset[str]]:
        """The strategies that it has, and of each the parts: steps, pause, checks, batch, allow_gap, and alarms (of the cloud's own)."""

    def measure(self, name: DeploymentName, generation: str, cloud: Cloud_contra) -> Measured:
        """What a generation answered since it has the share of the traffic that it has now.

        Raises:
            Conflict: this run doesn't hold the name any more.
        """


@runtime_checkable
class SupportsHistory(Protocol[Cloud_contra]):
    """Targets that keep a document of who changed a deployment beside its records (`deployer.core.history`). It goes with the deployment."""

    def history(self, name: DeploymentName, cloud: Cloud_contra) -> str:
        """The document; "" where there is none."""

    def keep_history(self, name: DeploymentName, text: str, before: str, cloud: Cloud_contra) -> None:
        """Write the document in place of the one that was read or written before.

        Raises:
            Conflict: another run has written it since, or has the name; or the deployment is gone.
        """


@runtime_checkable
class SupportsAccounts(Protocol[Cloud_contra]):
    """Targets of which a URI doesn't say all: whose account it is, which region the profile has."""

    def where(self, cloud: Cloud_contra) -> str:
        """In words that follow the target's name: "us-west-2, account 123456789012"."""


@runtime_checkable
class SupportsCredentials(Protocol[Cloud_contra]):
    """Targets whose deployments are asked with something secret that the target can tell."""

    def credentials(self, name: DeploymentName, cloud: Cloud_contra) -> Mapping[str, str]:
        """What a caller brings, by name: primary_key, secondary_key, token.

        Raises:
            DeploymentNotFound: there is no such deployment.
            ConfigInvalid: it is asked with something that the caller has already.
        """


@runtime_checkable
class SupportsStreaming(Protocol[Cloud_contra]):
    """Targets that can stream an answer as the model makes it."""

    def predict_stream(self, name: DeploymentName, payload: Payload, cloud: Cloud_contra) -> Iterator[bytes]:
        """The answer's pieces; raises as `predict` does, in the middle too."""


@runtime_checkable
class SupportsExplanations(Protocol[Cloud_contra]):
    """Targets that can explain predictions."""

    def explain(self, name: DeploymentName, inputs: Any, cloud: Cloud_contra) -> Any:
        """Explanations, in the cloud's own form."""


@runtime_checkable
class SupportsImageRegistry(Protocol[Cloud_contra]):
    """Targets with a registry of their own, where `build-and-push-container` pushes the scoring image."""

    def image_repository(self, cloud: Cloud_contra, container_name: str, *, create: bool) -> Any:
        """The repository (a `deployer.oci.Repository`), logged in; made where absent and `create`."""


@runtime_checkable
class SupportsImageUses(Protocol[Cloud_contra]):
    """Targets whose cloud has more that names an image than what the records of its deployments say: what others made there, or other tools."""

    def image_uses(self, cloud: Cloud_contra) -> Iterator[tuple[str, str]]:
        """An image's reference, and what names it ("model churn-5d41402abc")."""


@runtime_checkable
class SupportsPackages(Protocol[Cloud_contra]):
    """Targets that make a model's packages into an image where none has them (`Image.planned`)."""

    def make_packages(self, spec: DeploymentSpec[Any], cloud: Cloud_contra, report: Report) -> None:
        """Make the image that `resolve` planned for this spec, so that it is there when the model is resolved again. Safe to run twice."""


@runtime_checkable
class SupportsAccelerators(Protocol):
    """Targets that know, without asking their cloud, what a container calculates on: its packages are built for that."""

    def accelerator(self, config: Any) -> Accelerator | None:
        """What there is beside processors, or that there is nothing; None where it isn't known, or no GPU of NVIDIA's."""


def accelerator_of(target: Target[Any, Any], config: Any) -> Accelerator | None:
    """What the target says of it; None where it doesn't know."""
    return target.accelerator(config) if isinstance(target, SupportsAccelerators) else None


@runtime_checkable
class SupportsExport(Protocol[Cloud_contra]):
    """Targets whose deployments can be written as files, for another tool to apply."""

    def export_forms(self) -> tuple[str, ...]:
        """What forms the files can have, the default first."""

    def export(self, spec: DeploymentSpec[Any], form: str, cloud: Cloud_contra, report: Report) -> Exported:
        """The files, the same bytes for the same spec. The image that they name is made where its registry lacks it; nothing else is asked.

        Raises:
            ConfigInvalid: an option that files of this form can't carry.
        """


@runtime_checkable
class SupportsExportWithoutModel(Protocol[Cloud_contra]):
    """Targets that can write files, too, for any model."""

    def forms_of_no_model(self) -> tuple[str, ...]:
        """Those of `export_forms` whose files are for any model where none is named."""

    def export_of_no_model(self, config: Any, form: str, cloud: Cloud_contra) -> Exported:
        """The files for any model.

        Raises:
            ConfigInvalid: there is no image for them, and what makes one.
        """


@runtime_checkable
class SupportsExportWithoutImage(Protocol):
    """Targets that can write files, too, which name no scoring image of ours: none need be there."""

    def forms_without_image(self) -> tuple[str, ...]:
        """Those of `export_forms` of which that is so."""

    def export_without_image(self, request: DeploymentRequest[Any], form: str) -> Exported:
        """The files, the same bytes for the same model and options; the cloud isn't asked."""


@runtime_checkable
class SupportsSizeLimits(Protocol):
    """A target that knows, without asking its cloud, how large a model may be there."""

    def check_size(self, config: Any, model: ModelFacts) -> None:
        """Refuse a model that won't fit.

        Raises:
            ConfigInvalid: how large the model is, how large it may be, and what makes more room.
        """


@runtime_checkable
class SupportsRunningHere(Protocol):
    """The `local` target: runs on this machine what another target would run."""

    def run_here(
        self,
        target: Target[ConfigT, Any],
        model: PackagedModel,
        config: ConfigT,
        *,
        runtime: str | None,
        packages: str,
        port: int,
        detach: bool,
        report: Report,
        log: Callable[[str], None],
        ready: Callable[[Any], None] | None,
    ) -> Any:
        """Its name, URL, runtime, and a curl command; see `DeployClient.run_local`."""


@runtime_checkable
class SupportsScoringHere(Protocol):
    """The `local` target: scores a file on this machine."""

    def score_here(
        self,
        model: PackagedModel,
        *,
        source: Path | None,
        target: Path | None,
        form: str | None,
        params: Mapping[str, Any] | None,
        chunk_rows: int | None,
        manager: str,
        more: tuple[str, ...],
        variables: Mapping[str, str],
        report: Report,
    ) -> int:
        """How many rows it had; what the options mean is said by `deployer.models.predict`."""


@runtime_checkable
class StandsOnLibraries(Protocol):
    """A cloud's libraries by their modules' names. They are imported before the first call, by one thread at a time: several clouds' stand on the
    same ones (requests, urllib3), which a second thread that imports them meanwhile would see half made."""

    libraries: tuple[str, ...]
