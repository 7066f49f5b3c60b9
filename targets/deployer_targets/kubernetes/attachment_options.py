"""The options that have parts of their own: what stands beside a deployment's pods and Service, and how the model comes to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from deployer.core.container import USER
from deployer.core.quantities import Quantity
from deployer_scoring.masking import without_secrets

Percent = Annotated[int, Field(ge=1)]
Path = Annotated[str, Field(pattern="^/")]
GatewayDuration = Annotated[str, Field(pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")]
"""A time as the Gateway API and the Prometheus operator both read it."""
Objects = tuple[Mapping[str, Any], ...]


class OptionPart(BaseModel):
    """An option with parts of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Autoscaling(OptionPart):
    """How many pods there are, by what they do."""

    min: int = Field(1, ge=1, description="At least so many pods.")
    max: int = Field(ge=1, description="At most so many.")
    cpu: Percent | None = Field(
        None, description="The CPU that pods use on average, in percent of resources.requests.cpu; 80 where nothing is named."
    )
    memory: Percent | None = Field(None, description="The memory that they use, in percent of resources.requests.memory.")
    metrics: Mapping[str, Quantity] = Field(
        default_factory=dict, description="Metrics of the pods' own, by a metrics adapter, each with its average: {requests_per_second: 20}."
    )

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.max < self.min:
            raise ValueError(f"max is {self.max}, less than min, {self.min}")
        return self

    @property
    def shares(self) -> Mapping[str, int]:
        """The shares of requests that are aimed at, by resource."""
        if not (self.cpu or self.memory or self.metrics):
            return {"cpu": 80}
        return {name: share for name, share in (("cpu", self.cpu), ("memory", self.memory)) if share}

    def within(self, count: int) -> int:
        """The nearest number that it allows."""
        return min(max(count, self.min), self.max)


class Disruption(OptionPart):
    """What may be taken from a generation's pods at once, when nodes are drained."""

    max_unavailable: Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^\d{1,2}%$")] = Field(
        1, description="So many pods, or a share of them (25%); 0 lets nobody drain a node that has one."
    )


class Ingress(OptionPart):
    """A way in from outside by an ingress controller."""

    host: str | None = Field(None, description="The name that it is asked by; any where none is named.")
    path: Path = Field("/", description="What a request's path begins with. The server answers below /: another one has to be taken off on the way.")
    class_name: str | None = Field(None, description="The ingressClassName; the cluster's default where none is named.")
    tls_secret: str | None = Field(None, description="The Secret with the certificate of the host.")
    annotations: Mapping[str, str] = Field(default_factory=dict, description="What the controller reads besides.")

    @model_validator(mode="after")
    def _keeps_its_targets(self) -> Self:
        if self.class_name in _TO_PODS or self.annotations.get(_TARGETS) == "ip":
            raise ValueError(
                "such a load balancer sends to the pods themselves, and has no healthy ones for a while when the Service selects others: "
                "take route, which moves weights between Services that stay, or targets by instance"
            )
        if self.tls_secret and not self.host:
            raise ValueError("tls_secret goes with a host")
        return self

    @property
    def url(self) -> str:
        """Where it is asked; "" where that is known to the controller alone."""
        return _url("https" if self.tls_secret else "http", self.host or "", self.path)


class Timeouts(OptionPart):
    """How long a gateway waits."""

    request: GatewayDuration | None = Field(None, description="For the whole of an answer.")
    backend_request: GatewayDuration | None = Field(None, description="For one try of it.")


class GatewayRoute(OptionPart):
    """A way in from outside by a gateway, which splits requests while two generations share the traffic."""

    parent_refs: Objects = Field(min_length=1, description="The gateways: [{name: public, namespace: gateways, sectionName: https}].")
    hostnames: tuple[str, ...] = Field((), description="The names that it is asked by; those of the gateway where none is named.")
    path: Path = Field("/", description="What a request's path begins with; it is taken off on the way.")
    timeouts: Timeouts | None = Field(None, description="How long the gateway waits: request, backend_request (60s).")

    @field_validator("parent_refs")
    @classmethod
    def _references(cls, value: Objects) -> Objects:
        for each in value:
            if "name" not in each or each.keys() - _PARENT:
                raise ValueError(f"each names a gateway: {', '.join(_PARENT)}; name is required")
        return value

    @property
    def url(self) -> str:
        """Where it is asked, by the first name that is one."""
        secure = any("https" in str(each.get("sectionName", "")) or each.get("port") == 443 for each in self.parent_refs)
        return _url("https" if secure else "http", next((each for each in self.hostnames if "*" not in each), ""), self.path)


