"""Selectors pick by the rules that kubectl has for its own."""

from __future__ import annotations

import pytest

from deployer.core.selectors import Selector
from deployer.errors import ConfigInvalid

LABELS = {"team": "ml", "env": "dev", "cost centre": "a=b", "empty": ""}


@pytest.mark.parametrize(
    ("text", "picks"),
    [
        *((each, True) for each in ("team=ml", "team==ml", "team = ml", "team", "!canary", "team!=web", "canary!=yes", "empty=", "cost centre=a=b")),
        *((each, True) for each in ("env in (dev, test)", "env notin (live)", "canary notin (yes)", "team=ml,env in (dev,test),!canary")),
        *((each, False) for each in ("team=web", "!team", "canary", "team!=ml", "env in (live)", "env notin (dev,live)", "team=ml,env=live")),
    ],
)
def test_all_of_it_has_to_hold(text: str, picks: bool) -> None:
    assert Selector.parse(text).matches(LABELS) is picks


@pytest.mark.parametrize("text", ["", "team=ml,", "=ml", "env in dev", "team ml", "!"])
def test_what_is_no_selector_is_told(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="is no selector"):
        Selector.parse(text)
