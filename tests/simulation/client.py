"""The in-memory target's seam to the simulated cloud: retries, the claim, and the cloud's words as our errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from deployer.errors import Conflict, PermissionDenied, Refused, TargetUnavailable
from deployer.state import DeploymentName
from tests.simulation.service import Answer, LostAnswer, ServiceError
from tests.simulation.wire import Wire

BUCKET = "bucket"
TRIES = 4


@dataclass(frozen=True, slots=True)
class Client:
    """What the steps talk to. `run` is this run's id; `held` the name whose claim it wrote."""

    wire: Wire
    run: str
    held: DeploymentName | None = None
    adopts: frozenset[str] = frozenset()

    def ask(self, api: str, **parameters: Any) -> Answer:
        """A call, again while what goes wrong is transient.

        Raises:
            Refused, PermissionDenied: a definite no.
            TargetUnavailable: no answer in all tries.
        """
        return self._tried(api, parameters, guarded=False)

    def change(self, api: str, **parameters: Any) -> Answer:
        """The same for a record, a switch, a live change or a removal: only while this run holds its claim, which is read before each try.

        Raises:
            Conflict: a newer run took over.
        """
        return self._tried(api, parameters, guarded=True)

    def find(self, api: str, **parameters: Any) -> Answer | None:
        """The same as `ask`; None where there is no such thing."""
        try:
            return self.ask(api, **parameters)
        except NotFound:
            return None

    def wait(self, seconds: float) -> None:
        self.wire.wait(seconds)

    def hold(self, name: DeploymentName) -> Client:
        """Write the claim on `name`: from now on the newest run is this one."""
        self.ask("put_object", Bucket=BUCKET, Key=claim_key(name), Body=self.run.encode())
        return replace(self, held=name)

    def check(self) -> None:
        """Read the claim again.

        Raises:
            Conflict: it is another's, or gone.
        """
        if self.held is not None:
            found = self.find("get_object", Bucket=BUCKET, Key=claim_key(self.held))
            if found is None or found["Body"] != self.run.encode():
                raise Conflict(f"a newer run changes {self.held}", advice="look at what it made, then run the command again")

    def _tried(self, api: str, parameters: Mapping[str, Any], *, guarded: bool) -> Answer:
        for attempt in range(TRIES):
            if guarded:
                self.check()
            if attempt:
                self.wire.wait(2**attempt)
            try:
                return self.wire.call(api, **parameters)
            except LostAnswer as error:
                cause: Exception = error
            except ServiceError as error:
                if error.code != "ThrottlingException":
                    raise _ours(api, error) from error
                cause = error
        raise TargetUnavailable(f"{api} got no answer in {TRIES} tries", why=str(cause)) from cause


class NotFound(Refused):
    """There is no such thing in the cloud."""


def claim_key(name: str) -> str:
    return f"deployer/{name}/claim"


def _ours(api: str, error: ServiceError) -> Refused:
    if error.code in ("404", "NoSuchKey", "NoSuchUpload") or error.message.startswith("Could not find"):
        return NotFound(f"{api}: {error.message}")
    if error.code == "AccessDeniedException":
        return PermissionDenied(f"{api}: {error.message}")
    return Refused(f"{api}: {error.message}")
