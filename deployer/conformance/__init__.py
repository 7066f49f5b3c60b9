"""What a target is, as promises that run: a target's own test class gives a `Place` and names its known gaps; no test is repeated there.

    @pytest.fixture(scope="module")
    def place() -> Iterator[Place]: ...

    class TestSageMaker(TargetContract):
        gaps = {"test_unicode_in_tags_comes_back_as_it_was": "never: the cloud has no tags"}

Needs pytest, and is imported by tests alone.
"""

from deployer.conformance.clients import Command, Ended, Origin, Stream
from deployer.conformance.contract import TargetContract
from deployer.conformance.place import Place, Sample

__all__ = ["Command", "Ended", "Origin", "Place", "Sample", "Stream", "TargetContract"]
