"""Requests that meet in the event loop: joined, answered each for itself, and sent elsewhere where they take long."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from deployer_scoring.errors import InvalidInput, ModelFailure
from deployer_scoring.loaders.loading import Loaded
from deployer_scoring.model.mlmodel import MLModel, PythonFunction
from deployer_scoring.schema.signature import ColSpec, DataType, ModelSignature, ParamSchema, ParamSpec, Schema
from deployer_scoring.scorer import Ask, Scorer
from deployer_scoring.server.handling import AnswerFuture, Handling
from deployer_scoring.server.predict.dispatch import Dispatcher
from deployer_scoring.server.predict.durations import Durations
from deployer_scoring.server.predict.in_loop import InLoop
from deployer_scoring.server.predict.waiting import Busy

X = ModelSignature(Schema((ColSpec(DataType.double, "x"),)))
WITH_PARAMS = ModelSignature(X.inputs, None, ParamSchema((ParamSpec("times", DataType.long, 2),)))


class Doubler:
    """Doubles x, refuses what is negative, and remembers how many rows each call had."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def predict(self, data: Any, params: Any = None) -> Any:
        self.calls.append(len(data))
        if (data["x"] < 0).any():
            raise ValueError("x is negative")
        if (data["x"] == 13).any():
            return data["x"].sum()
        return (data["x"] * (params["times"] if params else 2)).to_numpy()


def body(*values: Any, **more: Any) -> bytes:
    return json.dumps({"inputs": {"x": list(values)}, **more}).encode()


def scorer(model: Any, signature: ModelSignature = X, **more: Any) -> Scorer:
    return Scorer(MLModel(Path(), PythonFunction("a"), {}, signature), Loaded(model, row_wise=True, prompt=True), **more)


def asked(model: Any, *bodies: bytes, signature: ModelSignature = X, **more: Any) -> list[Any]:
    outcomes = scorer(model, signature, **more).answers([Ask(each, "application/json") for each in bodies]).outcomes
    return [str(each) if isinstance(each, Exception) else json.loads(each)["predictions"] for each in outcomes]


def test_requests_are_joined_and_each_gets_its_own_rows() -> None:
    model = Doubler()
    assert asked(model, body(1.5), body(2.5, 3.5), body(4.5)) == [[3.0], [5.0, 7.0], [9.0]]
    assert model.calls == [4]


def test_what_differs_in_form_is_joined_all_the_same_where_the_signature_makes_it_equal() -> None:
    model = Doubler()
    other = b'{"dataframe_split": {"columns": ["x"], "data": [[2.5]]}}'
    assert asked(model, body(1.5), other, body(3)) == [[3.0], [5.0], [6.0]]
    assert len(model.calls) <= 2


def test_a_bad_request_fails_alone_whether_it_can_not_be_read_or_the_model_refuses_it() -> None:
    model = Doubler()
    found = asked(model, body(1.5), b"{", body("text"), body(-1.5), body(2.5), b'{"inputs": {"y": [1]}}', body(3.5))
    assert [found[at] for at in (0, 4, 6)] == [[3.0], [5.0], [7.0]]
    assert "JSON" in found[1]
    assert "'x'" in found[2]
    assert found[3] == "ValueError: x is negative"
    assert "'x'" in found[5]
    assert sum(model.calls) < 4 * 4  # by halves, not all over again


def test_an_answer_that_is_not_one_for_each_row_sends_every_request_alone() -> None:
    model = Doubler()
    assert asked(model, body(13.0), body(1.5), body(2.5)) == [13.0, [3.0], [5.0]]
    assert model.calls == [3, 1, 1, 1]


def test_different_params_are_not_joined() -> None:
    model = Doubler()
    bodies = [body(1.5), body(2.5, params={"times": 3}), body(3.5), body(4.5, params={"times": 3})]
    assert asked(model, *bodies, signature=WITH_PARAMS) == [[3.0], [7.5], [7.0], [13.5]]
    assert sorted(model.calls) == [2, 2]


def test_no_more_rows_are_joined_than_may_be() -> None:
    model = Doubler()
    assert asked(model, *[body(float(number), number + 0.5) for number in range(5)], most_rows=4) == [
        [2.0 * number, 2.0 * number + 1] for number in range(5)
    ]
    assert model.calls == [4, 4, 2]
    assert asked(model, body(*map(float, range(20))), body(1.5), most_rows=4)[1] == [3.0]


def test_empty_requests_stand_alone() -> None:
    model = Doubler()
    assert asked(model, body(), body(1.5), body(2.5)) == [[], [3.0], [5.0]]
    assert sorted(model.calls) == [0, 2]


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


def no_process() -> Any:
    raise AssertionError("nothing should be sent to a process")


def dispatcher(model: Any, *, joins: bool = True, limit: int = 100, known: float = 0.0001) -> Dispatcher:
    durations = Durations()
    durations.learn(10, known)
    durations.learn(1000, known)
    in_loop = InLoop(scorer(model), durations, joins=joins, recorder=None)
    return Dispatcher(in_loop._scorer.model, streams=False, limit=limit, in_loop=in_loop, in_process=no_process)


