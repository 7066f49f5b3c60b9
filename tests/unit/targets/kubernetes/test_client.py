"""Which cluster a connection reaches, by the kubeconfigs that are named as it connects."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes.client import Connection


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
        (f"{one}{os.pathsep}{two}", "two", ("two", "ml", "https://two.example")),
        (f"{one}{os.pathsep}{two}", "team/one/other", ("team/one", "other", "https://one.example")),
    ):
        monkeypatch.setenv("KUBECONFIG", named)
        connection = Connection(path)
        assert (connection.context, connection.namespace, connection.client().configuration.host) == found


def test_a_context_of_no_kubeconfig_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "one", "one", "https://one.example")))
    with pytest.raises(ConfigInvalid, match="no context won; did you mean one"):
        Connection("won").client()
