"""YAML, JSON and text of strangers: read as PyYAML and json read them, and refused at once where that would take memory, stack or time."""

import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer_scoring.documents import DEEPEST, load_json, load_yaml
from deployer_scoring.model import text as texts
from deployer_scoring.model.text import exists, is_file, read_text


def _laughs(line: str, first: str = "[x, x]") -> str:
    """Nine lines, each of ten times the one before."""
    return f"a: &a {first}\n" + "".join(f"{chr(98 + at)}: &{chr(98 + at)} {line.format(', '.join([f'*{chr(97 + at)}'] * 10))}\n" for at in range(9))


TOO_DEEP = "nested deeper|maximum nesting"  # newer versions of libyaml have a bound of their own
BAD_YAML = {
    "aliases of aliases": (_laughs("[{}]"), "stands for more than"),
    "merges of merges": (_laughs("{{<<: [{}]}}", "{x: 1}"), "stands for more than"),
    "a chain of aliases": ("a0: &a0 [x]\n" + "".join(f"a{at}: &a{at} [*a{at - 1}]\n" for at in range(1, 3000)), "nested deeper"),
    "an alias of itself": ("&a [*a]", "what holds it"),
    "an alias of itself as a key": ("&a {? *a : 1}", "what holds it"),
    "lists in lists": ("[" * 100_000, TOO_DEEP),
    "mappings in mappings": ("{a: " * 100_000, TOO_DEEP),
    "blocks in blocks": ("- " * 100_000, TOO_DEEP),
    "keys of keys": ("? " * 100_000, TOO_DEEP),
    "a month that is none": ("a: 2026-99-99", "is no time"),
    "a zone that is none": ("a: 2001-12-14t21:59:43.10-99:99", "is no time"),
    "an integer that is none": ("a: 0x_", "is no integer"),
    "digits without end": ("a: " + "9" * 100_000, "more than 4300 digits"),
    "digits in sixteens": ("a: 0x" + "f" * 4_000, "more than 4300 digits"),
    "digits in sixteens as a key": ("? -0x" + "f" * 4_000, "more than 4300 digits"),
    "digits in sixties": ("a: " + ":".join(["59"] * 1_430) + ":59" * 990, "more than 4300 digits"),
    "a float by its tag": ("a: !!float x", "is no number"),
    "an integer by its tag": ('a: !!int ""', "is no integer"),
    "a boolean by its tag": ("a: !!bool x", "is no boolean"),
    "a time by its tag": ("a: !!timestamp x", "is no time"),
    "an object of Python's": ('a: !!python/object/apply:os.system ["true"]', "could not determine a constructor"),
    "an unknown tag": ("a: !secret x", "could not determine a constructor"),
    "a key that can't be one": ("? [a]\n: b", "unhashable"),
    "two documents": ("a: 1\n---\nb: 2", "another document"),
    "half a surrogate pair": ('a: "\\ud800"', "invalid Unicode"),
    "a NUL": ("a: \0", "unacceptable character"),
}


@pytest.mark.parametrize("kind", BAD_YAML)
def test_yaml_beyond_the_bounds_is_an_error_of_yaml_at_once(kind: str) -> None:
    text, said = BAD_YAML[kind]
    begun = time.process_time()
    with pytest.raises(yaml.YAMLError, match=said):
        load_yaml(text)
    assert time.process_time() - begun < 3


TAGS = ["null", "bool", "int", "float", "binary", "timestamp", "omap", "pairs", "set", "str", "seq", "map", "merge", "value", "python/name:os.system"]
NODES_OF_YAML = [
    "''",
    "a",
    "'1'",
    "0x",
    "[]",
    "[a]",
    "[[a, b]]",
    "[{a: b}]",
    "{}",
    "{a: b}",
    "{a: {b: c}}",
    "{=: a}",
    "{=: {a: b}}",
    "{=: [a]}",
    "{<<: a}",
    "{? [a] : b}",
]


