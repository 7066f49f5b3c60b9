"""Pickles that are followed without being run: the same names as a real unpickler asks for, and never one step more."""

from __future__ import annotations

import bz2
import collections
import contextlib
import datetime
import decimal
import fractions
import gzip
import io
import lzma
import os
import pickle
import pickletools
import types
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some

from deployer.artifacts.content import ModelFile
from deployer.checks.containers import PickledFile, pickles
from deployer_scoring.opcodes.facts import BrokenPickle, Global, PickleFacts
from deployer_scoring.opcodes.reading import read_pickle


class Estimator:
    """As scikit-learn's, it writes its version into its state."""

    def __init__(self) -> None:
        self.coefficients = np.arange(3.0)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sklearn_version": "1.5.2"}


class Made:
    def __init__(self) -> None:
        self.value = 3


OBJECTS = [
    {"a": [1, 2.5, None, True, "text", b"bytes", (1, 2, 3, 4), {5}, frozenset({6}), bytearray(b"x"), 10**30, -1]},
    [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), decimal.Decimal("1.5"), fractions.Fraction(1, 3), complex(1, 2)],
    collections.OrderedDict(a=collections.Counter("abc"), b=collections.defaultdict(list, x=[1])),
    [PurePosixPath("/a/b"), os.path.join, len, dict, types.SimpleNamespace(a=1), Made(), Estimator()],
    [np.arange(10), np.float64(1), np.array(["a", None], dtype=object), np.random.default_rng(0)],
    pd.DataFrame({"n": [1.0, 2.0], "t": ["x", "y"], "w": pd.to_datetime(["2026-01-01", "2026-01-02"]), "c": pd.Categorical(["u", "v"])}),
    ["shared"] * 3,
    list(range(3000)),
]


class Recording(pickle.Unpickler):
    """A real one that remembers which names it was asked for."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self.asked: set[Global] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.asked.add(Global(module, name))
        return super().find_class(module, name)


def facts_of(content: bytes) -> PickleFacts:
    facts = PickleFacts()
    read_pickle(io.BytesIO(content), facts)
    return facts


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_the_names_are_those_that_a_real_unpickler_asks_for(value: Any, protocol: int) -> None:
    content = pickle.dumps(value, protocol)
    real = Recording(content)
    real.load()
    # Protocols below 3 carry Python 2's names, which unpickling maps.
    facts = facts_of(content)
    found = {Global(*_mapped(each.module, each.name)) for each in facts.imports} if protocol < 3 else facts.imports
    assert {_plain(each) for each in found} == {_plain(each) for each in real.asked}
    assert facts.protocol == (protocol if protocol > 1 else 0)
    assert facts.whole


def _mapped(module: str, name: str) -> tuple[str, str]:
    import _compat_pickle

    return _compat_pickle.NAME_MAPPING.get((module, name)) or (_compat_pickle.IMPORT_MAPPING.get(module, module), name)


def _plain(each: Global) -> tuple[str, str]:
    return {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(each.module, each.module), each.name


@given(
    some.recursive(
        some.none() | some.booleans() | some.integers() | some.floats() | some.text() | some.binary(),
        lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
        max_leaves=20,
    ),
    some.integers(0, 5),
)
def test_plain_values_import_nothing(value: Any, protocol: int) -> None:
    facts = facts_of(pickle.dumps(value, protocol))
    assert {str(each) for each in facts.imports} <= {"_codecs.encode", "__builtin__.bytes", "builtins.bytes", "__builtin__.bytearray"}


def test_every_operation_of_pickletools_has_a_meaning() -> None:
    from deployer_scoring.opcodes import operations

    assert set(operations.MEANINGS) == {each.code.encode("latin-1") for each in pickletools.opcodes}


def test_a_pickle_cut_anywhere_is_not_whole() -> None:
    content = pickle.dumps(OBJECTS[3])
    for length in range(len(content)):
        with pytest.raises(BrokenPickle):
            facts_of(content[:length])


@given(some.binary(max_size=200))
def test_any_bytes_are_read_or_refused_but_never_crash_it(content: bytes) -> None:
    with contextlib.suppress(BrokenPickle):
        facts_of(b"\x80\x04" + content)


def test_nothing_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    facts = facts_of(pickle.dumps(Evil()))
    assert {str(each) for each in facts.calls} == {"posix.system"}
    assert not (tmp_path / "ran").exists()


def test_an_estimator_states_the_version_that_saved_it() -> None:
    assert facts_of(pickle.dumps({"steps": [Estimator()]})).sklearn_versions == {"1.5.2"}


def test_a_function_is_known_by_the_arguments_of_its_code() -> None:
    import cloudpickle

    def lazy() -> Any:
        import lightgbm.sklearn  # type: ignore[import-not-found]

        return lightgbm.sklearn

    lazy.__module__ = "__main__"
    facts = facts_of(cloudpickle.dumps(lazy))
    assert facts.code_arguments == {18}
    ((code, names),) = facts.functions
    assert (code, names) == (lazy.__code__.co_code, lazy.__code__.co_names)


def test_what_is_longer_than_looked_at_says_so() -> None:
    facts = PickleFacts()
    read_pickle(io.BytesIO(pickle.dumps(list(range(1000)))), facts, most=100)
    assert not facts.whole


def test_large_values_are_skipped_and_must_be_there() -> None:
    content = pickle.dumps([b"x" * 1_000_000, Made])
    assert Global(Made.__module__, "Made") in facts_of(content).imports
    with pytest.raises(BrokenPickle, match="in the middle"):
        facts_of(content[:500_000])


def found_in(directory: Path, **files: bytes) -> list[PickledFile]:
    listed = []
    for name, content in files.items():
        path = directory / name.replace("_", ".", 1)
        path.write_bytes(content)
        listed.append(ModelFile(path.name, path, len(content)))
    return list(pickles(listed))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zlib.compress], ids=lambda each: each.__module__)
def test_compressed_pickles_are_opened(compress: Any, tmp_path: Path) -> None:
    (found,) = found_in(tmp_path, model_joblib=compress(pickle.dumps(Made())))
    assert Global(Made.__module__, "Made") in found.facts.imports
    assert not found.broken


def test_pickles_in_zips_are_found(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Made()))
        archive.writestr("archive/data/0", b"\0" * 10)
    (found,) = found_in(tmp_path, model_pth=packed.getvalue())
    assert found.file == "model.pth!archive/data.pkl"
    assert Global(Made.__module__, "Made") in found.facts.imports


def test_several_pickles_in_a_row_are_all_read(tmp_path: Path) -> None:
    (found,) = found_in(tmp_path, model_pt=pickle.dumps(1) + pickle.dumps(Made()) + b"\0\1raw storage")
    assert Global(Made.__module__, "Made") in found.facts.imports


def test_a_pickle_of_any_name_is_known_by_its_first_bytes_and_other_files_are_passed_over(tmp_path: Path) -> None:
    found = found_in(tmp_path, weights=pickle.dumps(Made()), notes_txt=b"a text", image_bin=b"\x80\x04not a pickle", empty_txt=b"")
    assert [each.file for each in found] == ["weights"]


def test_broken_files_say_what_is_wrong_with_them(tmp_path: Path) -> None:
    cut, text, zipped = found_in(
        tmp_path, cut_pkl=pickle.dumps(Made())[:-3], text_pkl=b"version https://git-lfs", zipped_pkl=b"\x1f\x8b\x08garbage that is no gzip"
    )
    assert cut.cut
    assert not text.cut and text.broken
    assert "decompressed" in zipped.broken
