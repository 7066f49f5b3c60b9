"""Which cluster a connection reaches, by the kubeconfigs that are named as it connects; and lists whose pages are forgotten."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from deployer.errors import ConfigInvalid, Conflict
from deployer_targets.kubernetes.client import Cluster, Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.faults import Absent, Overtaken


def kubeconfig(file: Path, context: str, server: str, namespace: str = "") -> Path:
    document = {
        **{"apiVersion": "v1", "kind": "Config", "current-context": context},
        "clusters": [{"name": context, "cluster": {"server": server}}],
        "users": [{"name": context, "user": {"token": "secret"}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context, **({"namespace": namespace} if namespace else {})}}],
    }
    file.write_text(yaml.safe_dump(document))
    return file


def test_the_kubeconfigs_are_those_named_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = kubeconfig(tmp_path / "one", "team/one", "https://one.example")
    two = kubeconfig(tmp_path / "two", "two", "https://two.example", "ml")
    for named, path, found in (
        (f"{one}", "", ("team/one", "default", "https://one.example")),
        (f"{two}", "", ("two", "ml", "https://two.example")),
        (f"{one}{os.pathsep}{two}", "", ("team/one", "default", "https://one.example")),  # the first file's, as for kubectl
        (f"{two}{os.pathsep}{one}", "", ("two", "ml", "https://two.example")),
        (f"{one}{os.pathsep}{two}", "two", ("two", "ml", "https://two.example")),
        (f"{one}{os.pathsep}{two}", "team/one/other", ("team/one", "other", "https://one.example")),
    ):
        monkeypatch.setenv("KUBECONFIG", named)
        connection = Cluster(path)
        assert (connection.context, connection.namespace, connection.client().configuration.host) == found


def test_a_context_of_no_kubeconfig_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "one", "one", "https://one.example")))
    with pytest.raises(ConfigInvalid, match="no context won; did you mean one"):
        Cluster("won").client()


def test_a_context_that_is_named_needs_no_current_one_and_none_that_is_left_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = kubeconfig(tmp_path / "one", "one", "https://one.example")
    document = yaml.safe_load(file.read_text())
    document["contexts"].append({"name": "old", "context": {"cluster": "deleted", "user": "deleted"}})
    for current, path, context in (("", "one", "one"), ("old", "one", "one"), ("one", "", "one")):
        file.write_text(yaml.safe_dump({**document, "current-context": current}))
        monkeypatch.setenv("KUBECONFIG", str(file))
        assert Cluster(path).context == context


@pytest.mark.parametrize(
    ("content", "path", "said"),
    [
        ("", "", "one is empty"),
        ("a: [", "", "one can't be read"),
        ("contexts: []", "", "has no current context"),
        ("current-context: old", "", "has no context old"),
        ("contexts: [{name: old, context: {cluster: deleted}}]", "old", "has no cluster of the context old"),
    ],
)
def test_a_kubeconfig_that_does_not_do_is_told(content: str, path: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "one"))
    with pytest.raises(ConfigInvalid, match=said):
        Cluster(path).client()


EXPIRED = {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410, "message": "The provided continue parameter is too old"}


@contextmanager
def answering(answers: list[tuple[int, dict[str, Any]]]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server with these answers, one after the other; its address, and the queries that it was asked."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append({key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()})
            status, document = answers[len(asked) - 1]
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def page(*items: str, more: str = "") -> tuple[int, dict[str, Any]]:
    return 200, {"items": [{"metadata": {"name": each}} for each in items], "metadata": {"continue": more}}


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ([page("a", "b", more="b"), page("c")], "abc"),
        ([page("a", "b", more="b"), (410, EXPIRED), page("b", "c", "d")], "bcd"),
        ([(200, {"items": None, "metadata": {}})], ""),
    ],
    ids=["pages", "pages that are forgotten", "none"],
)
def test_a_list_has_each_once_as_of_one_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[tuple[int, dict[str, Any]]], found: str
) -> None:
    with answering(answers) as (address, asked):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "one", "one", address)))
        cloud = Kube(Cluster(""), KubernetesConfig())
        assert "".join(each["metadata"]["name"] for each in cloud.list("Service", {"team": "a"})) == found
    assert len(asked) == len(answers)
    assert all(each["labelSelector"] == "team=a" for each in asked)
    assert "limit" not in asked[-1] or len(asked) < 3


def test_a_list_of_what_the_cluster_has_not_got_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering([(404, {"message": "the server could not find the requested resource"})]) as (address, _):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "one", "one", address)))
        with pytest.raises(Absent, match="could not find"):
            list(Kube(Cluster(""), KubernetesConfig()).list("Service", {}))


def test_what_a_run_wrote_is_tried_on_first_and_then_what_is_there_until_it_is_clear_that_somebody_else_is_always_faster() -> None:
    cloud, tried = Kube(Cluster(""), KubernetesConfig()), list[object]()
    written = cloud.written("Service", {"metadata": {"name": "churn"}})

    def attempt(known: object, *, succeeds_at: int) -> str:
        tried.append(known)
        if len(tried) < succeeds_at:
            raise Overtaken("it isn't as it was")
        return "done"

    assert cloud.contested("Service", "churn", partial(attempt, succeeds_at=3)) == "done"
    assert tried == [written, None, None]
    tried.clear()
    with pytest.raises(Conflict, match="Service churn is changed by somebody else, again and again"):
        cloud.contested("Service", "churn", partial(attempt, succeeds_at=99))
    assert len(tried) < 99
