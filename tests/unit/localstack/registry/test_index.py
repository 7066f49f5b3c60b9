"""Tags and images of the registry."""

from __future__ import annotations

from deployer_localstack.registry.index import DOCKER_MANIFEST, ImageIndex, RepositoryAddress


def test_a_tag_moves_and_an_image_goes_with_its_last_tag() -> None:
    index, repository = ImageIndex(), RepositoryAddress("1", "r", "n")
    first = index.put(repository, b'{"a": 1}', DOCKER_MANIFEST, "t")
    second = index.put(repository, b'{"a": 2}', DOCKER_MANIFEST, "t")
    assert (first.tags, second.tags) == (set(), {"t"})
    index.put(repository, b'{"a": 2}', DOCKER_MANIFEST, "u")
    index.remove(repository, tag="t")
    assert index.find(repository, digest=second.digest)
    index.remove(repository, tag="u")
    assert index.find(repository, digest=second.digest) is None
    before = index.stored_name(repository)
    index.forget(repository)
    assert index.images(repository) == []
    assert index.stored_name(repository) != before
