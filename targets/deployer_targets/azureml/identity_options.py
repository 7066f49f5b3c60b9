"""As whom an endpoint's containers act, under Azure's own names."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_ID = re.compile(r"/subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft\.managedidentity/userassignedidentities/[^/]+", re.IGNORECASE)


class UserAssignedIdentity(BaseModel):
    """A managed identity that is there already."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    resource_id: str = Field(description="Its ARM id, as az identity show prints it.")

    @field_validator("resource_id")
    @classmethod
    def _is_one(cls, value: str) -> str:
        if not _ID.fullmatch(value):
            form = "/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.ManagedIdentity/userAssignedIdentities/NAME"
            raise ValueError(f"{value!r} is not the ARM id of a managed identity: {form}")
        return value


class EndpointIdentity(BaseModel):
    """The identity of an endpoint, which Azure can't change later."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["system_assigned", "user_assigned"] = Field(default="system_assigned", description="Azure makes one, or those that are named.")
    user_assigned_identities: tuple[UserAssignedIdentity, ...] = Field(default=(), description="user_assigned: a resource_id each.")

    @model_validator(mode="after")
    def _named_where_assigned(self) -> Self:
        if self.type == "user_assigned" and not self.user_assigned_identities:
            raise ValueError("type user_assigned needs user_assigned_identities: a list with resource_id")
        if self.type == "system_assigned" and self.user_assigned_identities:
            raise ValueError("user_assigned_identities: only with type user_assigned")
        return self
