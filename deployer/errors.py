"""What can go wrong, as a tree; each class has a stable code (a section of docs/errors.md) and an exit code.

DeployerError                       1    a fault of ours, where nothing more exact is known
├── ConfigInvalid                   2    wrong use: an option, a config file, a URI, a name
├── ModelInvalid                    2    the model can't be served as it is
│   └── EnvironmentMisfit           2    the image doesn't have what the model needs
├── SchemaChangeRefused             2    the new signature breaks callers of the one in service
├── ExtraMissing                    2    an optional dependency of this tool isn't installed
├── ModelNotFound                   3    no model at that URI
├── DeploymentNotFound              3
├── DeploymentExists                3
├── NotOurs                         3    a resource carries the name, but somebody else made it
├── Conflict                        3    somebody else changes the same deployment
├── Refused                         2    the cloud says a definite no to one call; the classes below say why
│   ├── PermissionDenied            4
│   │   └── CredentialsInvalid      4    none, expired or wrong
│   └── QuotaExceeded               6
├── RolloutFailed                   5    the new generation can't serve; the last good one does
├── RollbackFailed                  9    and the way back failed too
├── TargetUnavailable               6    the cloud, a registry or docker can't be reached, or throttles past the deadline
├── TimedOut                        7    the cloud goes on; the same command resumes
├── MachineFault                   10    this machine: disk full, port taken, no such file
└── Interrupted                   130
"""

from __future__ import annotations

from typing import ClassVar


class DeployerError(Exception):
    """The base of all errors that a user sees.

    Args:
        message: one sentence: what happened, where, and what the state is now.
        why: the cause in the words of whoever said it (a cloud, a container), one sentence.
        advice: what to do about it, as a sentence or a command.
        lines: the last lines of a container's log, where there are any.
    """

    code: ClassVar[str] = "internal-error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, why: str = "", advice: str = "", lines: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.why = why
        self.advice = advice
        self.lines = lines


class ConfigInvalid(DeployerError):
    code = "config-invalid"
    exit_code = 2


class ModelInvalid(DeployerError):
    code = "model-invalid"
    exit_code = 2


class EnvironmentMisfit(ModelInvalid):
    code = "environment-misfit"


class SchemaChangeRefused(DeployerError):
    code = "schema-change"
    exit_code = 2


class ExtraMissing(DeployerError):
    code = "extra-missing"
    exit_code = 2

    @classmethod
    def named(cls, extra: str, needed_for: str) -> ExtraMissing:
        """The error for `needed_for` when the optional dependencies called `extra` are not installed."""
        return cls(f"{needed_for} needs optional dependencies that are not installed", advice=f'pip install "deployer-ml[{extra}]"')


class ModelNotFound(DeployerError):
    code = "model-not-found"
    exit_code = 3


class DeploymentNotFound(DeployerError):
    code = "deployment-not-found"
    exit_code = 3


class DeploymentExists(DeployerError):
    code = "deployment-exists"
    exit_code = 3


class NotOurs(DeployerError):
    code = "not-ours"
    exit_code = 3


class Conflict(DeployerError):
    code = "conflict"
    exit_code = 3


class Refused(DeployerError):
    """A definite no to one call: it had no effect, and asking again won't help. Anything short of that is another error."""

    code = "refused"
    exit_code = 2


class PermissionDenied(Refused):
    code = "permission-denied"
    exit_code = 4


class CredentialsInvalid(PermissionDenied):
    code = "credentials-invalid"


class QuotaExceeded(Refused):
    code = "quota-exceeded"
    exit_code = 6


class RolloutFailed(DeployerError):
    code = "rollout-failed"
    exit_code = 5


class RollbackFailed(DeployerError):
    code = "rollback-failed"
    exit_code = 9


class TargetUnavailable(DeployerError):
    code = "target-unavailable"
    exit_code = 6


class TimedOut(DeployerError):
    code = "timed-out"
    exit_code = 7


class MachineFault(DeployerError):
    code = "machine-fault"
    exit_code = 10


class Interrupted(DeployerError):
    code = "interrupted"
    exit_code = 130
