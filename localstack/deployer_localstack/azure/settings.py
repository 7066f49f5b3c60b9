"""Everything adjustable while the local Azure runs. Tests set them; a user may."""

from __future__ import annotations

from dataclasses import dataclass

from deployer_localstack.control.settings import CloudSettings


@dataclass(slots=True)
class AzureSettings(CloudSettings):
    """Seconds unless a name says otherwise; all begin with `azure_`, since they stand beside AWS's.

    Attributes:
        azure_token_seconds: life of an access token (a little over an hour at the real one).
        azure_retry_after_seconds: what an operation on its way answers in Retry-After.
        azure_page_size: entries of a page, where the caller doesn't say.
        azure_endpoint_seconds: an endpoint's change or deletion takes at least so long.
        azure_deployment_seconds: likewise a deployment's; the container's start comes on top only where it takes longer.
        azure_containers: whether deployments that are put have containers; those without one have succeeded, and answer nothing.
        azure_startup_timeout_seconds: the longest wait for the first probe that succeeds.
        azure_container_exits: a container that exits this many times before it answers fails its deployment.
        azure_most_endpoints: that the region allows, those on clusters counted with them.
        azure_most_deployments: likewise, of all endpoints together.
        azure_family_vcpus: what each family of instances may have of them.
        azure_registry_mode: LegacyRegistryPermissions or AbacRepositoryPermissions, in which AcrPull isn't honoured.
        azure_identity_roles: what identities are assigned on the registry and the storage account, with commas between.
        azure_public_network_access: of the workspace, Enabled or Disabled: as it is told, nothing is closed.
        azure_isolation_mode: of its managed network, likewise: Disabled, AllowInternetOutbound or AllowOnlyApprovedOutbound.
        azure_private_endpoints: the states of its private endpoints, likewise, with commas between.
        azure_compute: name of the attached cluster of Kubernetes that is there from the start and after a reset; none where it is empty.
        azure_backoff_seconds: before a container of a group that has ended is started again for the first time; then twice as long each time.
        azure_restart_seconds: how long a container group is away as it is started again, besides what its containers take.
        azure_payload_limit_bytes: of requests to a scoring URI.
        azure_actions: what the caller's role allows below the workspace, as its Actions have it, with commas between; all where it is empty.
        azure_drain_seconds: how long an old container is given to finish the requests in flight.
    """

    azure_token_seconds: float = 3900.0
    azure_retry_after_seconds: float = 1.0
    azure_page_size: int = 100
    azure_endpoint_seconds: float = 0.0
    azure_deployment_seconds: float = 0.0
    azure_containers: bool = True
    azure_startup_timeout_seconds: float = 600.0
    azure_container_exits: int = 3
    azure_most_endpoints: int = 100
    azure_most_deployments: int = 500
    azure_family_vcpus: int = 1000
    azure_registry_mode: str = "LegacyRegistryPermissions"
    azure_identity_roles: str = "AcrPull,Storage Blob Data Reader"
    azure_public_network_access: str = "Enabled"
    azure_isolation_mode: str = "Disabled"
    azure_private_endpoints: str = ""
    azure_compute: str = "aks"
    azure_backoff_seconds: float = 1.0
    azure_restart_seconds: float = 0.0
    azure_payload_limit_bytes: int = 10 * 1024 * 1024
    azure_actions: str = ""
    azure_drain_seconds: float = 30.0
