"""The history of a deployment as a run writes it. What isn't written down stops no run: it is told, and the history says less."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from deployer.core import history
from deployer.core.capabilities import SupportsHistory
from deployer.core.state import DeploymentName, Observed, Provenance, Record
from deployer.core.target import Target
from deployer.errors import Conflict, DeployerError, DeploymentNotFound, Interrupted, MachineFault, PermissionDenied
from deployer.events import Noticed, Report
from deployer.words import rfc3339


class Diary:
    """Writes down one run: that it begins, and how it ended."""

    def __init__(self, target: Target[Any, Any], cloud: Any, name: DeploymentName, report: Report) -> None:
        self._target, self._cloud, self._name, self._report = target, cloud, name, report
        self._run, self._text = secrets.token_hex(8), ""

    def begin(self, verb: str, record: Record, provenance: Provenance, observed: Observed | None) -> None:
        """This run begins to bring a generation, where this is what is there."""
        model = record.model
        entry = history.HistoryEntry(self._run, verb, record.generation, model.uri, model.registered_name, model.version, model.run_id, provenance)
        if isinstance(self._target, SupportsHistory):
            try:
                before = self._target.history(self._name, self._cloud)
                self._text = self._keep(history.begun(before, entry, observed), before)
            except DeployerError as error:
                self._missed(error)

    def end(self, outcome: str, share: int | None = None) -> None:
        """It ended so; in the middle of a rollout, with this share. Where all is taken back there is no deployment to write it in."""
        if self._text:
            try:
                self._keep(history.ended(self._text, self._run, rfc3339(datetime.now(UTC)), outcome, share), self._text)
            except (Conflict, DeploymentNotFound):
                return  # whoever has the name now writes down the rest
            except DeployerError as error:
                self._missed(error)

    def fail(self, error: BaseException) -> None:
        """It ended by an error."""
        self.end(error.code if isinstance(error, DeployerError) else Interrupted.code)

    def _keep(self, text: str, before: str) -> str:
        assert isinstance(self._target, SupportsHistory)
        self._target.keep_history(self._name, text, before, self._cloud)
        return text

    def _missed(self, error: DeployerError) -> None:
        self._report(Noticed(level="warning", message=f"the history of {self._name} does not say it all: {error.message}"))


def rests(target: Target[Any, Any], cloud: Any, observed: Observed | None, generation: str) -> bool:
    """Whether this candidate was brought to its share by a run that ended before it said so. Where nobody may look, it wasn't."""
    if observed is None or observed.candidate != generation or not isinstance(target, SupportsHistory):
        return False
    try:
        entries = history.read(target.history(observed.name, cloud))
    except (MachineFault, PermissionDenied):
        return False
    return history.rests(entries, generation, observed.traffic[1].percent)
