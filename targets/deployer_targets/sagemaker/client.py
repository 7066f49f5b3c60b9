"""The one seam to AWS: sessions and assumed roles, retries by our own policy, errors as ours, and the claim that is read again before each change."""

from __future__ import annotations

import difflib
import functools
import os
import socket
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from deployer.core.interruption import pause
from deployer.core.retry import DEADLINE_SECONDS, retried
from deployer.core.seam import Seam
from deployer.errors import ConfigInvalid, ExtraMissing
from deployer.version import __version__
from deployer_scoring.masking import learn
from deployer_targets.sagemaker import faults
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.faults import Absent
from deployer_targets.sagemaker.names import Home

Result = TypeVar("Result")

POOL = 16
"""Connections kept open to each service."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls: the account, the partition (aws, aws-cn, aws-us-gov, ...) and the caller's ARN."""

    account: str
    partition: str
    arn: str


class RegionClients:
    """Clients to one region, made when first used and shared by all threads of a run."""

    def __init__(
        self,
        region: str | None,
        *,
        endpoint_url: str | None = None,
        role_arn: str | None = None,
        external_id: str | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
        sleep: Callable[[float], None] = pause,
    ) -> None:
        self.sleep = sleep
        self._role_arn, self._external_id = role_arn, external_id
        self.endpoint_url = endpoint_url
        self._lock = threading.RLock()
        self._clients: dict[str, Any] = {}
        self.buckets: dict[str, Any] = {}  # what S3 said of each that this run asked for: see `buckets`
        self.learnt: dict[Hashable, Any] = {}
        """What this run was told and can't change while it lasts: a deployment's bucket, what has a name made of its content."""
        self._session: Any = None
        self._named_region = region
        self.seam = Seam(faults.AwsFaults(self.region_meant), renew=lambda _: self.renew(), deadline_seconds=deadline_seconds)

    @functools.cached_property
    def region(self) -> str:
        """The named one, else the environment's or the profile's, else MLflow's default."""
        configured = self._base().get_config_variable("region")
        return str(self._named_region or os.environ.get("AWS_REGION") or configured or "us-west-2")

    @property
    def region_meant(self) -> str:
        """For an error's words: the profile may be what is wrong, and isn't asked."""
        variables = (os.environ.get(name) for name in ("AWS_REGION", "AWS_DEFAULT_REGION"))
        return self._named_region or next(filter(None, variables), "the profile's region")

    @property
    def runtime_url(self) -> str:
        """Where endpoints are asked: AWS's own address, or the local cloud's."""
        named = self.endpoint_url or os.environ.get("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME") or os.environ.get("AWS_ENDPOINT_URL")
        suffix = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return named.rstrip("/") if named else f"https://runtime.sagemaker.{self.region}.{suffix}"

    @property
    def account(self) -> str:
        """Told by the name of anything there, too."""
        return str(self.learnt.get("account") or self.identity.account)

    @functools.cached_property
    def identity(self) -> Identity:
        answer = self.call("sts", "get_caller_identity")
        return Identity(account=answer["Account"], partition=answer["Arn"].split(":")[1], arn=answer["Arn"])

    def check_region(self) -> None:
        """Refuse a region that isn't one. What is younger than our botocore is looked up by the name that SageMaker has there.

        Raises:
            ConfigInvalid: with the nearest one there is.
        """
        session = self._base()
        known: list[str] = []
        with suppress(_botocore("exceptions").UnknownRegionError):
            name = session.get_partition_for_region(self.region)
            # Not get_available_regions, which reads all of SageMaker's description for a prefix: a tenth of a second, and ten megabytes.
            partition = next(each for each in session.get_data("endpoints")["partitions"] if each["partition"] == name)
            served = partition["services"].get("api.sagemaker", {}).get("endpoints", {})
            known = [region for region in partition["regions"] if region in served]
            if self.region in known or _is_a_host(f"sagemaker.{self.region}.{partition['dnsSuffix']}"):
                return
        near = difflib.get_close_matches(self.region, known, n=1)
        raise ConfigInvalid(
            f"{self.region} is not an AWS region" + (f"; did you mean {near[0]}?" if near else ""),
            advice="-t sagemaker:/REGION, region_name, or AWS_REGION",
        )

    def in_region(self, region: str) -> RegionClients:
        """The same access to another region."""
        return RegionClients(
            region,
            endpoint_url=self.endpoint_url,
            role_arn=self._role_arn,
            external_id=self._external_id,
            deadline_seconds=self.seam.deadline_seconds,
            sleep=self.sleep,
        )

    def client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make(self._current(), service)
            return self._clients[service]

    def renew(self) -> None:
        """Forget session and clients: the next call reads or assumes credentials anew."""
        with self._lock:
            self._session = None
            self._clients.clear()

    def call(self, service: str, operation: str, *, guard: Callable[[], None] | None = None, **parameters: Any) -> Any:
        """One API call. Transient faults are retried; credentials that expired in the middle are renewed once.

        Raises:
            Absent, AlreadyThere, PermissionDenied, CredentialsInvalid, QuotaExceeded, Refused: a definite no.
            TargetUnavailable: AWS can't be reached or throttles past the deadline; whether the call had an effect isn't known.
        """
        return self.attempt(lambda: getattr(self.client(service), operation)(**parameters), _named(service, operation, parameters), guard=guard)

    def attempt(self, action: Callable[[], Result], operation: str, *, guard: Callable[[], None] | None = None) -> Result:
        """Any action on clients, under the same policy; `operation` names it in errors."""
        return self.seam.call(action, operation, guard=guard)

    def _current(self) -> Any:
        if self._session is None:
            base = self._base()
            self._session = self._assumed(base) if self._role_arn else base
        return self._session

    def _base(self) -> Any:
        session_module = _botocore("session")
        session = session_module.get_session()
        session.user_agent_extra = f"deployer/{__version__}"
        session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
        return session

    def _assumed(self, base: Any) -> Any:
        """A session with the role's credentials, fetched anew before they expire, however long a wait lasts."""
        credentials = _botocore("credentials")
        sts = self._make(base, "sts")
        parameters = {"RoleArn": self._role_arn, "RoleSessionName": "deployer"} | ({"ExternalId": self._external_id} if self._external_id else {})

        def fetch() -> dict[str, Any]:
            given = retried(lambda: sts.assume_role(**parameters), faults.transient, deadline_seconds=self.seam.deadline_seconds)["Credentials"]
            return {
                "access_key": given["AccessKeyId"],
                "secret_key": given["SecretAccessKey"],
                "token": given["SessionToken"],
                "expiry_time": given["Expiration"].isoformat(),
            }

        session = self._base()
        session._credentials = credentials.DeferredRefreshableCredentials(refresh_using=fetch, method="sts-assume-role")
        return session

    def _make(self, session: Any, service: str) -> Any:
        config = _botocore("config").Config(
            # Retries are ours alone, so that they show, look at the claim and have a deadline.
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=10,
            read_timeout=70,
            max_pool_connections=POOL,
            s3={"addressing_style": "path"} if self._local else None,
        )
        client = session.create_client(service, region_name=self.region, endpoint_url=self.endpoint_url, config=config)
        client.meta.events.register("before-call.s3.UploadPart", _checksummed)
        return client

    @property
    def _local(self) -> bool:
        """Whether S3 is somewhere without a DNS name for each bucket."""
        return bool(self.endpoint_url or os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL_S3"))


@dataclass(frozen=True, slots=True)
class HeldName:
    """A deployment's name as one run holds it; `verify` raises Conflict once it doesn't any more; `kms_key` encrypts its history."""

    home: Home
    run: str
    verify: Callable[[], None] = field(compare=False)
    kms_key: str | None = None


@dataclass(frozen=True, slots=True)
class Aws:
    """AWS as one run sees it. Reads go through `call`; what changes a deployment goes through `change`, which looks first who holds the name.

    Attributes:
        config: the options of this run: where no deployment is at hand, what a new one would have. What a deployment has is in its spec and records.
        held: what this run has claimed.
        adopts: names whose endpoint counts as ours though it lacks our tag.
    """

    connection: RegionClients
    config: SageMakerConfig
    held: HeldName | None = None
    adopts: frozenset[str] = frozenset()

    @property
    def region(self) -> str:
        return self.connection.region

    @property
    def identity(self) -> Identity:
        return self.connection.identity

    @property
    def default_bucket(self) -> str:
        """The named one, else the SageMaker SDK's: AmazonSageMakerFullAccess reaches only buckets with `sagemaker` in their name."""
        return self.config.bucket or f"sagemaker-{self.region}-{self.connection.account}"

    def holding(self, held: HeldName) -> Aws:
        return replace(self, held=held)

    def adopting(self, name: str) -> Aws:
        return replace(self, adopts=self.adopts | {name})

    def call(self, service: str, operation: str, **parameters: Any) -> Any:
        """A read, or something that is harmless to make twice; raises as `Connection.call` does. The claim is read again on each retry."""
        return self.connection.call(service, operation, guard=self.check, **parameters)

    def change(self, service: str, operation: str, **parameters: Any) -> Any:
        """A record, a switch, a live change or a removal: the claim is read just before.

        Raises:
            Conflict: a newer run has claimed the name; nothing was sent.
        """
        self.check()
        return self.call(service, operation, **parameters)

    def find(self, service: str, operation: str, **parameters: Any) -> Any | None:
        """The answer, or None where the thing isn't there."""
        try:
            return self.call(service, operation, **parameters)
        except Absent:
            return None

    def content(self, service: str, operation: str, *, there: bool = False, **parameters: Any) -> Any | None:
        """The same of something whose name is made of its content: asked once a run, unless whether it's still `there` is the question."""
        asked, learnt = (service, operation, *sorted(parameters.items())), self.connection.learnt
        if there or learnt.get(asked) is None:
            learnt[asked] = self.find(service, operation, **parameters)
        return learnt[asked]

    def pages(self, service: str, operation: str, key: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
        """The elements below `key` of all pages, each page under the retry policy."""
        token: dict[str, Any] = {}
        while True:
            page = self.call(service, operation, **parameters, **token)
            yield from page.get(key) or ()
            token = _next(service, operation, page)
            if not token:
                return

    def check(self) -> None:
        """Look whether this run still holds the name.

        Raises:
            Conflict: it doesn't.
        """
        if self.held is not None:
            self.held.verify()


def connect(region: str | None, *, endpoint_url: str | None, role_arn: str | None, external_id: str | None, config: SageMakerConfig) -> Aws:
    """AWS in a region; asks nothing yet.

    Raises:
        ConfigInvalid: the region isn't one of any partition, or the profile doesn't exist.
        ExtraMissing: botocore isn't installed.
    """
    learn(endpoint_url, *(value for name, value in os.environ.items() if name.startswith("AWS_ENDPOINT_URL")))
    connection = RegionClients(region, endpoint_url=endpoint_url, role_arn=role_arn, external_id=external_id)
    try:
        connection.check_region()
    except _botocore("exceptions").BotoCoreError as error:
        raise faults.translated(error, "the AWS configuration", connection.region_meant) from error
    return Aws(connection, config)


def _next(service: str, operation: str, page: Mapping[str, Any]) -> dict[str, Any]:
    if operation == "list_objects_v2":
        return {"ContinuationToken": page["NextContinuationToken"]} if page.get("IsTruncated") else {}
    if operation == "list_multipart_uploads":
        return {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]} if page.get("IsTruncated") else {}
    if operation == "list_parts":
        return {"PartNumberMarker": page["NextPartNumberMarker"]} if page.get("IsTruncated") else {}
    key = {"logs": "nextToken", "ecr": "nextToken"}.get(service, "NextToken")
    return {key: page[key]} if page.get(key) else {}


def _checksummed(params: Mapping[str, Any], **_: Any) -> None:
    """Let botocore know of the checksum that a part brings, as if it were its own: over TLS it doesn't sign the body then, a SHA-256 less."""
    params["context"]["checksum"] = {"request_algorithm": {"algorithm": "crc32", "in": "header", "name": "x-amz-checksum-crc32"}}


def _is_a_host(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, 443))
    except OSError:
        return False


def _named(service: str, operation: str, parameters: Mapping[str, Any]) -> str:
    """The call as errors name it: "sagemaker CreateModel", "s3 PutObject in BUCKET"."""
    bucket = parameters.get("Bucket")
    return f"{service} {_api_name(operation)}" + (f" in {bucket}" if bucket else "")


def _api_name(operation: str) -> str:
    return "".join(part.capitalize() for part in operation.split("_"))


@functools.cache
def _loader(data_path: str | None) -> Any:
    """botocore's service descriptions, read once for all sessions: each would parse megabytes of JSON of its own."""
    return _botocore("loaders").create_loader(data_path)


@functools.cache
def values_of(service: str, shape: str) -> frozenset[str]:
    """The values that botocore's description of a service allows for one of its enumerations."""
    loader = _loader(_botocore("session").get_session().get_config_variable("data_path"))
    return frozenset(loader.load_service_model(service, "service-2")["shapes"][shape]["enum"])


def _botocore(module: str) -> Any:
    """botocore, imported when first needed: `deploy help` reads the options without it."""
    import importlib

    try:
        return importlib.import_module(f"botocore.{module}")
    except ModuleNotFoundError as error:
        raise ExtraMissing.named("sagemaker", "the target sagemaker") from error
