"""What happens to an endpoint after a call was accepted: in a thread of its own, from state to state, as the real one does it.

Creating -> InService | Failed; Updating -> InService | RollingBack -> InService (old configuration, FailureReason); Deleting -> gone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from deployer_localstack.aws import ground
from deployer_localstack.aws.dataplane import Dataplane, Fleet, FleetFailed, VariantPlan
from deployer_localstack.aws.errors import AwsError
from deployer_localstack.aws.sagemaker import guardrails
from deployer_localstack.aws.sagemaker.guardrails import Guardrails
from deployer_localstack.aws.sagemaker.store import DeployedConfig, Endpoint, RegionStore, Stage, StoredResource
from deployer_localstack.aws.settings import AwsSettings


@dataclass(slots=True)
class _Move:
    """An update on its way: what serves, what the caller asked for, and what shall serve once that answers."""

    old: tuple[tuple[Fleet, float], ...]
    asked: Guardrails
    fleet: Fleet | None = None
    began: float = field(default_factory=time.monotonic)


class Rollouts:
    """Runs the threads; `close` ends them all and their containers."""

    def __init__(self, settings: AwsSettings, dataplane: Dataplane) -> None:
        self._settings = settings
        self._dataplane = dataplane
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def create(self, shelf: RegionStore, endpoint: Endpoint) -> None:
        self._in_thread("create", shelf, endpoint, self._create)

    def update(self, shelf: RegionStore, endpoint: Endpoint) -> None:
        self._in_thread("update", shelf, endpoint, self._update)

    def rescale(self, shelf: RegionStore, endpoint: Endpoint) -> None:
        self._in_thread("rescale", shelf, endpoint, self._rescale)

    def delete(self, shelf: RegionStore, endpoint: Endpoint) -> None:
        self._in_thread("delete", shelf, endpoint, self._delete)

    def close(self, shelves: list[RegionStore]) -> None:
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

    def _in_thread(self, verb: str, shelf: RegionStore, endpoint: Endpoint, work: Callable[[RegionStore, Endpoint], None]) -> None:
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

    def _create(self, shelf: RegionStore, endpoint: Endpoint) -> None:
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

    def _update(self, shelf: RegionStore, endpoint: Endpoint) -> None:
        wanted = endpoint.pending
        assert wanted is not None
        move = _Move(endpoint.fleets, guardrails.read(endpoint.last_deployment_config, wanted))
        try:
            move.fleet = self._bring_up(shelf, endpoint, wanted)
            self._wait(endpoint, move.began, self._settings.updating_seconds)
            self._shift(shelf, endpoint, move)
        except FleetFailed as failed:
            self._wait(endpoint, move.began, self._settings.updating_seconds)
            self._roll_back(shelf, endpoint, move, str(failed))
            return
        if self._taken_over(shelf, endpoint, wanted, move.fleet):
            self._to_last_state(shelf, endpoint)
            for each, _ in move.old:
                each.retire(self._settings.drain_seconds)

    def _shift(self, shelf: RegionStore, endpoint: Endpoint, move: _Move) -> None:
        """Traffic from the old fleet to the new one as the guardrails say; the old one then stays for as long as they ask."""
        asked = move.asked
        wait = asked.wait_seconds * self._settings.guardrail_time_scale
        for share in asked.shares:
            self._refuse_late(move)
            self._divide(shelf, endpoint, move, Stage("Baking" if wait else "ActivatingTraffic", share, asked.rolling))
            self._bake(shelf, endpoint, asked.alarms, wait)
        self._divide(shelf, endpoint, move, Stage("Deleting", 1.0, asked.rolling))
        endpoint.cancelled.wait(asked.termination_wait_seconds * self._settings.guardrail_time_scale)

    def _roll_back(self, shelf: RegionStore, endpoint: Endpoint, move: _Move, reason: str) -> None:
        began, asked = time.monotonic(), move.asked
        with shelf.lock:
            share = endpoint.pending.stage.share if endpoint.pending else 0.0
            endpoint.become("RollingBack")
        while share > asked.back + 1e-9 and not endpoint.cancelled.is_set():
            share -= asked.back
            self._divide(shelf, endpoint, move, Stage("Deleting", share, asked.rolling))
            endpoint.cancelled.wait(asked.wait_seconds * self._settings.guardrail_time_scale)
        with shelf.lock:
            endpoint.fleets = () if endpoint.cancelled.is_set() else move.old
        self._wait(endpoint, began, self._settings.rolling_back_seconds)
        with shelf.lock:
            endpoint.pending, endpoint.failure_reason = None, reason
            endpoint.become("InService")
        if move.fleet:
            move.fleet.retire(self._settings.drain_seconds)

    def _refuse_late(self, move: _Move) -> None:
        limit = move.asked.limit_seconds
        if limit is not None and time.monotonic() - move.began > limit * self._settings.execution_timeout_scale:
            raise FleetFailed(f"The deployment exceeded its maximum execution timeout of {limit:.0f} seconds.")

    @staticmethod
    def _divide(shelf: RegionStore, endpoint: Endpoint, move: _Move, stage: Stage) -> None:
        """Send the new fleet its share of the traffic from now on."""
        with shelf.lock:
            if endpoint.cancelled.is_set() or endpoint.pending is None or move.fleet is None:
                return
            old = ((each, weight * (1 - stage.share)) for each, weight in move.old if stage.share < 1)
            endpoint.fleets = (*old, (move.fleet, stage.share))
            endpoint.pending.stage = stage

    def _rescale(self, shelf: RegionStore, endpoint: Endpoint) -> None:
        self._wait(endpoint, time.monotonic(), self._settings.updating_seconds)
        with shelf.lock:
            assert endpoint.current is not None
            variants = {variant.name: variant for variant in endpoint.current.variants}
            for fleet, _ in endpoint.fleets:
                for replica in fleet.replicas:
                    if variant := variants.get(replica.variant):
                        replica.weight, replica.instances = variant.weight, variant.count or 1
        self._to_last_state(shelf, endpoint)

    def _delete(self, shelf: RegionStore, endpoint: Endpoint) -> None:
        began = time.monotonic()
        with shelf.lock:
            fleets, endpoint.fleets = endpoint.fleets, ()
        for fleet, _ in fleets:
            fleet.retire(1.0)
        self._wait(endpoint, began, self._settings.deleting_seconds)
        with shelf.lock:
            shelf.endpoints.pop(endpoint.name, None)

    def _bring_up(self, shelf: RegionStore, endpoint: Endpoint, wanted: DeployedConfig) -> Fleet:
        plans = [
            VariantPlan(
                endpoint.name,
                {**variant.document, "InitialVariantWeight": variant.weight, "InitialInstanceCount": variant.count or 1},
                self._model(shelf, endpoint, variant.model).document,
            )
            for variant in wanted.variants
        ]
        try:
            fleet = self._dataplane.start(shelf.place, wanted.config, plans, endpoint.cancelled)
        except (AwsError, OSError) as broken:
            logging.getLogger(__name__).exception("the containers of endpoint %s could not be started", endpoint.name)
            raise FleetFailed(f"The local cloud could not start the containers: {broken}") from broken
        for variant, replica in zip(wanted.variants, fleet.replicas, strict=True):
            variant.images = ((replica.image.specified, replica.image.resolved),)
        return fleet

    def _model(self, shelf: RegionStore, endpoint: Endpoint, name: str) -> StoredResource:
        """The model; one that is gone leaves the endpoint hanging for a while, as the real service does."""
        try:
            return shelf.model(name)
        except AwsError as gone:
            endpoint.cancelled.wait(self._settings.missing_model_seconds)
            raise FleetFailed(gone.message) from gone

    def _bake(self, shelf: RegionStore, endpoint: Endpoint, alarms: Sequence[str], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            if on := ground.alarms_on(shelf.place, alarms, self._settings.alarm_time_scale):
                raise FleetFailed(f"One or more configured alarms went into ALARM during the deployment: {', '.join(on)}.")
            left = deadline - time.monotonic()
            if left <= 0 or endpoint.cancelled.wait(min(left, 0.2)):
                return

    def _taken_over(self, shelf: RegionStore, endpoint: Endpoint, wanted: DeployedConfig, fleet: Fleet) -> bool:
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
    def _to_last_state(shelf: RegionStore, endpoint: Endpoint) -> None:
        with shelf.lock:
            endpoint.become("InService")

    @staticmethod
    def _wait(endpoint: Endpoint, began: float, at_least: float) -> None:
        endpoint.cancelled.wait(max(0.0, at_least - (time.monotonic() - began)))
