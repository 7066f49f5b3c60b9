"""The models that a server has, by name, and whether requests should come at all: what every protocol asks of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from deployer_scoring.errors import InvalidInput, ScoringError
from deployer_scoring.server.settings import ServerSettings

if TYPE_CHECKING:
    from deployer_scoring.server.predict.dispatch import Dispatcher


class NotReady(ScoringError):
    """The server can't answer yet, or no longer."""


class Catalog:
    """One model, or those of a multi-model endpoint (then none to begin with). Belongs to the event loop."""

    def __init__(self, settings: ServerSettings) -> None:
        """Make it, with no model.

        Args:
            settings: Names that are told to clients, and whether there are several models.
        """
        self.settings = settings
        self.model: Optional[Dispatcher] = None
        """The one model, once it is loaded; None where there are several."""
        self.models: dict[str, Dispatcher] = {}
        """Of a multi-model endpoint, by name."""
        self.loading = "the server is starting"
        """What is being done before the first answer, in words."""
        self.draining = False

    @property
    def several(self) -> bool:
        """Whether this is a multi-model endpoint."""
        return self.settings.multi_model

    @property
    def names(self) -> list[str]:
        """The names of the models that are served, sorted."""
        return sorted(self.models) if self.several else [self.settings.model_name or "model"]

    @property
    def dispatchers(self) -> list[Dispatcher]:
        """All that are loaded, for who ends or sweeps them."""
        return [*self.models.values(), *([] if self.model is None else [self.model])]

    def unavailable(self) -> Optional[str]:
        """Why no new request should come; None where they are answered."""
        if self.draining:
            return "the server is stopping"
        return self.loading if self.model is None and not self.several else None

    def only(self) -> Dispatcher:
        """The one model.

        Raises:
            InvalidInput: There are several (404).
            NotReady: It is loading.
        """
        if self.model is None:
            if self.several:
                raise InvalidInput("this server has several models: POST to /models/NAME/invoke", status=404, error_code="ENDPOINT_NOT_FOUND")
            raise NotReady(self.unavailable() or self.loading)
        return self.model

    def named(self, name: str, version: Optional[str] = None) -> Dispatcher:
        """The model of a name; where the server was told none, its one model has any.

        Raises:
            InvalidInput: There is no such model, or not in that version (404).
            NotReady: It is loading.
        """
        known = name in self.models if self.several else (self.settings.model_name or name) == name
        if not known or (version or self.settings.model_version) != self.settings.model_version:
            wanted = name if version is None else f"{name} in version {version}"
            there = ", ".join(self.names) or "none"
            raise InvalidInput(f"there is no model {wanted} here; there is {there}", status=404, error_code="RESOURCE_DOES_NOT_EXIST")
        return self.models[name] if self.several else self.only()
