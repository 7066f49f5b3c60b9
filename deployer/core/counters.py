"""What a scoring server says at /metrics of the predictions that it answered, as the checks of a rollout read it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from deployer.core.traffic import Measured, by_percentile

Counts = Mapping[str, int]
"""By status ("200"), and by the bound of a time ("le 0.25": so many took no longer)."""
_SAMPLE = re.compile(r'(deployer_requests_total|deployer_request_duration_seconds_bucket)\{path="([^"]*)",(?:status|le)="([^"]*)"\} (\S+)')
_QUIET = frozenset({"/ping", "/health", "/version", "/metrics", "/v2", "/v2/health/live", "/v2/health/ready", "/execution-parameters"})
_REQUESTS = "deployer_requests_total"


def parsed(text: str) -> Counts:
    """What a scoring server's metrics say of predictions."""
    found: Counter[str] = Counter()
    for sample, path, label, value in _SAMPLE.findall(text):
        if path not in _QUIET:
            found[label if sample == _REQUESTS else f"le {label}"] += int(float(value))
    return found


def measured(counts: Counts) -> Measured:
    """The counts in words; of a time the bound of the bucket that it is in."""
    requests = sum(number for key, number in counts.items() if not key.startswith("le "))
    errors = sum(number for key, number in counts.items() if key.startswith("5"))
    bounds = sorted((float(key[3:]), number) for key, number in counts.items() if key.startswith("le "))
    times: Counter[float] = Counter()
    below = 0
    for bound, number in bounds:
        times[bound] = max(number - below, 0)
        below = number
    return Measured(requests, errors, by_percentile(+times) if times.total() else {})
