"""Where a model's data goes in S3, and how it is seen that all of it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deployer.core.state import Digest
from deployer_targets.sagemaker import store
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.names import Home, marker

DIGEST = "deployer-model"
"""The metadata key that holds the model's digest."""


@dataclass(frozen=True, slots=True)
class ModelDestination:
    """Where a model's data goes: the key of its tar.gz, or of a folder (ending in a slash) of its files."""

    home: Home
    key: str
    model: Digest
    kms_key: str | None = None

    @property
    def proof(self) -> str:
        """The object whose being there says that all is there."""
        return marker(self.key) if self.key.endswith("/") else self.key

    @property
    def extra(self) -> dict[str, Any]:
        return {"Metadata": {DIGEST: self.model}, **store.encryption(self.kms_key)}


def is_there(cloud: Aws, to: ModelDestination) -> bool:
    """Whether the whole model is there: uploads become visible at once or not at all."""
    found = cloud.find("s3", "head_object", Bucket=to.home.bucket, Key=to.proof)
    return found is not None and found.get("Metadata", {}).get(DIGEST) == to.model
