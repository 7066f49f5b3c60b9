"""The address of a layer: what gives another one, and what makes no difference."""

from dataclasses import replace

import pytest

from deployer.oci import Compression
from deployer_images.layers.package_set import PackageSet
from deployer_images.layers.wheels import Wheel

A = Wheel("a", "1.0", "a==1.0", "a-1.0-py3-none-any.whl", "sha256:" + "a" * 64, 10)
B = Wheel("b", "2.0", "b==2.0", "b-2.0-py3-none-any.whl", "sha256:" + "b" * 64, 20)
SET = PackageSet("3.11", "linux/amd64", (A, B))


@pytest.mark.parametrize(
    "other",
    [
        replace(SET, python="3.12"),
        replace(SET, platform="linux/arm64"),
        replace(SET, trimmed=False),
        SET.compressed(Compression.ZSTD),
        replace(SET, wheels=(A,)),
        replace(SET, wheels=(A, replace(B, digest="sha256:" + "c" * 64))),
        replace(SET, wheels=(A, replace(B, version="2.1"))),
    ],
)
def test_other_contents_have_another_address(other: PackageSet) -> None:
    assert other.address != SET.address
    assert other.tag != SET.tag


def test_the_order_and_how_they_were_asked_for_make_no_difference() -> None:
    elsewhere = replace(A, line="a @ https://user:secret@example.com/a-1.0-py3-none-any.whl", size=0)
    assert replace(SET, wheels=(B, elsewhere)).address == SET.address


def test_the_size_is_known_where_the_index_says_all() -> None:
    assert SET.size == 30
    assert replace(SET, wheels=(A, replace(B, size=0))).size == 0


def test_the_tag_is_one() -> None:
    assert SET.tag.startswith("packages-")
    assert len(SET.tag) <= 128


def test_what_an_engine_has_built_stays_as_it_was_built() -> None:
    built = replace(SET, built_in="sha256:image")
    assert built.compressed(Compression.ZSTD) == built
