"""What is said of a local cloud that comes and goes."""

from __future__ import annotations

from deployer_localstack.lifecycle import Forgotten


def test_what_is_forgotten_is_said_in_words() -> None:
    assert str(Forgotten(True, {"endpoints": 2, "models": 0, "buckets": 1, "repositories": 1})) == "2 endpoints, 1 bucket, 1 repository"
    assert str(Forgotten(False)) == "nothing"
