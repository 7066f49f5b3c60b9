"""What `import deployer` promises."""

from __future__ import annotations

import deployer
from deployer.version import __version__

PUBLIC = [
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


def test_the_public_names_are_these_and_no_others() -> None:
    assert deployer.__all__ == PUBLIC == dir(deployer)


def test_each_public_name_is_there_and_is_the_same_as_at_its_home() -> None:
    for name in PUBLIC:
        assert getattr(deployer, name) is not None
    assert deployer.__version__ == __version__
    assert deployer.errors.DeployerError is deployer.DeployerError


def test_a_name_that_is_none_of_these_is_an_attribute_error() -> None:
    assert not hasattr(deployer, "no_such_name")
