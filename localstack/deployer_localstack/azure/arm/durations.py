"""Durations as ISO 8601 writes them."""

from __future__ import annotations

import re

from deployer_localstack.azure.answers import AzureError

_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")


def seconds(duration: str) -> float:
    """Of a duration such as PT1M30S.

    Raises:
        AzureError: it isn't one.
    """
    match = _DURATION.fullmatch(str(duration))
    if match is None:
        raise AzureError("BadRequest", f"{duration} is not a duration, such as PT5S.")
    hours, minutes, rest = (float(each or 0) for each in match.groups())
    return hours * 3600 + minutes * 60 + rest
