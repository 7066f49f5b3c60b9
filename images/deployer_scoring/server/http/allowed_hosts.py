"""Which requests a server that listens for this machine alone answers: those of its own programs and pages, not those of a page from elsewhere.

A browser carries any page's requests to 127.0.0.1: by a form, a script or a picture, or under a name of the page's own that its author
lets point there (DNS rebinding). It can't hide that: Host has the name that the page used, Origin and Sec-Fetch-Site say where the page
comes from. Programs (boto3, curl, docker, requests) send neither of the last two. The local cloud and the `local` target ask here, too.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Optional, Set

ANY, LOOPBACK = "*", "loopback"
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_-][a-z0-9._-]*)(?::[0-9]{1,5})?")
_LOOPBACK_IN_IPV6 = (b"\0" * 15 + b"\1", b"\0" * 10 + b"\xff\xff\x7f")  # ::1, and what begins as ::ffff:127.0.0.0/104 does
_OWN = frozenset({"none", "same-origin"})


class AllowedHosts:
    """The rule of one server."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Make it.

        Args:
            names: Of the server, beside loopback's: without ports.
        """
        self._names = frozenset(_plain(name) for name in names)

    @classmethod
    def of(cls, setting: str, address: str, host: str = "") -> Optional[AllowedHosts]:
        """The rule of a server that listens at an address; None where everybody may ask it under any name.

        Args:
            setting: `*`, `loopback`, or names with commas between; empty: `loopback` where the address is this machine's alone, else `*`.
            address: As the system knows it.
            host: How the server was told the address.
        """
        names = {_plain(name) for name in setting.split(",") if name.strip()}
        here = _is_loopback(f"[{address}]" if ":" in address else address)
        if ANY in names or not (names or here):
            return None
        own = {host} if here else _own_addresses() if LOOPBACK in names else set()
        return cls((names - {LOOPBACK}) | own)

    def refusal(self, method: str, target: str, headers: Mapping[str, str]) -> Optional[str]:
        """Why a request isn't answered; None where it is.

        Args:
            method: GET, POST and so on.
            target: What follows the method: a path, or a URL as proxies get it.
            headers: Names in lower case; one that came several times has its values joined by commas.
        """
        host = headers.get("host")
        for name in (host, _authority_of(target)):
            # HTTP/1.0 may leave Host out, and no browser does.
            if name is not None and not self._knows(name):
                return f"this server listens for its own machine alone, and doesn't know the name {name[:100]!r}: ask it as localhost"
        origin = headers.get("origin")
        if origin is not None and (host is None or origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}")):
            return f"this server listens for its own machine alone, and answers no page of {origin[:100]!r}"
        if headers.get("sec-fetch-site", "none") not in _OWN and not _is_visit(method, headers):
            return "this server listens for its own machine alone, and answers no page from elsewhere"
        return None

    def _knows(self, authority: str) -> bool:
        return _is_loopback(authority) or _name_in(authority) in self._names


@lru_cache(maxsize=256)
def _is_loopback(authority: str) -> bool:
    """Whether HOST:PORT, or a host alone, is one of this machine's own: localhost, what ends in it, 127.0.0.0/8 and [::1]."""
    name = _name_in(authority)
    if name.startswith("["):
        return _packed(socket.AF_INET6, name[1:-1]).startswith(_LOOPBACK_IN_IPV6)
    return name == "localhost" or name.endswith(".localhost") or _packed(socket.AF_INET, name)[:1] == b"\x7f"


def _name_in(authority: str) -> str:
    """Host of HOST:PORT, plain; empty where it isn't that."""
    found = _AUTHORITY.fullmatch(authority.lower())
    return _plain(found.group(1)) if found else ""


def _own_addresses() -> Set[str]:
    """Those that the machine's name stands for: a container's in a network of its own, where no port of its host leads to it."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        return set()
    addresses = {str(address[0]) for _, _, _, _, address in found}
    return {f"[{address}]" if ":" in address else address for address in addresses}


def _plain(name: str) -> str:
    name = name.strip().lower()
    return name[:-1] if name.endswith(".") else name


def _packed(family: int, address: str) -> bytes:
    try:
        return socket.inet_pton(family, address)
    except OSError:
        return b""


def _authority_of(target: str) -> Optional[str]:
    """The host that a target names which isn't a mere path."""
    if target[:1] in {"/", "*"}:
        return None
    return re.split(r"[/?#]", target.partition("://")[2] or target, maxsplit=1)[0]


def _is_visit(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a person followed a link: the answer is shown, to no page, and reading changes nothing."""
    return method in {"GET", "HEAD"} and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
