"""What executors need is sent once, however many threads make functions at once."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, List

import pytest

from deployer_scoring.spark import shipping


class SlowContext:
    """A Spark context that takes its time, and says what it was given; the first `fails` calls fail."""

    master = "yarn"

    def __init__(self, fails: int = 0) -> None:
        self.applicationId = uuid.uuid4().hex
        self.given: List[str] = []
        self.fails = fails
        self._lock = threading.Lock()

    def add(self, path: str) -> None:
        time.sleep(0.05)
        with self._lock:
            if self.fails:
                self.fails -= 1
                raise ConnectionError("the driver is gone")
            self.given.append(path)

    addFile = addPyFile = addArchive = add  # noqa: N815 (as Spark names them)


def _preload(context: SlowContext, _: Path) -> None:
    shipping.ship_preload(context)


def _package(context: SlowContext, _: Path) -> None:
    shipping.ship_package(context)


def _model(context: SlowContext, model: Path) -> None:
    shipping.ship_model(context, model, "1")


SHIPPED = pytest.mark.parametrize("ship", [_package, _preload, _model])


@SHIPPED
def test_several_threads_send_once_and_none_goes_on_before(ship: Callable[[SlowContext, Path], None], tmp_path: Path) -> None:
    context = SlowContext()

    def sent() -> int:
        ship(context, tmp_path)
        return len(context.given)

    with ThreadPoolExecutor(8) as pool:
        assert [each.result() for each in [pool.submit(sent) for _ in range(8)]] == [1] * 8


@SHIPPED
def test_what_could_not_be_sent_is_sent_by_the_next(ship: Callable[[SlowContext, Path], None], tmp_path: Path) -> None:
    context = SlowContext(fails=1)
    with pytest.raises(ConnectionError):
        ship(context, tmp_path)
    ship(context, tmp_path)
    assert len(context.given) == 1