@pytest.mark.parametrize("tag", TAGS)
def test_any_tag_at_any_node_is_yaml_or_an_error_of_it(tag: str) -> None:
    for node in NODES_OF_YAML:
        for text in (f"!!{tag} {node}", f"a: !!{tag} {node}", f"? !!{tag} {node}\n: b", f"[!!{tag} {node}, {{<<: !!{tag} {node}}}]"):
            for twice in (True, False):
                with suppress(yaml.YAMLError):
                    load_yaml(text, twice=twice)


def test_a_key_that_stands_twice_is_refused_where_that_is_asked_for() -> None:
    assert load_yaml("a: 1\na: 2") == {"a": 2}
    with pytest.raises(yaml.YAMLError, match="'a' stands twice"):
        load_yaml("x: {a: 1, a: 2}", twice=False)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n",
        "a: 2026-01-31\nb: 2026-01-31 12:00:00.5 +02:00\nc: 190:20:30\nd: 0x1F\ne: .nan\nf: !!binary aGk=\ng: yes\nh: 1e3\n",
        "",
        "- ~\n- null\n- ''\n",
        "!!set {a, b}\n",
    ],
)
def test_plain_yaml_is_read_as_pyyaml_reads_it(text: str) -> None:
    assert repr(load_yaml(text, twice=False)) == repr(yaml.safe_load(text))


_PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])) | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(_PLAIN)
def test_what_pyyaml_writes_is_read_as_it_reads_it(value: Any) -> None:
    text = yaml.safe_dump(value)
    assert repr(load_yaml(text)) == repr(yaml.safe_load(text))


@settings(deadline=None)
@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_text_is_anything_but_yaml_or_an_error_of_it(text: str) -> None:
    with suppress(yaml.YAMLError):
        load_yaml(text)


BAD_JSON = {
    "lists in lists": "[" * 100_000,
    "objects in objects": '{"a":' * 100_000,
    "lists just too deep": "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1),
    "digits without end": "1" * 100_000,
    "values without end": "[" + "1," * 600_000 + "1]",
    "half a surrogate pair": '{"a": ["\\ud800"]}',
    "half a surrogate pair as a key": '{"\\uDC00": 1}',
    "nothing": "",
}


@pytest.mark.parametrize("kind", BAD_JSON)
def test_json_beyond_the_bounds_is_a_value_error_at_once(kind: str) -> None:
    begun = time.process_time()
    with pytest.raises(ValueError):
        load_json(BAD_JSON[kind])
    assert time.process_time() - begun < 3


def test_plain_json_is_read_as_python_reads_it() -> None:
    text = '{"a": [1, 2.5, null, true, "x", "\\ud83d\\ude00"], "b": {"c": NaN}}'
    assert repr(load_json(text)) == repr(json.loads(text))
    assert load_json("[NaN, -Infinity]", parse_constant=lambda _: None) == [None, None]
    assert load_json("[" * DEEPEST + "]" * DEEPEST)


NODES: Any = {
    "a pipe": os.mkfifo,
    "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "the console": lambda path: path.symlink_to("/dev/tty"),
    "a directory": lambda path: path.mkdir(),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "an endless file": lambda path: path.symlink_to("/proc/self/pagemap"),
}


@pytest.mark.parametrize("kind", NODES)
def test_what_is_no_plain_file_is_not_read(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    NODES[kind](Path("node"))
    begun = time.monotonic()
    with pytest.raises(OSError):
        read_text(Path("node"))
    assert time.monotonic() - begun < 3


def test_a_file_is_read_as_far_as_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MOST_BYTES", 100)
    file = tmp_path / "file"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        file.write_bytes("a\r\nü".encode(encoding))
        assert read_text(file) == "a\nü"
    file.write_bytes(b"x" * 101)
    with pytest.raises(OSError, match="larger than"):
        read_text(file)


def test_a_name_that_no_file_can_have_is_not_there(tmp_path: Path) -> None:
    for name in ("x" * 5000, "a\0b", "\udcff" * 300):
        assert not exists(tmp_path / name)
        assert not is_file(tmp_path / name)
