"""Pages and filters of lists."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from deployer_localstack.aws.sagemaker.listing import page
from deployer_localstack.aws.sagemaker.store import StoredResource


def resources(count: int) -> list[StoredResource]:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    return [StoredResource(f"m{number}", f"arn/m{number}", {}, {}, began + timedelta(seconds=number // 2)) for number in range(count)]


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("key", ["Name", "CreationTime"])
def test_pages_neither_repeat_nor_leave_out(order: str, key: str) -> None:
    items = resources(23)
    token, seen = None, []
    while True:
        asked = {"SortBy": key, "SortOrder": order, "MaxResults": 5} | ({"NextToken": token} if token else {})
        found, token = page(items, asked)
        seen += [item.name for item in found]
        if token is None:
            break
    assert sorted(seen) == sorted(item.name for item in items)


def test_lists_are_filtered_by_name_and_time() -> None:
    items = resources(10)
    assert [item.name for item in page(items, {"NameContains": "M7"})[0]] == ["m7"]
    assert {item.name for item in page(items, {"CreationTimeAfter": items[8].created.timestamp()})[0]} == {"m8", "m9"}