class NetworkPolicy(OptionPart):
    """Who may ask the pods, and what they may ask; names are always resolved."""

    allow_from: Objects = Field(
        min_length=1, description="Who asks, as NetworkPolicy's peers: [{namespaceSelector: ..., podSelector: ..., ipBlock: ...}]."
    )
    scrapers: Objects = Field((), description="Who reads metrics, as peers.")
    egress: Objects = Field((), description="What the pods may ask, as NetworkPolicy's egress rules: [{to: [...], ports: [...]}].")

    @field_validator("allow_from", "scrapers")
    @classmethod
    def _peers(cls, value: Objects) -> Objects:
        for each in value:
            if not each or each.keys() - _PEER:
                raise ValueError(f"a peer is {', '.join(sorted(_PEER))}")
        return value

    @field_validator("egress")
    @classmethod
    def _rules(cls, value: Objects) -> Objects:
        for each in value:
            if each.keys() - {"to", "ports"}:
                raise ValueError("an egress rule has to and ports")
        return value


class Monitoring(OptionPart):
    """What the Prometheus operator reads metrics by."""

    kind: Literal["PodMonitor", "ServiceMonitor"] = Field(
        "PodMonitor", description="PodMonitor, of every pod, or ServiceMonitor, of those that serve."
    )
    interval: GatewayDuration = Field("30s", description="How often they are read.")
    labels: Mapping[str, str] = Field(default_factory=dict, description="What the operator's Prometheus selects it by: {release: prometheus}.")


class VolumeClaim(OptionPart):
    """A PersistentVolumeClaim that has the model: one of the namespace by its name, or one that is made and filled."""

    claim: str = Field("", description="The name of one that is there.")
    size: Quantity | None = Field(None, description="Of one that is made for a generation, and removed with it: 50Gi.")
    storage_class: str | None = Field(None, description="Of one that is made; default: the cluster's.")
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = Field(
        "ReadWriteOnce", description="Of one that is made: of pods on one node alone, or on any (ReadWriteMany)."
    )
    fs_group: int | None = Field(
        USER, ge=1, description="The group that owns what is on one that is made; null where the cluster gives one, as OpenShift does."
    )
    uri: str | None = Field(None, min_length=1, description="Where one that is made is filled from. Default: where -m has the model.")
    path: str = Field("", description="The model's directory in it, from its root; the root itself where none is named.")
    check: bool = Field(
        True,
        description="Whether each pod reads all of the files first, to compare their digests with those of what was deployed; another one ends it.",
    )

    @model_validator(mode="after")
    def _named_or_made(self) -> Self:
        if bool(self.claim) == bool(self.size):
            raise ValueError("claim names one that is there, size has one made: one of the two")
        own = ("path",) if self.size else ("storage_class", "access_mode", "fs_group", "uri")
        if wrong := [each for each in own if getattr(self, each) != type(self).model_fields[each].default]:
            raise ValueError(f"{', '.join(wrong)}: of a claim that is {'there' if self.size else 'made'}")
        if self.size and not self.check:
            raise ValueError("check: false is of a claim that is there; what is copied is compared")
        _without_password(self.uri)
        return self

    @field_validator("path")
    @classmethod
    def _inside(cls, value: str) -> str:
        if value.startswith("/") or ".." in value.split("/"):
            raise ValueError("a path from the volume's root, without a slash first and without ..")
        return value.rstrip("/")


class ModelDelivery(OptionPart):
    """Where the pods have the model from, where it isn't on their image."""

    pvc: VolumeClaim | None = Field(None, description="A volume, mounted for reading alone: claim, path; or size, of one that is made.")
    uri: str | None = Field(None, min_length=1, description="The address of the model's directory, or of an archive of it, that each pod fetches.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.pvc is None) == (self.uri is None):
            raise ValueError("one of pvc and uri")
        _without_password(self.uri)
        return self


def _without_password(uri: str | None) -> None:
    if uri and ("?" in uri or uri != without_secrets(uri)):
        raise ValueError("an address with a password or a query would be in the pods' specs: give the pods' service account the right to read")


_PARENT = ("name", "namespace", "sectionName", "port", "group", "kind")
_PEER = frozenset({"namespaceSelector", "podSelector", "ipBlock"})
_TO_PODS = frozenset({"gce", "gce-internal"})
_TARGETS = "alb.ingress.kubernetes.io/target-type"


def _url(scheme: str, host: str, path: str) -> str:
    return f"{scheme}://{host}{path.rstrip('/')}" if host else ""
