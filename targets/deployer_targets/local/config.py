"""The options of the `local` target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from deployer.core.options import GENERATION, LIVE, TargetConfig


class LocalConfig(TargetConfig):
    """One container on this machine, behind a port that stays the same for the deployment's life."""

    host: Annotated[str, LIVE] = Field("127.0.0.1", min_length=1, description="The address to listen on; 0.0.0.0 lets other machines in.")
    port: Annotated[int, LIVE] = Field(0, ge=0, le=65535, description="The port to listen on; 0 picks a free one, which then stays.")
    runtime: Annotated[Literal["auto", "docker", "process"], GENERATION] = Field(
        "auto", description="What runs the model; auto: docker where an engine answers and has the image, local processes elsewhere."
    )
    startup_timeout: Annotated[int, LIVE] = Field(
        600, gt=0, description="Seconds that a container may take until it answers its health check, the making of its environment included."
    )
    drain_timeout: Annotated[int, LIVE] = Field(
        60, ge=0, description="Seconds that requests in progress may take before an old container is stopped."
    )
    max_restarts: Annotated[int, LIVE] = Field(3, ge=0, description="How often a container that exits is started again before it counts as failed.")
    tags: Annotated[Mapping[str, str], LIVE] = Field(default_factory=dict, description="Words of your own, kept with the deployment.")
