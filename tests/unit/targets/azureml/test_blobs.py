"""What gives access to the workspace's store."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from urllib.parse import parse_qs

from deployer_targets.azureml.blobs import WorkspaceStore, signature

_KEY = base64.b64encode(bytes(range(64))).decode()


def test_a_signature_is_that_of_azures_own_library() -> None:
    """The expected one was made by azure-storage-blob 12.31.1: generate_container_sas, for the same permissions, time and protocol."""
    made = parse_qs(signature("account1", "container-1", _KEY, datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-10-06"))
    assert made == parse_qs(
        "se=2030-01-02T03%3A04%3A05Z&sp=rcwdl&spr=https&sv=2026-10-06&sr=c&sig=uTpkfgnKgUq6M%2BhlPMAzyeA04gwWXNCQa1w%2BC1Oxyjo%3D"
    )


def test_addresses() -> None:
    store = WorkspaceStore("https://a.blob.core.windows.net/c", "sv=1&sig=x")
    assert store.at("deployer/churn/größe 1.txt") == "https://a.blob.core.windows.net/c/deployer/churn/gr%C3%B6%C3%9Fe%201.txt?sv=1&sig=x"
    assert store.at(restype="container") == "https://a.blob.core.windows.net/c?restype=container&sv=1&sig=x"
    assert WorkspaceStore("https://a/c").at("b") == "https://a/c/b"
