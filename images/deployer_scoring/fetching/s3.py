"""S3 by signed requests (AWS Signature Version 4), with the identity that AWS gives a pod."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple, Optional
from urllib.parse import quote, urlencode, urlsplit

from deployer_scoring.errors import LoadError
from deployer_scoring.fetching.identity import EARLY
from deployer_scoring.fetching.web import FileAddress, fetched

_UNSIGNED = "UNSIGNED-PAYLOAD"
_NODE = "http://169.254.169.254/latest"
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")
_NEAR = 2.0


class Keys(NamedTuple):
    """What requests are signed with."""

    access: str
    secret: str
    token: str = ""
    end: float = float("inf")


class SignedBucket:
    """What lies below a key of a bucket."""

    def __init__(self, bucket: str, key: str, environ: Mapping[str, str]) -> None:
        self._bucket, self._key, self._environ = bucket, key, environ
        self._endpoint = next((environ[each] for each in _ENDPOINTS if environ.get(each)), "")
        self._region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        self._keys: Optional[Keys] = None
        self._asked, self._lock = False, threading.Lock()

    def address(self, path: str) -> FileAddress:
        url = self._url("/".join(filter(None, (self._key, path))))
        keys = self._current()
        return FileAddress(url, signed(url, self._region, keys, datetime.now(timezone.utc)) if keys else {})

    def learn(self, refusal: urllib.error.HTTPError) -> bool:
        """A bucket's own region, which S3 names where another was asked."""
        region = refusal.headers.get("x-amz-bucket-region") if refusal.headers else None
        if not region or self._endpoint or f".{region}." in str(refusal.url):
            return False
        self._region = region  # another thread may have learnt it before this one
        return True

    def _url(self, key: str) -> str:
        if self._endpoint:
            return f"{self._endpoint.rstrip('/')}/{self._bucket}/{quote(key)}"
        host = f"s3.{self._region}.{_domain(self._region)}"
        return f"https://{host}/{self._bucket}/{quote(key)}" if "." in self._bucket else f"https://{self._bucket}.{host}/{quote(key)}"

    def _current(self) -> Optional[Keys]:
        with self._lock:
            if not self._asked or (self._keys and time.time() > self._keys.end - EARLY):
                self._keys, self._asked = keys_of(self._environ, self._region), True
            return self._keys


def keys_of(environ: Mapping[str, str], region: str) -> Optional[Keys]:
    """Those of the environment, of the service account's role, of EKS Pod Identity or of the node, in this order; None where nobody gives any.

    Raises:
        LoadError: AWS refuses the role.
    """
    if environ.get("AWS_ACCESS_KEY_ID"):
        return Keys(environ["AWS_ACCESS_KEY_ID"], environ.get("AWS_SECRET_ACCESS_KEY", ""), environ.get("AWS_SESSION_TOKEN", ""))
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") and environ.get("AWS_ROLE_ARN"):
        return _of_role(environ, region)
    if environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") or environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        return _of_container(environ)
    return None if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true" else _of_node()


def signed(url: str, region: str, keys: Keys, now: datetime) -> dict[str, str]:
    """The headers that a GET of an address needs."""
    parts, stamp = urlsplit(url), now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": parts.netloc, "x-amz-content-sha256": _UNSIGNED, "x-amz-date": stamp}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join(("GET", parts.path, parts.query, lines, names, _UNSIGNED))
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{keys.secret}".encode()
    for each in (stamp[:8], region, "s3", "aws4_request"):
        key = hmac.new(key, each.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    del headers["host"]
    return {**headers, "Authorization": f"AWS4-HMAC-SHA256 Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={signature}"}


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def _of_role(environ: Mapping[str, str], region: str) -> Keys:
    asked = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": environ["AWS_ROLE_ARN"],
        "RoleSessionName": environ.get("AWS_ROLE_SESSION_NAME") or "deployer-scoring",
        "WebIdentityToken": Path(environ["AWS_WEB_IDENTITY_TOKEN_FILE"]).read_text(encoding="utf-8").strip(),
    }
    endpoint = environ.get("AWS_ENDPOINT_URL_STS") or environ.get("AWS_ENDPOINT_URL") or f"https://sts.{region}.{_domain(region)}"
    try:
        said = fetched(urllib.request.Request(endpoint.rstrip("/") + "/", data=urlencode(asked).encode())).decode()
    except OSError as error:
        raise LoadError(f"AWS doesn't let the pod's service account assume {environ['AWS_ROLE_ARN']}: {error}") from error
    found = {name: re.search(f"<{name}>([^<]+)</{name}>", said) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")}
    access, secret, token, end = (each.group(1) if each else "" for each in found.values())
    return Keys(access, secret, token, _time(end))


def _of_container(environ: Mapping[str, str]) -> Keys:
    url = environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") or f"http://169.254.170.2{environ['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI']}"
    token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    if file := environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        token = Path(file).read_text(encoding="utf-8").strip()
    try:
        return _keys(fetched(urllib.request.Request(url, headers={"Authorization": token} if token else {})))
    except (OSError, ValueError, KeyError) as error:
        raise LoadError(f"EKS gives the pod's service account no credentials: {error}") from error


def _of_node() -> Optional[Keys]:
    try:
        ask = urllib.request.Request(f"{_NODE}/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "21600"})
        headers = {"X-aws-ec2-metadata-token": fetched(ask, _NEAR).decode()}
        place = f"{_NODE}/meta-data/iam/security-credentials/"
        role = fetched(urllib.request.Request(place, headers=headers), _NEAR).decode().split()[0]
        return _keys(fetched(urllib.request.Request(place + role, headers=headers), _NEAR))
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _keys(document: bytes) -> Keys:
    said = json.loads(document)
    return Keys(said["AccessKeyId"], said["SecretAccessKey"], said.get("Token", ""), _time(said.get("Expiration", "")))


def _time(text: str) -> float:
    try:
        return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return float("inf")
