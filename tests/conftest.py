"""What holds for all tests."""

from __future__ import annotations

import signal

import hypothesis

# A runner in the background is started with SIGINT ignored, and so would be every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long one example takes says what else the machine does, and nothing of the code. Tests of the runtime, which run without this file as well,
# say so themselves.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")
