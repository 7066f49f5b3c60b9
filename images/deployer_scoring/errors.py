"""What can go wrong in the runtime, in three kinds.

ScoringError
├── MLModelError     the model directory is not a valid model: names the file and the key
├── SchemaError      a signature is not valid, wherever it came from
├── LoadError        the model is valid, but could not be loaded here
├── InvalidInput     a request that the model can't take; answered with 4xx and the sentence
└── EncodingError    the model returned something that has no JSON form
"""

from __future__ import annotations

from typing import Optional

BAD_REQUEST = "BAD_REQUEST"
INVALID_PARAMETER_VALUE = "INVALID_PARAMETER_VALUE"
_LONGEST = 2000  # characters of a message: one that quotes a body or a file must not be as long as it


class ScoringError(Exception):
    """The root of the runtime's own errors."""


def _shortened(message: str) -> str:
    return message if len(message) <= _LONGEST else f"{message[: _LONGEST // 2]} … {message[-_LONGEST // 4 :]}"


class MLModelError(ScoringError):
    """A model directory that can't be served: which file, which key of it, what is wrong, what to do."""

    def __init__(self, file: str, key: Optional[str], message: str, advice: str = "") -> None:
        """Make the error.

        Args:
            file: Path of the file at fault, relative to the model's directory where it lies in it; `MLmodel:7` names a line.
            key: Dotted path of the key at fault, for example `flavors.python_function.loader_module`; None where no key is to blame.
            message: What is wrong, as a clause that follows the place.
            advice: What to do, as a sentence; empty where nothing is known.
        """
        self.file, self.key, self.message, self.advice = _shortened(file), key and _shortened(key), _shortened(message), advice
        place = f"{self.file}, {self.key}" if key else self.file
        super().__init__(f"{place}: {self.message}" + (f". {advice}" if advice else ""))

    def __reduce__(self) -> tuple[type, tuple[str, Optional[str], str, str]]:
        return type(self), (self.file, self.key, self.message, self.advice)


class SchemaError(ScoringError, ValueError):
    """A schema that breaks the rules of MLflow's signatures."""


class LoadError(ScoringError):
    """The model could not be loaded; the message is one line, fit to be the last of a container's log."""


class InvalidInput(ScoringError, ValueError):
    """A request's data that the model can't take.

    Attributes:
        status: The HTTP status of the answer.
        error_code: MLflow's name for the kind of error, in the answer's body.
        row: Which of the data's rows is at fault, from 0; None where that isn't known.
    """

    def __init__(self, message: str, *, error_code: str = BAD_REQUEST, status: int = 400, row: Optional[int] = None) -> None:
        super().__init__(_shortened(message))
        self.error_code, self.status, self.row = error_code, status, row


class ModelFailure(ScoringError):
    """The model raised; the message is the exception's type and its own message, the cause is chained.

    Attributes:
        stack: The cause's traceback as text, which also comes from another process; empty where there was none.
    """

    def __init__(self, message: str, *, stack: str = "") -> None:
        super().__init__(message)
        self.stack = stack


class EncodingError(ScoringError):
    """The model's answer has no JSON form."""


def kind_of(error: BaseException) -> str:
    """What an error is told as to other processes: the name of its class, or of the one above that it is a special case of."""
    return next((each.__name__ for each in type(error).__mro__ if each.__module__ == __name__), type(error).__name__)
