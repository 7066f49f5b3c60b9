"""How often AWS is asked: each call takes a twentieth of a second or more, and they are throttled. Counted in the local cloud's journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tests.e2e.sagemaker.cloud import AwsHere
from tests.e2e.sagemaker.conftest import Models, User

POLLS = frozenset({"DescribeEndpoint"})
"""Nearly all of them wait for SageMaker, and how many there are depends on how long it takes."""


def asked(here: AwsHere, action: Callable[[], object]) -> Counter[str]:
    """What was asked while `action` ran, polls apart."""
    here.control.clear_journal()
    action()
    return Counter(entry["operation"] for entry in here.control.journal() if entry["operation"] not in POLLS)


def test_no_verb_asks_more_than_it_must(here: AwsHere, user: User, models: Models) -> None:
    user.client().create_deployment(user.name(), models.doubler)  # the bucket is there from now on
    name = user.name()
    create = asked(here, lambda: user.client().create_deployment(name, models.doubler))
    nothing = asked(here, lambda: user.client().apply(name, models.doubler))
    option = asked(here, lambda: user.client().update_deployment(name, config={"container_startup_timeout": 120}))
    # The oldest of three generations goes.
    another = asked(here, lambda: user.client().update_deployment(name, config={"container_startup_timeout": 180}))
    live = asked(here, lambda: user.client().update_deployment(name, config={"instance_count": 2}))
    most = {"create": 30, "nothing": 8, "option": 35, "another": 42, "live": 30}
    counted = {"create": create, "nothing": nothing, "option": option, "another": another, "live": live}
    assert {verb: calls.total() for verb, calls in counted.items() if calls.total() > most[verb]} == {}, counted


def test_what_can_not_change_is_read_once_in_a_run(here: AwsHere, user: User, models: Models) -> None:
    name = user.name()
    user.client().create_deployment(name, models.doubler)
    calls = asked(here, lambda: user.client().update_deployment(name, config={"container_startup_timeout": 120}))
    assert calls["GetAuthorizationToken"] == 1
    assert calls["DescribeModel"] <= 2  # before the switch and after it
    assert calls["DescribeEndpointConfig"] <= 1
    assert calls["GetCallerIdentity"] == calls["HeadBucket"] == 0  # what serves says where it is
