"""The proxy: what every local cloud has before its API (faults, journal), before somebody's API server."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deployer_localstack.control.calls import Call
from deployer_localstack.control.faults import FaultRule, FaultRules
from deployer_localstack.control.gate import Entry, Gate
from deployer_localstack.control.journal import Journal
from deployer_localstack.http.certificates import Authority
from deployer_localstack.http.server import Environ, Server, StartResponse
from deployer_localstack.kubernetes import kubeconfig, statuses
from deployer_localstack.kubernetes.forwarder import Forwarder
from deployer_localstack.kubernetes.requests import call_of


class ClusterProxy:
    """One before the API server of a kubeconfig's context, on a port of 127.0.0.1, for as long as the block runs."""

    def __init__(self, config: Path | str, *, context: str = "") -> None:
        """A proxy that doesn't serve yet.

        Args:
            config: the kubeconfig that names the API server.
            context: of it; by default the current one.

        Raises:
            ValueError: there is no such context.
        """
        self._behind = kubeconfig.read(Path(config), context)
        self._journal, self._faults = Journal(), FaultRules()
        self._directory = tempfile.TemporaryDirectory(prefix="deployer-kubernetes-")
        self.kubeconfig = Path(self._directory.name, "config")
        """Its one context is that of the API server, and goes through the proxy."""

    def __enter__(self) -> Self:
        authority = Authority.fresh("deployer-kubernetes-proxy")
        api = _Api(Forwarder(self._behind))
        self._server = Server(0, Gate(api, journal=self._journal, faults=self._faults), tls=authority.server_context())
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(kubeconfig.written(self._behind, self.url, authority.certificate))
        self._server.start("kubernetes proxy")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._directory.cleanup()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.port}"

    def fault(self, kind: str, **rule: Any) -> FaultRule:
        """Make calls fail by rule (see `deployer_localstack.control.faults.FaultRule`); the rule counts its `hits`."""
        return self._faults.add({"kind": kind, **rule})

    def calls(self, *, service: str = "", operation: str = "", after: int = 0) -> list[Mapping[str, Any]]:
        """What was asked so far, oldest first; `after` is the number of an entry."""
        return [*self._journal.entries(service=service, operation=operation, after=after)]

    def clear(self) -> None:
        """No more faults, and an empty journal."""
        self._faults.remove()
        self._journal.clear()


class _Api:
    """Somebody's API server, as a gate needs it."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder

    def read(self, environ: Environ) -> Call:
        path, _, query = environ["RAW_URI"].partition("?")
        return call_of(environ["REQUEST_METHOD"], path, query, environ["wsgi.input"].read())

    def answer(self, call: Call, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
        return self._forwarder.answer(environ, call.body or b"", start_response)

    def refuse(self, call: Call, rule: FaultRule, environ: Environ, start_response: StartResponse, entry: Entry) -> Iterable[bytes]:
        status, headers, body = statuses.refusal(rule)
        entry["error"] = status.partition(" ")[2]
        start_response(status, [*headers.items()])
        return [body]
