"""Puts a packaged Python model behind a production endpoint: the same verbs, container and guarantees on every target.

    import deployer

    client = deployer.get_deploy_client("sagemaker:/us-west-2")
    client.create_deployment("churn", "models:/churn/3")

What can go wrong is in `deployer.errors`, what is told while it runs in `deployer.events`. Names are loaded when used, so
that the import costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.lazy import lazily
from deployer.version import __version__

if TYPE_CHECKING:
    from deployer import errors, events
    from deployer.client import DeployClient, get_deploy_client, run_local, target_help
    from deployer.errors import DeployerError
    from deployer.images import list_images, prune_images
    from deployer.many import apply_all
    from deployer.verbs.changes import Changes
    from deployer.verbs.deployment import Deployment

__all__ = [
    "Changes",
    "DeployClient",
    "DeployerError",
    "Deployment",
    "__version__",
    "apply_all",
    "errors",
    "events",
    "get_deploy_client",
    "list_images",
    "prune_images",
    "run_local",
    "target_help",
]

__getattr__ = lazily(
    __name__,
    {
        "Changes": "deployer.verbs.changes",
        "DeployClient": "deployer.client",
        "DeployerError": "deployer.errors",
        "Deployment": "deployer.verbs.deployment",
        "apply_all": "deployer.many",
        "get_deploy_client": "deployer.client",
        "list_images": "deployer.images",
        "prune_images": "deployer.images",
        "run_local": "deployer.client",
        "target_help": "deployer.client",
        "errors": "deployer.errors",
        "events": "deployer.events",
        # These three so that `import deployer as mlflow` does.
        "models": "deployer.models",
        "pyfunc": "deployer.pyfunc",
        "types": "deployer.types",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
