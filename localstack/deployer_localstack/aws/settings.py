"""Everything adjustable while the local AWS runs: delays, limits, quotas. Tests set them; a user may."""

from __future__ import annotations

from dataclasses import dataclass, field

from deployer_localstack.control.settings import CloudSettings


@dataclass(slots=True)
class AwsSettings(CloudSettings):
    """Seconds unless a name says otherwise.

    Attributes:
        creating_seconds: an endpoint is at least this long Creating; the container's start comes on top only where it takes longer.
        updating_seconds, rolling_back_seconds, deleting_seconds: likewise.
        missing_model_seconds: how long an endpoint whose model is gone hangs in Creating before it fails.
        startup_timeout_seconds: the longest wait for /ping, whatever the variant allows (the real service: 480 unless told otherwise).
        container_exits: a container that exits this many times before it answers fails its endpoint.
        invocation_timeout_seconds: the answer to /invocations must be there by then (60 at the real one).
        drain_seconds: how long an old container is given to finish the requests in flight.
        guardrail_time_scale: waits of updates by guardrails are this fraction of what was asked for.
        execution_timeout_scale: likewise MaximumExecutionTimeoutInSeconds, apart since containers start in their own time.
        alarm_time_scale: the periods of CloudWatch alarms are this fraction of what was asked for, in evaluating them.
        payload_limit_bytes: real-time requests (25 MB in newer pages of the documentation, 6291456 in older ones).
        serverless_payload_limit_bytes: 4 MB.
        ecr_token_seconds: life of a registry password (12 hours at the real one).
        session_seconds: if positive, the life of an assumed role's credentials, whatever the caller asked for.
        list_lag_seconds: what was created shows up in lists only after so long.
        quotas: instances by type ("ml.m5.large": 2); a type that isn't named is unlimited.
    """

    creating_seconds: float = 0.0
    updating_seconds: float = 0.0
    rolling_back_seconds: float = 0.0
    deleting_seconds: float = 0.2
    missing_model_seconds: float = 5.0
    startup_timeout_seconds: float = 480.0
    container_exits: int = 3
    invocation_timeout_seconds: float = 60.0
    drain_seconds: float = 70.0
    guardrail_time_scale: float = 0.01
    execution_timeout_scale: float = 1.0
    alarm_time_scale: float = 1.0
    payload_limit_bytes: int = 25 * 1024 * 1024
    serverless_payload_limit_bytes: int = 4 * 1024 * 1024
    ecr_token_seconds: float = 12 * 3600.0
    session_seconds: float = 0.0
    list_lag_seconds: float = 0.0
    quotas: dict[str, int] = field(default_factory=dict)
