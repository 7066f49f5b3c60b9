"""Whom a server that listens for its own machine alone answers: programs and its own pages, whatever a page from elsewhere tries."""

from __future__ import annotations

import socket

import pytest

from deployer_scoring.server.http.allowed_hosts import AllowedHosts

OURS = (
    "localhost",
    "localhost:5000",
    "LocalHost:5000",
    "localhost.:5000",
    "127.0.0.1",
    "127.0.0.1:65535",
    "127.8.9.10:80",
    "[::1]",
    "[::1]:5000",
    "[0:0:0:0:0:0:0:1]:5000",
    "[::ffff:127.0.0.1]:5000",
    "bucket.localhost:4510",
    "my.bucket.s3.localhost",
)
FOREIGN = (
    "",
    "evil.example",
    "evil.example:5000",
    "EVIL.EXAMPLE",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evillocalhost",
    "evil-localhost:5000",
    ".localhost",
    "localhost..",
    "localhost@evil.example",
    "evil.example@localhost",
    "user:password@127.0.0.1:5000",
    "localhost:5000:5000",
    "localhost:port",
    "localhost:",
    "localhost:500000",
    "localhost, evil.example",
    "evil.example, localhost",
    "localhost evil.example",
    "localhost/evil",
    "localhost#",
    "localhost\\evil.example",
    "localhost%00.evil.example",
    "127.1",
    "127.0.0.0.1",
    "127.0.0.256",
    "0127.0.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "017700000001",
    "0.0.0.0:5000",
    "128.0.0.1",
    "10.0.0.1",
    "192.168.1.1:5000",
    "169.254.169.254",
    "[::]",
    "[::2]",
    "::1",
    "[::1",
    "[::1%lo]",
    "[fe80::1]",
    "[::ffff:10.0.0.1]",
    "[127.0.0.1]",
    "\u2117ocalhost",
    "localho\u017ft",  # a long s, which becomes an s where case is folded
    "\uff11\uff12\uff17.0.0.1",
)


def refused(method: str = "GET", target: str = "/", **headers: str) -> bool:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return AllowedHosts().refusal(method, target, named) is not None


@pytest.mark.parametrize("host", OURS)
def test_names_of_this_machine_are_answered(host: str) -> None:
    assert not refused(host=host)
    assert not refused(target=f"http://{host}/ping?x=1", host=host)


@pytest.mark.parametrize("host", FOREIGN)
def test_all_other_names_are_not(host: str) -> None:
    assert refused(host=host)
    assert refused(target=f"http://{host}", host="localhost") or host.startswith(("localhost/", "localhost#"))
    assert refused(target="/", host=host, origin=f"http://{host}")


def test_a_target_that_names_another_host_is_as_foreign_as_a_header() -> None:
    assert refused("CONNECT", "evil.example:443", host="localhost")
    assert refused("GET", "evil.example/ping", host="localhost")
    assert refused("GET", "http://localhost/", host="evil.example")
    assert refused("GET", "http://localhost@evil.example/", host="localhost")
    assert not refused("OPTIONS", "*", host="localhost")


def test_http_1_0_may_leave_the_host_out_but_no_page_may() -> None:
    assert not refused()
    assert refused(origin="http://localhost")
    assert refused(sec_fetch_site="cross-site")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_an_origin_must_be_the_server_itself(method: str) -> None:
    for host in OURS:
        assert not refused(method, host=host, origin=f"http://{host}")
        assert not refused(method, host=host, origin=f"https://{host}")
        assert not refused(method, host=host.upper(), origin=f"http://{host.lower()}")
    for origin in (
        "null",
        "",
        "http://evil.example",
        "http://evil.example:5000",
        "http://localhost",
        "http://localhost:5001",
        "http://127.0.0.1:5000",
        "http://localhost:5000.evil.example",
        "http://localhost:5000, http://evil.example",
        "file://localhost:5000",
        "chrome-extension://localhost:5000",
        "localhost:5000",
    ):
        assert refused(method, host="localhost:5000", origin=origin), origin


def test_what_a_page_loads_from_elsewhere_is_refused_though_it_has_no_origin() -> None:
    for site in ("cross-site", "same-site", "", "new-word"):
        for destination in ("empty", "image", "script", "iframe", "object"):
            modes = {"sec_fetch_mode": "no-cors", "sec_fetch_dest": destination}
            assert refused(host="localhost:5000", sec_fetch_site=site, **modes), (site, destination)
        assert refused(host="localhost:5000", sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="iframe")
        assert refused("POST", host="localhost:5000", sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="document")
    for site in ("none", "same-origin"):
        assert not refused(host="localhost:5000", sec_fetch_site=site)


def test_a_link_from_elsewhere_may_lead_here() -> None:
    followed = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert not refused(target="/docs", host="localhost:5000", **followed)
    assert refused(target="/docs", host="evil.example", **followed)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.1.1", "::1", "::ffff:127.0.0.1"])
def test_the_rule_is_that_of_servers_on_loopback(address: str) -> None:
    assert AllowedHosts.of("", address) is not None
    assert AllowedHosts.of("*", address) is None


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.1.2.3", "fe80::1", "203.0.113.9"])
def test_others_are_asked_under_any_name_unless_they_are_told(address: str) -> None:
    assert AllowedHosts.of("", address) is None
    assert AllowedHosts.of("loopback, *", address) is None
    told = AllowedHosts.of("loopback", address, address)
    assert told is not None
    assert told.refusal("GET", "/", {"host": "localhost:8080"}) is None
    assert told.refusal("GET", "/", {"host": "evil.example"})
    assert told.refusal("GET", "/", {"host": address})


def test_a_container_in_a_network_of_its_own_is_asked_at_its_address() -> None:
    own = socket.gethostbyname(socket.gethostname())
    told = AllowedHosts.of("loopback", "0.0.0.0")
    assert told is not None
    assert told.refusal("GET", "/", {"host": f"{own}:8080"}) is None
    assert told.refusal("POST", "/", {"host": f"{own}:8080", "origin": "http://evil.example"})
    assert told.refusal("GET", "/", {"host": "192.0.2.77:8080"})


def test_a_server_knows_its_own_name_and_those_that_it_is_told() -> None:
    own = AllowedHosts.of("", "127.0.1.1", "MyBox")
    assert own is not None
    assert own.refusal("GET", "/", {"host": "mybox:5000"}) is None
    assert own.refusal("GET", "/", {"host": "otherbox:5000"})
    told = AllowedHosts.of("models.example.com, Other.Example.", "127.0.0.1")
    assert told is not None
    for host in ("models.example.com", "other.example:443", "localhost:1"):
        assert told.refusal("GET", "/", {"host": host}) is None
        assert told.refusal("POST", "/", {"host": host, "origin": "https://elsewhere.example"})
        assert told.refusal("POST", "/", {"host": host, "origin": f"https://{host}"}) is None
    assert told.refusal("GET", "/", {"host": "example.com"})
