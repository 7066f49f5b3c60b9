"""What happens to an endpoint after a call was accepted: in a thread of its own, from state to state, as the real one does it.

Creating -> InService | Failed; Updating -> InService | RollingBack -> InService (old configuration, FailureReason); Deleting -> gone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from deployer_localstack.aws import ground
from deployer_localstack.aws.dataplane import Dataplane, Fleet, FleetFailed, VariantPlan
from deployer_localstack.aws.errors import AwsError
from deployer_localstack.aws.sagemaker.store import Deployment, Endpoint, Resource, Shelf
from deployer_localstack.aws.settings import AwsSettings


class Rollouts:
    """Runs the threads; `close` ends them all and their containers."""

    def __init__(self, settings: AwsSettings, dataplane: Dataplane) -> None:
        self._settings = settings
        self._dataplane = dataplane
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def create(self, shelf: Shelf, endpoint: Endpoint) -> None:
        self._in_thread("create", shelf, endpoint, self._create)

    def update(self, shelf: Shelf, endpoint: Endpoint) -> None:
        self._in_thread("update", shelf, endpoint, self._update)

    def rescale(self, shelf: Shelf, endpoint: Endpoint) -> None:
        self._in_thread("rescale", shelf, endpoint, self._rescale)

    def delete(self, shelf: Shelf, endpoint: Endpoint) -> None:
        self._in_thread("delete", shelf, endpoint, self._delete)

    def close(self, shelves: list[Shelf]) -> None:
        """Stop everything, at once."""
        fleets: list[Fleet] = []
        for shelf in shelves:
            with shelf.lock:
                for endpoint in shelf.endpoints.values():
                    endpoint.cancelled.set()
                    fleets += [fleet for fleet, _ in endpoint.fleets]
                    endpoint.fleets = ()
        stopping = [threading.Thread(target=replica.stop, args=(2.0,)) for fleet in fleets for replica in fleet.replicas]
        for thread in stopping:
            thread.start()
        with self._lock:
            running = list(self._threads)
        for thread in (*stopping, *running):
            thread.join(15)

    def _in_thread(self, verb: str, shelf: Shelf, endpoint: Endpoint, work: Callable[[Shelf, Endpoint], None]) -> None:
        def run() -> None:
            try:
                work(shelf, endpoint)
            except Exception:
                logging.getLogger(__name__).exception("%s of endpoint %s broke", verb, endpoint.name)
                with shelf.lock:
                    endpoint.failure_reason = "The local cloud broke; see its log."
                    endpoint.become("Failed")
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=f"{verb} {endpoint.name}", daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _create(self, shelf: Shelf, endpoint: Endpoint) -> None:
        began = time.monotonic()
        wanted = endpoint.pending
        assert wanted is not None
        try:
            fleet = self._bring_up(shelf, endpoint, wanted)
        except FleetFailed as failed:
            self._wait(endpoint, began, self._settings.creating_seconds)
            with shelf.lock:
                endpoint.pending, endpoint.failure_reason = None, str(failed)
                endpoint.become("Failed")
            return
        self._wait(endpoint, began, self._settings.creating_seconds)
        if self._taken_over(shelf, endpoint, wanted, fleet):
            self._to_last_state(shelf, endpoint)

    def _update(self, shelf: Shelf, endpoint: Endpoint) -> None:
        began = time.monotonic()
        wanted, old = endpoint.pending, endpoint.fleets
        assert wanted is not None
        fleet: Fleet | None = None
        try:
            fleet = self._bring_up(shelf, endpoint, wanted)
            self._wait(endpoint, began, self._settings.updating_seconds)
            self._shift(shelf, endpoint, fleet)
        except FleetFailed as failed:
            self._wait(endpoint, began, self._settings.updating_seconds)
            self._roll_back(shelf, endpoint, old, fleet, str(failed))
            return
        if self._taken_over(shelf, endpoint, wanted, fleet):
            self._to_last_state(shelf, endpoint)
            for each, _ in old:
                each.retire(self._settings.drain_seconds)

    def _roll_back(self, shelf: Shelf, endpoint: Endpoint, old: Any, fleet: Fleet | None, reason: str) -> None:
        began = time.monotonic()
        with shelf.lock:
            if endpoint.cancelled.is_set():
                old = ()
            endpoint.fleets = old
            endpoint.become("RollingBack")
        self._wait(endpoint, began, self._settings.rolling_back_seconds)
        with shelf.lock:
            endpoint.pending, endpoint.failure_reason = None, reason
            endpoint.become("InService")
        if fleet:
            fleet.retire(self._settings.drain_seconds)

    def _rescale(self, shelf: Shelf, endpoint: Endpoint) -> None:
        self._wait(endpoint, time.monotonic(), self._settings.updating_seconds)
        with shelf.lock:
            assert endpoint.current is not None
            weights = {variant.name: variant.weight for variant in endpoint.current.variants}
            for fleet, _ in endpoint.fleets:
                for replica in fleet.replicas:
                    replica.weight = weights.get(replica.variant, replica.weight)
        self._to_last_state(shelf, endpoint)

    def _delete(self, shelf: Shelf, endpoint: Endpoint) -> None:
        began = time.monotonic()
        with shelf.lock:
            fleets, endpoint.fleets = endpoint.fleets, ()
        for fleet, _ in fleets:
            fleet.retire(1.0)
        self._wait(endpoint, began, self._settings.deleting_seconds)
        with shelf.lock:
            shelf.endpoints.pop(endpoint.name, None)

    def _bring_up(self, shelf: Shelf, endpoint: Endpoint, wanted: Deployment) -> Fleet:
        plans = [
            VariantPlan(
                endpoint.name, {**variant.document, "InitialVariantWeight": variant.weight}, self._model(shelf, endpoint, variant.model).document
            )
            for variant in wanted.variants
        ]
        try:
            fleet = self._dataplane.start(shelf.place, plans, endpoint.cancelled)
        except (AwsError, OSError) as broken:
            logging.getLogger(__name__).exception("the containers of endpoint %s could not be started", endpoint.name)
            raise FleetFailed(f"The local cloud could not start the containers: {broken}") from broken
        for variant, replica in zip(wanted.variants, fleet.replicas, strict=True):
            variant.images = ((replica.image.specified, replica.image.resolved),)
        return fleet

    def _model(self, shelf: Shelf, endpoint: Endpoint, name: str) -> Resource:
        """The model; one that is gone leaves the endpoint hanging for a while, as the real service does."""
        try:
            return shelf.model(name)
        except AwsError as gone:
            endpoint.cancelled.wait(self._settings.missing_model_seconds)
            raise FleetFailed(gone.message) from gone

    def _shift(self, shelf: Shelf, endpoint: Endpoint, fleet: Fleet) -> None:
        """Traffic from the old fleet to the new one as the deployment's guardrails say; an alarm sends it back."""
        config = endpoint.last_deployment_config or {}
        alarms = [each["AlarmName"] for each in (config.get("AutoRollbackConfiguration") or {}).get("Alarms", ())]
        routing = config.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
        wait = float(routing.get("WaitIntervalInSeconds", 0)) * self._settings.guardrail_time_scale
        old = endpoint.fleets
        for share in _shares(routing):
            with shelf.lock:
                if not endpoint.cancelled.is_set():
                    endpoint.fleets = (*((each, weight * (1 - share)) for each, weight in old), (fleet, share))
            self._bake(shelf, endpoint, alarms, wait)
        if alarms and not routing:
            self._bake(shelf, endpoint, alarms, 0.0)

    @staticmethod
    def _bake(shelf: Shelf, endpoint: Endpoint, alarms: list[str], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            if on := [alarm for alarm in alarms if ground.alarm_is_on(shelf.place, alarm)]:
                raise FleetFailed(f"One or more configured alarms went into ALARM during the deployment: {', '.join(on)}.")
            left = deadline - time.monotonic()
            if left <= 0 or endpoint.cancelled.wait(min(left, 0.2)):
                return

    def _taken_over(self, shelf: Shelf, endpoint: Endpoint, wanted: Deployment, fleet: Fleet) -> bool:
        """Make the fleet the one that serves, unless the cloud goes down meanwhile."""
        with shelf.lock:
            if not endpoint.cancelled.is_set():
                endpoint.fleets = ((fleet, 1.0),)
                endpoint.current, endpoint.pending, endpoint.config = wanted, None, wanted.config
                endpoint.failure_reason = None
                return True
        for replica in fleet.replicas:
            replica.stop(2.0)
        return False

    @staticmethod
    def _to_last_state(shelf: Shelf, endpoint: Endpoint) -> None:
        with shelf.lock:
            endpoint.become("InService")

    @staticmethod
    def _wait(endpoint: Endpoint, began: float, at_least: float) -> None:
        endpoint.cancelled.wait(max(0.0, at_least - (time.monotonic() - began)))


def _shares(routing: Any) -> list[float]:
    """The new fleet's share of the traffic at each step before the last."""
    kind = routing.get("Type")
    if kind == "CANARY":
        return [routing["CanarySize"]["Value"] / 100 if routing["CanarySize"]["Type"] == "CAPACITY_PERCENT" else 0.5, 1.0]
    if kind == "LINEAR":
        step = routing["LinearStepSize"]["Value"] if routing["LinearStepSize"]["Type"] == "CAPACITY_PERCENT" else 50
        return [min(1.0, done / 100) for done in range(step, 100 + step, step)]
    return [1.0] if kind == "ALL_AT_ONCE" else []
