"""Image references, read as docker reads them."""

import pytest

from deployer.errors import ConfigInvalid
from deployer.oci import Reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("python", "docker.io/library/python"),
        ("python:3.11-slim", "docker.io/library/python:3.11-slim"),
        ("bitnami/python", "docker.io/bitnami/python"),
        ("index.docker.io/bitnami/python", "docker.io/bitnami/python"),
        ("localhost/scoring", "localhost/scoring"),
        ("localhost:5000/scoring:1", "localhost:5000/scoring:1"),
        ("[::1]:5000/scoring", "[::1]:5000/scoring"),
        ("registry.example.com/a/b/c:v1.2_3", "registry.example.com/a/b/c:v1.2_3"),
        ("123456789012.dkr.ecr.us-west-2.amazonaws.com/scoring:0.1.0-py311", "123456789012.dkr.ecr.us-west-2.amazonaws.com/scoring:0.1.0-py311"),
        (f"registry.example.com/scoring:1@{DIGEST}", f"registry.example.com/scoring:1@{DIGEST}"),
    ],
)
def test_a_reference_is_read_with_dockers_defaults(text: str, whole: str) -> None:
    assert str(Reference.parse(text)) == whole


def test_what_is_written_is_read_back_the_same() -> None:
    reference = Reference("registry.example.com:8443", "team/scoring", "1", DIGEST)
    assert Reference.parse(str(reference)) == reference


def test_the_digest_wins_over_the_tag() -> None:
    assert Reference.parse(f"a/b:1@{DIGEST}").which == DIGEST
    assert Reference.parse("a/b:1").which == "1"
    assert Reference.parse("a/b").which == "latest"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a repository"),
        ("Scoring", "not a repository"),
        ("a/../b", "not a repository"),
        ("a/b:", "not a tag"),
        ("a/b:-1", "not a tag"),
        ("a/b:" + "x" * 129, "not a tag"),
        ("a/b@sha256:12", "not a digest"),
        ("a/b@md5:" + "0" * 32, "not a digest"),
        ("https://registry.example.com/scoring", "not a registry"),
    ],
)
def test_what_is_no_reference_is_refused_by_the_part_that_is_wrong(text: str, why: str) -> None:
    with pytest.raises(ConfigInvalid, match="is not an image reference") as refused:
        Reference.parse(text)
    assert why in refused.value.why
