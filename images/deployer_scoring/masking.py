"""Secrets in what is shown or kept: passwords in addresses, signed queries, tokens. The one place that knows them; the core uses it, too.

What an address may carry is masked by its form: user and password, and every value of a query whose name isn't known to be harmless. Libraries
quote addresses in pieces ("Invalid port: 'x'"), which have no form: what was seen as a secret in any address is masked wherever it stands.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Optional
from urllib.parse import unquote

MASK = "***"

# An address from its `://` on: user and password, and the rest as far as the next address. A password may hold quotes.
_ADDRESS = r"://([^\s/?#<>]*@)?((?:(?!://)[^\s\"'<>`])*)"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*$"
# user:password@host without a scheme, as in an image's reference; `name:tag@sha256:...` is none.
_BARE_USER = r"(?<![^\s\"'<>()\[\]{},=/])[^\s\"'<>()\[\]{},=/@:]+:([^\s\"'<>/@]+)@(?!sha\d+:)(?=[\w.-]+[.:/]|\[)"
_SECRET_NAME = (
    r"x-(?:amz|goog)-(?:signature|credential|security-token)|sig"
    r"|[\w.-]*?(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|accountkey|sharedaccesssignature)"
)
_NAMED = rf"(?i)(?<![\w.-])({_SECRET_NAME})=(?![(<$])(\"[^\"]*\"|'[^']*'|[^\s&;,\"'<>)]+)"
_KEYED = rf"(?i)([\"'])({_SECRET_NAME})\1(\s*:\s*)([\"'])((?:(?!\4).)*)\4"
_HEADER = r"(?i)(\bauthorization[\"']?\s*[:=]\s*[\"']?)((?:bearer|basic|token|negotiate)\s+)?[^\s\"',]+"

_HARMLESS = frozenset(
    {
        *("region", "version", "versionid", "api-version", "buildid", "timeout", "sslmode", "charset", "driver", "format", "ref", "branch"),
        *("egg", "subdirectory", "md5", "sha1", "sha224", "sha256", "sha384", "sha512"),
    }
)
"""Names in a query or fragment whose values are shown."""
# A name before the @ that is no password: git's over ssh, a container of Azure's storage, a profile of Databricks'.
_NAMES_BEFORE_AT = frozenset({"wasb", "wasbs", "abfs", "abfss", "ssh", "git+ssh"})
_PROFILES = frozenset({"databricks", "databricks-uc", "models", "runs", "dbfs", "uc"})
_MOST_LEARNED = 500

_learned: dict[str, None] = {}


def masked(text: str) -> str:
    """The text with `***` in the place of every secret."""
    _learn_from(text)
    if "://" in text:
        text = _pattern(_ADDRESS).sub(lambda match: _rewritten(match, MASK), text)
    if "@" in text:
        text = _pattern(_BARE_USER).sub(f"{MASK}@", text)
    if "=" in text:
        text = _pattern(_NAMED).sub(rf"\1={MASK}", text)
    if "'" in text or '"' in text:
        text = _pattern(_KEYED).sub(rf"\1\2\1\3\4{MASK}\4", text)
    if "uthorization" in text or "UTHORIZATION" in text:
        text = _pattern(_HEADER).sub(rf"\1\2{MASK}", text)
    return _known(tuple(_learned)).sub(MASK, text) if _learned else text


def masked_all(document: Any) -> Any:
    """A JSON-ready document with every text in it masked, keys too."""
    if isinstance(document, str):
        return masked(document)
    if isinstance(document, Mapping):
        return {masked(key) if isinstance(key, str) else key: _masked_value(key, value) for key, value in document.items()}
    if isinstance(document, (list, tuple)):
        return [masked_all(each) for each in document]
    return document


def without_secrets(text: str) -> str:
    """The text with secrets taken out of its addresses: still addresses, for who has the right to them otherwise."""
    text = _pattern(_ADDRESS).sub(lambda match: _rewritten(match, None), text)
    return _pattern(_BARE_USER).sub("", text)


def learn(*texts: Optional[str]) -> None:
    """Remember the secrets in addresses, for when a library quotes them in pieces."""
    for text in texts:
        _learn_from(text or "")


def _masked_value(key: object, value: Any) -> Any:
    secret = isinstance(value, str) and isinstance(key, str) and re.fullmatch(_SECRET_NAME, key, re.IGNORECASE)
    return MASK if secret and value else masked_all(value)


def _rewritten(match: re.Match[str], mask: Optional[str]) -> str:
    user, rest, tail = _parts(match)
    if user and not _harmless_user(match, user):
        user = f"{mask}@" if mask else ""
    address, _, fragment = rest.partition("#")
    path, _, query = address.partition("?")
    query = "&".join(_query(query, mask))
    fragment = "&".join(_query(fragment, mask)) if "=" in fragment else fragment
    return f"://{user}{path}{'?' if query else ''}{query}{'#' if fragment else ''}{fragment}{tail}"


def _parts(match: re.Match[str]) -> tuple[str, str, str]:
    """User with its @, the rest, and what ends a sentence behind it."""
    user, rest = match[1] or "", match[2]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if not user and "@" in rest and _pattern(r"[^\[\]:]*:(?!\d*$).*").fullmatch(authority):
        user, at, rest = rest.rpartition("@")  # a password with a slash, which is no port
        user += at
    end = len(rest.rstrip(".,;:)]}"))
    return user, rest[:end], rest[end:]


def _harmless_user(match: re.Match[str], user: str) -> bool:
    found = _pattern(_SCHEME).search(match.string, max(0, match.start() - 30), match.start())
    scheme = found[0].lower() if found else ""
    return scheme in _PROFILES or (scheme in _NAMES_BEFORE_AT and ":" not in user)


def _query(query: str, mask: Optional[str]) -> Iterator[str]:
    for part in re.split("[&;]", query):
        name, equals, value = part.partition("=")
        if name.lower() in _HARMLESS or (equals and not value):
            yield part
        elif mask and part:
            yield f"{name}={mask}" if equals else mask
        elif not mask and not re.fullmatch(_SECRET_NAME, name, re.IGNORECASE) and not _telling(value if equals else name):
            yield part  # an address that some parameter was taken from may be another


def _learn_from(text: str) -> None:
    for match in _pattern(_ADDRESS).finditer(text) if "://" in text else ():
        user, rest, _ = _parts(match)
        if user and not _harmless_user(match, user):
            name, colon, password = user[:-1].partition(":")
            _remember(password if colon else name)
        for part in re.split("[?#&;]", rest)[1:]:
            name, equals, value = part.partition("=")
            if name.lower() not in _HARMLESS:
                _remember(value if equals else name)
    for match in _pattern(_BARE_USER).finditer(text) if "@" in text else ():
        _remember(match[1])


def _remember(secret: str) -> None:
    for each in {secret, unquote(secret), *re.split("[/?#@:]", secret)}:  # who reads an address otherwise takes it apart there
        if _telling(each):
            _learned[each] = None
            if len(_learned) > _MOST_LEARNED:
                del _learned[next(iter(_learned))]


def _telling(secret: str) -> bool:
    """Whether it can be told from a word or a number, which would be masked wherever they stand."""
    return len(secret) >= 8 and not secret.isdigit() and not (secret.isalpha() and secret.islower())


@functools.lru_cache(maxsize=4)
def _known(secrets: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(secrets, key=len, reverse=True)
    return re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, longest_first))})(?![A-Za-z0-9])")


@functools.lru_cache(maxsize=64)
def _pattern(text: str) -> re.Pattern[str]:
    """Compiled when first needed: most commands show nothing that could be a secret."""
    return re.compile(text)
