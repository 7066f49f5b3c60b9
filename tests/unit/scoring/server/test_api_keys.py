"""Who is answered by a server that has keys."""

from __future__ import annotations

import pytest

from deployer_scoring.server.api_keys import PROBES, ApiKeys

FIRST, SECOND = "first-key-0123456789", "second-key-0123456789"
KEYS = ApiKeys(f"{FIRST}, {SECOND}")


@pytest.mark.parametrize("key", [FIRST, SECOND])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
@pytest.mark.parametrize("path", ["/invocations", "/", "/metrics", "/docs", "/v2/models/m/infer"])
def test_each_key_opens_every_path(key: str, scheme: str, path: str) -> None:
    assert KEYS.refusal(path, {"authorization": f"{scheme} {key}"}) is None


@pytest.mark.parametrize("path", sorted(PROBES))
def test_probes_need_none(path: str) -> None:
    assert KEYS.refusal(path, {}) is None


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {FIRST[:-1]}",
        f"Bearer {FIRST}x",
        f"Bearer {FIRST},{SECOND}",
        f"Bearer {FIRST}, Bearer {FIRST}",
        f"Bearer {FIRST.upper()}",
        f"Basic {FIRST}",
        f"Bearer{FIRST}",
        FIRST,
        "Bearer \u00fc\udcff",
    ],
)
@pytest.mark.parametrize("path", ["/invocations", "/ping/", "/metrics", "/v2/health/live/x", "/docs"])
def test_nothing_else_does(given: str | None, path: str) -> None:
    refusal = KEYS.refusal(path, {} if given is None else {"authorization": given})
    assert refusal
    assert FIRST not in refusal
