"""What a plan must know of an endpoint beside what is known on every target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer.core.state import Observed
from deployer_targets.sagemaker.autoscaling import Registration


@dataclass(frozen=True, slots=True)
class View:
    """The endpoint as it stands; all but the bucket is empty where there is none.

    Attributes:
        bucket: where the deployment's files are.
        config: the one that the endpoint carries, whatever its status.
        count: how many instances it should have; None where it has none (serverless).
        scaling: autoscaling as it is registered now; `saved_scaling`: as an earlier run put it aside.
    """

    bucket: str = ""
    config: str | None = None
    count: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    scaling: Registration | None = None
    saved_scaling: Registration | None = None


Seen = Observed[View]


def view_of(observed: Seen | None) -> View:
    """The view, an empty one where nothing is there."""
    return observed.view if observed and observed.view else View()