def test_what_comes_in_one_turn_of_the_loop_is_one_predict_and_a_lone_request_does_not_wait() -> None:
    async def scenario() -> None:
        model = Doubler()
        place = dispatcher(model)
        answers = await asyncio.gather(*(place.answer(body(float(number)), "application/json") for number in range(10)))
        assert [json.loads(answer)["predictions"] for answer in answers] == [[2.0 * number] for number in range(10)]
        assert model.calls == [10]
        answer = place.answer(body(1.5), "application/json")
        await asyncio.sleep(0)
        assert answer.done()
        assert place.pending == 0

    run(scenario)


def test_with_batching_off_each_is_a_predict_of_its_own() -> None:
    async def scenario() -> None:
        model = Doubler()
        place = dispatcher(model, joins=False)
        await asyncio.gather(*(place.answer(body(float(number)), "application/json") for number in range(10)))
        assert model.calls == [1] * 10

    run(scenario)


def test_one_too_many_is_told_so_and_errors_are_those_of_the_model() -> None:
    async def scenario() -> None:
        place = dispatcher(Doubler(), limit=3)
        waiting = [place.answer(body(value), "application/json") for value in (1.5, -1.5, 2.5)]
        assert place.full
        with pytest.raises(Busy, match="3 requests are waiting"):
            place.answer(body(1.5), "application/json")
        assert json.loads(await waiting[0]) == {"predictions": [3.0]}
        with pytest.raises(ModelFailure, match="x is negative"):
            await waiting[1]
        assert await waiting[2]
        with pytest.raises(InvalidInput):
            await place.answer(b"{", "application/json")

    run(scenario)


def test_a_request_that_nobody_waits_for_any_more_is_not_predicted() -> None:
    async def scenario() -> None:
        model = Doubler()
        place = dispatcher(model)
        left, stays = (place.answer(body(value), "application/json") for value in (1.5, 2.5))
        left.cancel()
        assert json.loads(await stays) == {"predictions": [5.0]}
        assert model.calls == [1]

    run(scenario)


def test_a_model_that_takes_long_is_not_asked_in_the_loop() -> None:
    async def scenario() -> None:
        place = dispatcher(Doubler(), known=0.05)
        with pytest.raises(AssertionError, match="process"):
            place.answer(body(1.5), "application/json")

    run(scenario)


def test_the_loop_gets_its_turn_between_many_predicts() -> None:
    class Slow(Doubler):
        def predict(self, data: Any, params: Any = None) -> Any:
            until = time.perf_counter() + 0.003
            while time.perf_counter() < until:
                pass
            return super().predict(data)

    async def scenario() -> None:
        place = dispatcher(Slow(), joins=False)
        answers = [place.answer(body(1.5), "application/json") for _ in range(6)]
        turns = 0
        while not answers[-1].done():
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 3

    run(scenario)


def test_durations_are_learned_by_size_and_unknown_sizes_guessed_from_the_nearest() -> None:
    durations = Durations()
    assert durations.expected(100) is None
    durations.learn(100, 0.001)
    assert durations.expected(100) == durations.expected(127) == durations.expected(70) == 0.001
    assert durations.expected(10) == 0.001  # of smaller ones the larger tells
    assert durations.expected(1000) == pytest.approx(0.008)  # grown with size, till better is known
    durations.learn(1000, 0.001)
    assert durations.expected(1000) == 0.001
    durations.learn(100, 10.0)  # a hiccup of the machine
    assert durations.expected(100) == pytest.approx(0.00105)
    for _ in range(400):
        durations.learn(100, 0.1)
    assert durations.expected(100) == pytest.approx(0.1, rel=0.01)
    assert durations.expected(1 << 60) is not None


def test_a_handling_that_never_waits_ends_at_once_and_one_that_waits_goes_on_when_told() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        told: list[Any] = []

        async def at_once() -> int:
            return 1

        Handling(loop, at_once(), told.append)
        assert told == [1]
        answer, future = AnswerFuture(loop=loop), loop.create_future()

        async def waits() -> int:
            first = await answer
            await asyncio.sleep(0)
            return int(first + await future)

        Handling(loop, waits(), told.append)
        answer.settle(2)
        future.set_result(3)
        for _ in range(4):
            await asyncio.sleep(0)
        assert told == [1, 5]

    run(scenario)


def test_a_handling_that_is_given_up_is_told_so_where_it_waits() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        ended: list[str] = []
        for make in (lambda: AnswerFuture(loop=loop), loop.create_future):
            future = make()

            async def waits(future: Any = future) -> None:
                try:
                    await future
                except asyncio.CancelledError:
                    ended.append("cancelled")
                    raise

            handling = Handling(loop, waits(), lambda _: ended.append("done"))
            handling.cancel()
            await asyncio.sleep(0)
        assert ended == ["cancelled", "cancelled"]

    run(scenario)
