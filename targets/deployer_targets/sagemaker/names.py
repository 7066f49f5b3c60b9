"""Names and places: SageMaker's limits, and the names of what is made, each a digest of its own inputs and the deployment's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployer.core.ledger import LedgerKeys
from deployer.core.state import DeploymentName, Digest, Resource, digest_of, short
from deployer.errors import ConfigInvalid

LIMIT = 63

MODEL = "model"
CONFIG = "endpoint-config"
ENDPOINT = "endpoint"
DATA = "data"
RECORD = "record"
CLAIM = "claim"
HISTORY = "history"
UPLOAD = "upload"
SCALING = "scaling"
OBJECT = "object"
REQUEST = "request"
"""The body of an asynchronous request, removed by who sent it: no deployment sweeps it."""

TAG_DEPLOYMENT = "deployer:deployment"
TAG_VERSION = "deployer:version"
TAG_BUCKET = "deployer:bucket"

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


def check_name(name: str) -> DeploymentName:
    """The name, if SageMaker takes it for an endpoint.

    Raises:
        ConfigInvalid: which limit it breaks.
    """
    if len(name) <= LIMIT and _NAME.fullmatch(name):
        return DeploymentName(name)
    if len(name) > LIMIT:
        why = f"it has {len(name)} characters, at most {LIMIT} are allowed"
    elif not name:
        why = "it is empty"
    elif name[0] == "-" or name[-1] == "-":
        why = "it starts or ends with -"
    else:
        why = f"{next(letter for letter in name if not re.fullmatch('[a-zA-Z0-9-]', letter))!r} is not allowed"
    raise ConfigInvalid(f"{name!r} can't name a SageMaker endpoint: {why}", advice=f"letters, digits and - between them; {name_for(name)} would do")


def name_for(candidate: str) -> DeploymentName:
    """The nearest valid name to what a model or a directory is called."""
    name = re.sub(r"[^a-zA-Z0-9]+", "-", candidate)[:LIMIT].strip("-")
    return DeploymentName(name or "model")


def content_name(deployment: str, kind: str, inputs: object) -> str:
    """`churn-91ab44c20d`: the deployment's name, shortened to fit, and the digest of what the resource is made of and of the whole name."""
    digest = short(digest_of([deployment, kind, inputs]))
    return f"{deployment[: LIMIT - len(digest) - 1].rstrip('-')}-{digest}"


def split_config(deployment: str, before: str, generation: str) -> str:
    """The endpoint config with two generations as variants. It stands in no record: by this name the candidate's tells of it."""
    return content_name(deployment, CONFIG, ["shares", before, generation])


def made_for(deployment: str, name: str) -> bool:
    """Whether `name` has the form that `content_name` gives; the tag alone says whether it is ours."""
    return re.fullmatch(re.escape(deployment[: LIMIT - 11].rstrip("-")) + "-[0-9a-f]{10}", name) is not None


@dataclass(frozen=True, slots=True)
class Home(LedgerKeys):
    """Where a deployment keeps its objects: below one prefix of one bucket."""

    bucket: str
    deployment: str

    @property
    def scaling(self) -> str:
        return f"{self.prefix}scaling.json"

    def data(self, model: Digest, form: str, kms_key: str | None) -> str:
        """The key of a model's tar.gz, or of the folder (ending in a slash) of its files. What is encrypted otherwise is another object."""
        place = model.removeprefix("sha256:") + (f"-{short(digest_of(kms_key))}" if kms_key else "")
        return f"{self.prefix}models/{place}/" + ("model.tar.gz" if form == "tar" else "files/")

    def input(self, identifier: str) -> str:
        """Where the body of one asynchronous request waits."""
        return f"{self.prefix}requests/{identifier}"

    def url(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def resource_of(self, key: str) -> Resource:
        """What an object is a part of: a folder of model files is one resource."""
        inner = key.removeprefix(self.prefix)
        if kind := {"claim": CLAIM, "history.json": HISTORY, "scaling.json": SCALING}.get(inner):
            return Resource(kind, self.url(key))
        if match := re.fullmatch(r"generations/([0-9a-f]+)\.json", inner):
            return Resource(RECORD, match[1])
        if match := re.match(r"models/[^/]+/(?:files/|model\.tar\.gz$)", inner):
            return Resource(DATA, self.url(self.prefix + match[0]))
        if match := re.fullmatch(r"(models/[^/]+/)files\.json", inner):
            return Resource(DATA, self.url(f"{self.prefix}{match[1]}files/"))
        return Resource(REQUEST if inner.startswith("requests/") else OBJECT, self.url(key))


def marker(key: str) -> str:
    """The object that says that all files below a folder are there: beside it, since everything inside is copied to the instances."""
    return key.rstrip("/") + ".json"


def split_url(url: str) -> tuple[str, str]:
    """Bucket and key of an s3:// URL."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


def own_tags(deployment: str, bucket: str, version: str) -> Mapping[str, str]:
    """The tags by which a resource is known as ours."""
    return {TAG_DEPLOYMENT: deployment, TAG_BUCKET: bucket, TAG_VERSION: version}


def to_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """As the API has them, sorted by key."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def from_tags(tags: list[Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}
