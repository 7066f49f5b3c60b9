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

from deployer_localstack.azure.account import CLIENT_ID, CLIENT_SECRET, TENANT, TENANT_ID
from deployer_localstack.azure.answers import AzureError, JsonAnswer
from deployer_localstack.azure.settings import AzureSettings

MANAGEMENT = ("https://management.azure.com", "https://management.core.windows.net", "https://ml.azure.com")
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
        if not hmac.compare_digest(form.get("client_secret", "").encode(), CLIENT_SECRET.encode()):
            raise _refused("invalid_client", 7000215, "Invalid client secret provided.", 401)
        scope = form.get("scope", "").split()[:1]
        if not scope or not scope[0].endswith("/.default"):
            raise _refused(
                "invalid_scope", 70011, f"The provided value for the input parameter 'scope' is not valid: '{form.get('scope', '')}'.", 400
            )
        life = int(self._settings.azure_token_seconds)
        audience = scope[0].removesuffix("/.default").rstrip("/")
        return JsonAnswer({"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": self.issue(audience, life)})

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
