"""Microsoft Entra ID: discovery, tokens for the one application, and whether a request carries one.

Codes and words: documented, "Microsoft Entra authentication and authorization error codes"; the shape of answers: seen with msal 1.39.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from deployer_localstack.azure.account import CLIENT_ID, CLIENT_SECRET, IDENTITY_HEADER, TENANT, TENANT_ID
from deployer_localstack.azure.answers import AzureError, JsonAnswer
from deployer_localstack.azure.settings import AzureSettings

MANAGEMENT = ("https://management.azure.com", "https://management.core.windows.net", "https://ml.azure.com")
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ISSUER, _SUBJECT, _EXCHANGE = "cluster", "system:serviceaccount:local:deployer", "api://AzureADTokenExchange"
"""Of the one federated credential that the application has: documented, "Configure an app to trust an external identity provider"."""
_PARTS = {"iss": "issuer", "sub": "subject", "aud": "audience"}
STORAGE = ("https://storage.azure.com",)


class Entra:
    """Issues tokens, and knows its own again."""

    def __init__(self, settings: AzureSettings) -> None:
        self._settings = settings
        self._key = secrets.token_bytes(32)
        self.url = ""
        """Of the local Azure, which is one audience of ARM's tokens."""

    def discovery(self, url: str, tenant: str) -> JsonAnswer:
        """The OpenID configuration of a tenant."""
        _known(tenant)
        root = f"{url}/{tenant}"
        return JsonAnswer(
            {
                "issuer": f"{root}/v2.0",
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "token_endpoint": f"{root}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{root}/discovery/v2.0/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
                "response_types_supported": ["code", "id_token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    def token(self, tenant: str, form: Mapping[str, str]) -> JsonAnswer:
        """What the token endpoint gives for a client's secret."""
        _known(tenant)
        if form.get("grant_type") != "client_credentials":
            raise _refused("unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{form.get('grant_type', '')}'.", 400)
        if form.get("client_id") != CLIENT_ID:
            raise _refused(
                "unauthorized_client", 700016, f"Application with identifier '{form.get('client_id', '')}' was not found in the directory.", 400
            )
        if form.get("client_assertion_type") == _ASSERTION:
            self._check_assertion(form.get("client_assertion", ""))
        elif not hmac.compare_digest(form.get("client_secret", "").encode(), CLIENT_SECRET.encode()):
            raise _refused("invalid_client", 7000215, "Invalid client secret provided.", 401)
        scope = form.get("scope", "").split()[:1]
        if not scope or not scope[0].endswith("/.default"):
            raise _refused(
                "invalid_scope", 70011, f"The provided value for the input parameter 'scope' is not valid: '{form.get('scope', '')}'.", 400
            )
        life = int(self._settings.azure_token_seconds)
        audience = scope[0].removesuffix("/.default").rstrip("/")
        return JsonAnswer({"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": self.issue(audience, life)})

    def managed(self, query: Mapping[str, str], headers: Mapping[str, str]) -> JsonAnswer:
        """What the endpoint of managed identities gives, in the form that a machine asks in, or an App Service.

        Documented: "How to use managed identities for Azure resources on an Azure VM to acquire an access token", "How to use managed identities for
        App Service and Azure Functions"; words shortened.
        """
        if headers.get("X-IDENTITY-HEADER") != IDENTITY_HEADER and headers.get("Metadata", "").lower() != "true":
            raise AzureError("invalid_request", "Required metadata header not specified.")
        if query.get("client_id", CLIENT_ID) != CLIENT_ID:
            raise AzureError("invalid_request", "Identity not found.")
        resource, life = query.get("resource", ""), int(self._settings.azure_token_seconds)
        if not resource:
            raise AzureError("invalid_request", "Required query variable 'resource' is missing.")
        until = str(int(time.time()) + life)
        told = {"resource": resource, "token_type": "Bearer", "client_id": CLIENT_ID, "expires_in": str(life), "expires_on": until}
        return JsonAnswer({**told, "access_token": self.issue(resource.removesuffix("/.default").rstrip("/"), life)})

    def federated_token(self) -> str:
        """A service account's token, which the application trusts; good for a year, since nobody renews it."""
        return self._signed({"iss": f"{self.url}/{_ISSUER}", "sub": _SUBJECT, "aud": _EXCHANGE, "exp": int(time.time()) + 365 * 86400})

    def _check_assertion(self, assertion: str) -> None:
        claims = self._claims(f"Bearer {assertion}")
        if claims is None:
            raise _refused("invalid_client", 50013, "Assertion failed signature validation.", 401)
        for number, part, trusted in ((700211, "iss", f"{self.url}/{_ISSUER}"), (700213, "sub", _SUBJECT), (700212, "aud", _EXCHANGE)):
            if claims.get(part) != trusted:
                message = f"No matching federated identity record found for presented assertion {_PARTS[part]} '{claims.get(part)}'."
                raise _refused("invalid_client", number, message, 401)
        if claims["exp"] < time.time():
            raise _refused("invalid_client", 700024, "Client assertion is not within its valid time range.", 401)

    def check_management(self, authorization: str, url: str) -> None:
        """Return if a request to ARM carries a token for it.

        Raises:
            AzureError: it carries none, one of somebody else, or one whose time is over.
        """
        if not authorization:
            raise _unauthenticated("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.", url)
        claims = self._claims(authorization)
        if claims is None:
            raise _unauthenticated("InvalidAuthenticationToken", "The access token is invalid.", url)
        if claims["exp"] < time.time():
            raise _unauthenticated("ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than current UTC time.", url)
        if claims["aud"] not in (url, *MANAGEMENT):
            raise _unauthenticated(
                "InvalidAuthenticationTokenAudience", f"The access token has been obtained for wrong audience '{claims['aud']}'.", url
            )

    def is_for_management(self, authorization: str) -> bool:
        """Whether it is a token for ARM, at this address or at its public ones, in time."""
        claims = self._claims(authorization)
        return claims is not None and claims["aud"] in (self.url, *MANAGEMENT) and claims["exp"] >= time.time()

    def is_for(self, authorization: str, audiences: Collection[str]) -> bool:
        """Whether it is a token of ours for one of these, in time."""
        claims = self._claims(authorization)
        return claims is not None and claims["aud"] in audiences and claims["exp"] >= time.time()

    def issue(self, audience: str, life: int) -> str:
        """A token for an audience, good for so many seconds."""
        now = int(time.time())
        claims = {"aud": audience, "iss": f"https://sts/{TENANT_ID}/", "iat": now, "nbf": now, "exp": now + life}
        claims |= {"appid": CLIENT_ID, "oid": CLIENT_ID, "sub": CLIENT_ID, "tid": TENANT_ID, "uti": uuid.uuid4().hex, "ver": "1.0"}
        return self._signed(claims)

    def _signed(self, claims: Mapping[str, Any]) -> str:
        signed = b".".join(_encoded(json.dumps(each).encode()) for each in ({"typ": "JWT", "alg": "HS256"}, claims))
        return (signed + b"." + self._signature(signed)).decode()

    def _claims(self, authorization: str) -> dict[str, Any] | None:
        """Of a token that we have signed; None for any other."""
        kind, _, token = authorization.partition(" ")
        signed, _, signature = token.encode().rpartition(b".")
        if kind.lower() != "bearer" or not hmac.compare_digest(signature, self._signature(signed)):
            return None
        payload = signed.partition(b".")[2]
        return dict(json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))))

    def _signature(self, signed: bytes) -> bytes:
        return _encoded(hmac.digest(self._key, signed, hashlib.sha256))


def _encoded(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def _known(tenant: str) -> None:
    if tenant.lower() not in {TENANT, TENANT_ID}:
        raise _refused("invalid_tenant", 90002, f"Tenant '{tenant}' not found.", 400)


def _refused(error: str, number: int, message: str, status: int) -> AzureError:
    return AzureError(error, f"AADSTS{number}: {message}", status)


def refusal_document(error: AzureError) -> dict[str, Any]:
    """A refusal in OAuth's words."""
    number = error.message.partition(":")[0].removeprefix("AADSTS")
    codes = [int(number)] if number.isdigit() else []
    return {"error": error.code, "error_description": error.message, "error_codes": codes, "trace_id": str(uuid.uuid4())}


def _unauthenticated(code: str, message: str, url: str) -> AzureError:
    challenge = f'Bearer authorization_uri="{url}/{TENANT}", error="invalid_token", error_description="{message}"'
    return AzureError(code, message, 401, headers={"WWW-Authenticate": challenge})
