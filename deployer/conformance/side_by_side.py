"""Promises tried side by side, for a cloud that is waited for most of the time: each in a thread, under a name of its own.

    waiting_for_its_own(TestKubernetes, alone={"test_every_call_throttled_once"})

    @pytest.fixture(scope="module")
    def tried(place: Place, request: pytest.FixtureRequest) -> Iterator[SideBySide]:
        with SideBySide(place, request, threads=4) as tried:
            yield tried

Each stays a test of its own, which tells what came of its promise. None does so before all have ended: pytest changes environment variables
from one test to the next, and whatever reads them at that moment in a thread fails.
"""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, Self

import pytest

from deployer.conformance.looks import done
from deployer.conformance.place import Place

_NAME, _SERVING = "name", "serving"
_GIVEN = {"self", "place", _NAME, _SERVING}
"""What a promise may take to be tried in a thread."""


class SideBySide:
    """The promises of the module that asks, all begun when the first is asked for."""

    def __init__(self, place: Place, request: pytest.FixtureRequest, *, threads: int) -> None:
        self._place = place
        self._pool = ThreadPoolExecutor(threads, "promise")
        tests = [test for test in request.session.items if isinstance(test, pytest.Function) and test.module is request.module]
        self._promises = {test.name: test.obj.promise for test in tests if hasattr(test.obj, "promise")}
        self._begun: dict[str, Future[None]] = {}

    def outcome(self, promise: str) -> None:
        """Wait for all promises to be tried; raises what came of this one."""
        if not self._begun:
            self._begun = {name: self._pool.submit(self._try, each) for name, each in self._promises.items()}
            wait(self._begun.values())
        error = self._begun[promise].exception()
        if isinstance(error, Exception):
            pytest.fail("".join(traceback.format_exception(error)), pytrace=False)
        if error is not None:  # skipped, expected to fail, interrupted
            raise error

    def _try(self, promise: Callable[..., None]) -> None:
        wanted, name = inspect.signature(promise).parameters, self._place.fresh_name()
        given = {each: name for each in (_NAME, _SERVING) if each in wanted}
        try:
            if _SERVING in wanted:
                done(self._place.run(self._place.command("create", name, self._place.first.model)))
            promise(place=self._place, **given)
        finally:
            if given:
                self._place.run(self._place.command("delete", name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)


def waiting_for_its_own(contract: type[Any], *, alone: Collection[str]) -> None:
    """Have each test of a contract wait for what a fixture `tried` finds; those `alone` and those with other fixtures run when no other does."""
    for name in [each for each in dir(contract) if each.startswith("test_") and callable(getattr(contract, each))]:
        function = getattr(contract, name)
        if name not in alone and inspect.signature(function).parameters.keys() <= _GIVEN:
            setattr(contract, name, _waiting(function, contract))


def _waiting(function: Any, contract: type[Any]) -> Any:
    @functools.wraps(function)
    def test(self: Any, tried: SideBySide) -> None:
        tried.outcome(function.__name__)

    del test.__dict__["__wrapped__"]  # whose parameters pytest would look at
    test.__dict__["promise"] = functools.partial(function, contract())
    return test
