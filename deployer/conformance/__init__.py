"""What a target is, as promises that run: a target's own test class gives a `Place` and names its known gaps; no test is repeated there.

    @pytest.fixture(scope="module")
    def place() -> Iterator[Place]: ...

    class TestSageMaker(TargetContract):
        gaps = {"test_unicode_in_tags_comes_back_as_it_was": "never: the cloud has no tags"}

Needs pytest, and is imported by tests alone.
"""

import pytest

pytest.register_assert_rewrite(
    "deployer.conformance.contract", "deployer.conformance.looks", "deployer.conformance.traffic"
)  # so that a broken promise shows its values

from deployer.conformance.clients import Ended, Origin, Stream, UserCommand  # noqa: E402
from deployer.conformance.contract import TargetContract  # noqa: E402
from deployer.conformance.place import Place, Sample  # noqa: E402
from deployer.conformance.sampling import sampled  # noqa: E402
from deployer.conformance.side_by_side import SideBySide, waiting_for_its_own  # noqa: E402
from deployer.conformance.traffic import TrafficContract  # noqa: E402

__all__ = [
    "Ended",
    "Origin",
    "Place",
    "Sample",
    "SideBySide",
    "Stream",
    "TargetContract",
    "TrafficContract",
    "UserCommand",
    "sampled",
    "waiting_for_its_own",
]
