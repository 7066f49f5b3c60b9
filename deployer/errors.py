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

from collections.abc import Iterator
from typing import Any, ClassVar, Self

from deployer_scoring.masking import masked
from deployer_scoring.printable import one_line, uncoloured


class DeployerError(Exception):
    """The base of all errors that a user sees. `str(error)` is all of it, so that a log which shows an exception shows what to do as well.

    Secrets in what it quotes are masked; `str(error)` steers no terminal.

    Attributes:
        definite: a definite no: what was asked for had no effect, so that what was made for it can be taken back. Where it is false, whether
            anything happened isn't known, or somebody else took over.
        code: the kind's stable name, a section of docs/errors.md.
        exit_code: what a command ends with.
        message: one sentence: what happened, where, and what the state is now.
        why: the cause in the words of whoever said it (a cloud, a container), one sentence.
        advice: what to do about it, as a sentence or a command; without one, what its kind usually takes.
        lines: the last lines of a container's log, where there are any.
    """

    code: ClassVar[str] = "internal-error"
    exit_code: ClassVar[int] = 1
    usual_advice: ClassVar[str] = "please report it with what --debug shows; the same command may be run again"
    definite: bool = False

    def __init__(self, message: str, *, why: str = "", advice: str = "", lines: tuple[str, ...] = (), definite: bool | None = None) -> None:
        self.message = masked(message)
        if definite is not None:
            self.definite = definite
        super().__init__(self.message)
        self.why = masked(why)
        self.advice = masked(advice) if advice else self.usual_advice
        self.lines = tuple(map(masked, lines))

    def __str__(self) -> str:
        return "\n".join((one_line(self.message), *self.details()))

    def __repr__(self) -> str:
        said = {"why": self.why, "advice": self.advice, "lines": self.lines}
        return f"{type(self).__name__}({', '.join((repr(self.message), *(f'{name}={value!r}' for name, value in said.items() if value)))})"

    def saying(self, message: str, *, advice: str = "") -> Self:
        """The same error in other words: how things stand by now."""
        return type(self)(message, why=self.why, advice=advice or self.advice, lines=self.lines, definite=self.definite)

    def details(self) -> Iterator[str]:
        """What follows the message, line by line: why, the container's last lines, what to do."""
        if self.why:
            yield f"Why: {one_line(self.why)}"
        if self.lines:
            yield "The container's last lines:"
            yield from (f"  | {one_line(uncoloured(line))}" for line in self.lines)
        if self.advice:
            yield f"What to do: {one_line(self.advice)}"

    def document(self) -> dict[str, Any]:
        """JSON-ready: what programs are given of it."""
        return {"code": self.code, "exit_code": self.exit_code, "message": self.message, "why": self.why, "advice": self.advice}


class ConfigInvalid(DeployerError):
    definite = True
    code = "config-invalid"
    exit_code = 2
    usual_advice = "correct it, then run the command again; --help lists what there is"


class ModelInvalid(DeployerError):
    definite = True
    code = "model-invalid"
    exit_code = 2
    usual_advice = "correct the model or save it again; deploy models check MODEL looks at it without deploying"


class EnvironmentMisfit(ModelInvalid):
    code = "environment-misfit"


class SchemaChangeRefused(DeployerError):
    definite = True
    code = "schema-change"
    exit_code = 2
    usual_advice = "--allow-schema-change deploys it all the same"


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
    usual_advice = "name another model: a directory, s3://, runs:/, models:/NAME/VERSION, ..."


class DeploymentNotFound(DeployerError):
    code = "deployment-not-found"
    exit_code = 3
    usual_advice = "deploy list shows what is there"


class DeploymentExists(DeployerError):
    code = "deployment-exists"
    exit_code = 3
    usual_advice = "deploy update changes it; deploy apply creates or updates"


class NotOurs(DeployerError):
    code = "not-ours"
    exit_code = 3
    usual_advice = "choose another name, or take it over with --adopt"


class Conflict(DeployerError):
    code = "conflict"
    exit_code = 3
    usual_advice = "deploy get shows what is there now; the same command starts from it"


class Refused(DeployerError):
    """A definite no to one call: it had no effect, and asking again won't help. Anything short of that is another error."""

    definite = True

    code = "refused"
    exit_code = 2
    usual_advice = "correct what is refused, then run the same command again"


class PermissionDenied(Refused):
    code = "permission-denied"
    exit_code = 4
    usual_advice = "deploy doctor looks at what is allowed; the target's page has the policy that is needed"


class CredentialsInvalid(PermissionDenied):
    code = "credentials-invalid"
    usual_advice = "log in again; the same command goes on from what is there"


class QuotaExceeded(Refused):
    code = "quota-exceeded"
    exit_code = 6
    usual_advice = "ask for more, or make do with less; the same command goes on from what is there"


class RolloutFailed(DeployerError):
    definite = True
    code = "rollout-failed"
    exit_code = 5
    usual_advice = "deploy logs has all that the container wrote; deploy run-local runs the same container on this machine"


class RollbackFailed(DeployerError):
    code = "rollback-failed"
    exit_code = 9
    usual_advice = "run the same command again, or delete the deployment: both go on from what is there"


class TargetUnavailable(DeployerError):
    code = "target-unavailable"
    exit_code = 6
    usual_advice = "nothing was undone: the same command goes on from what is there"


class TimedOut(DeployerError):
    code = "timed-out"
    exit_code = 7
    usual_advice = "the same command waits again; --timeout gives it longer"


class MachineFault(DeployerError):
    definite = True
    code = "machine-fault"
    exit_code = 10
    usual_advice = "mend that, then run the same command again: it goes on from what is there"


class SomeFailed(DeployerError):
    """Of several deployments; `outcomes` have what became of each: its `result` or its `error`."""

    outcomes: tuple[Any, ...] = ()

    code = "some-failed"
    exit_code = 11
    usual_advice = "the same command goes on with what is left"


class Interrupted(DeployerError):
    code = "interrupted"
    exit_code = 130
    usual_advice = "run the same command again: it goes on from what is there"
