"""What strangers write can't steer a terminal, and makes no lines of its own."""

import io
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer_scoring.printable import coloured, one_line, printable
from deployer_scoring.server.telemetry.access_log import formatter


@pytest.mark.parametrize(
    ("text", "line", "lines"),
    [
        ("plain ✓ é 日本", "plain ✓ é 日本", "plain ✓ é 日本"),
        ("a\x1b[2Jb", r"a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\nb\tc\r\nd", r"a\nb\tc\r\nd", "a\nb\tc\\r\nd"),
        ("\x9b31m\x7f\x00\x08", r"\x9b31m\x7f\x00\x08", r"\x9b31m\x7f\x00\x08"),
        ("safe\u202egnp.exe\u2066", r"safe\u202egnp.exe\u2066", r"safe\u202egnp.exe\u2066"),
        ("half \ud800", r"half \ud800", r"half \ud800"),
    ],
)
def test_control_characters_are_escaped(text: str, line: str, lines: str) -> None:
    assert (one_line(text), printable(text)) == (line, lines)


def test_a_programs_own_colours_stay_and_end_with_its_line() -> None:
    assert coloured("\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2J") == "\x1b[31mred\x1b[0m \\x1b]0;title\\x07\\x1b[2J\x1b[0m"
    assert coloured("plain") == "plain"


@settings(deadline=None)
@given(st.text())
def test_every_text_can_be_printed_in_one_line(text: str) -> None:
    shown = one_line(text)
    shown.encode()
    assert shown.splitlines() in ([shown], [])
    assert not any(ord(each) < 32 or 127 <= ord(each) < 160 for each in shown)


def test_a_message_of_the_servers_makes_one_line_and_its_traceback_stays() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter("text"))
    logger = logging.Logger("deployer_scoring")
    logger.addHandler(handler)
    try:
        raise ValueError("bad\x1b[2Jname")
    except ValueError as error:
        logger.exception("the model %s: %s", "evil\n2026-01-01 INFO all is well\x1b[31m", error)
    first, *rest = stream.getvalue().splitlines()
    assert r"the model evil\n2026-01-01 INFO all is well\x1b[31m: bad\x1b[2Jname" in first
    assert rest[0].startswith("Traceback") and rest[-1] == r"ValueError: bad\x1b[2Jname"
