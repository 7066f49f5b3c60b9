"""What a request is called in the journal, and in a fault's rule."""

from __future__ import annotations

import json

import pytest

from deployer_localstack.kubernetes.requests import call_of

_DEPLOYMENT = json.dumps({"metadata": {"name": "web"}}).encode()


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/v1/namespaces/shop/pods", ("core", "list pods", "shop", {"namespace": "shop"})),
        ("GET", "/api/v1/pods?labelSelector=a%3Db", ("core", "list pods", "", {"labelSelector": "a=b"})),
        ("GET", "/api/v1/namespaces/shop/pods?watch=true", ("core", "watch pods", "shop", {"namespace": "shop", "watch": "true"})),
        ("GET", "/api/v1/namespaces/shop/pods/web-1", ("core", "get pods", "shop", {"namespace": "shop", "name": "web-1"})),
        (
            "GET",
            "/api/v1/namespaces/shop/pods/web-1/log?follow=1",
            ("core", "get pods/log", "shop", {"namespace": "shop", "name": "web-1", "follow": "1"}),
        ),
        (
            "POST",
            "/api/v1/namespaces/shop/services/web:80/proxy/invocations",
            ("core", "create services/proxy", "shop", {"namespace": "shop", "name": "web:80"}),
        ),
        ("POST", "/apis/apps/v1/namespaces/shop/deployments", ("apps", "create deployments", "shop", {"namespace": "shop", "name": "web"})),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/shop/deployments/web/scale",
            ("apps", "patch deployments/scale", "shop", {"namespace": "shop", "name": "web"}),
        ),
        ("PUT", "/apis/apps/v1/namespaces/shop/deployments/web", ("apps", "update deployments", "shop", {"namespace": "shop", "name": "web"})),
        ("DELETE", "/apis/apps/v1/namespaces/shop/deployments/web", ("apps", "delete deployments", "shop", {"namespace": "shop", "name": "web"})),
        (
            "DELETE",
            "/apis/apps/v1/namespaces/shop/deployments",
            ("apps", "deletecollection deployments", "shop", {"namespace": "shop", "name": "web"}),
        ),
        ("POST", "/api/v1/namespaces", ("core", "create namespaces", "", {"name": "web"})),
        ("DELETE", "/api/v1/namespaces/shop", ("core", "delete namespaces", "", {"name": "shop"})),
        ("PUT", "/api/v1/namespaces/shop/finalize", ("core", "update namespaces/finalize", "", {"name": "shop"})),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/a%3Ab", ("rbac.authorization.k8s.io", "get clusterroles", "", {"name": "a:b"})),
        ("GET", "/version", ("", "get /version", "", {})),
        ("GET", "/apis", ("", "get /apis", "", {})),
        ("GET", "/apis/apps/v1", ("", "get /apis/apps/v1", "", {})),
        ("GET", "/api/v1", ("", "get /api/v1", "", {})),
    ],
)
def test_a_request_is_named_as_rbac_names_it(method: str, path: str, expected: tuple[str, str, str, dict[str, str]]) -> None:
    call = call_of(method, *path.partition("?")[::2], _DEPLOYMENT if method in {"POST", "DELETE"} else b"")
    assert (call.service, call.operation, call.region, dict(call.parameters)) == expected


@pytest.mark.parametrize("body", [b"", b"[1]", b"k8s\x00\x01", b'{"metadata": null}', b'{"metadata": {"generateName": "web-"}}', b"\xff"])
def test_a_body_of_any_kind_is_read(body: bytes) -> None:
    assert "name" not in call_of("POST", "/api/v1/namespaces/shop/pods", "", body).parameters
