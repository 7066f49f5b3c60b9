"""Reads the pickles of a file without doing anything of them: nothing is imported, nothing called."""

from __future__ import annotations

import io
import struct
from copy import deepcopy
from typing import BinaryIO

from deployer_scoring.opcodes.facts import BrokenPickle, PickleFacts
from deployer_scoring.opcodes.machine import Machine
from deployer_scoring.opcodes.operations import MEANINGS

MOST_OPERATIONS = 2_000_000
"""Operations that are looked at: some three seconds. Arrays count as one; a vocabulary counts three a word."""


def read_pickle(file: BinaryIO, facts: PickleFacts, *, most: int = MOST_OPERATIONS) -> None:
    """Look at the pickle that begins where the file stands, and at those behind it.

    Args:
        file: stands where the pickle begins; large values are skipped, not read.
        facts: is filled as it is read, so that something is known of a broken one, too.
        most: how many operations are looked at.

    Raises:
        BrokenPickle: the first is none, or ends in the middle; the message says where.
    """
    most = _run(Machine(file, facts, most))
    while most > 0 and _begins(file):
        most = _run(Machine(file, facts, most))
    if most > 0:
        _read_rest(file, facts, most)


def _begins(file: BinaryIO) -> bool:
    """Whether another pickle follows (torch's older files hold five in a row)."""
    head = _peeked(file)
    return len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def _peeked(file: BinaryIO) -> bytes:
    if hasattr(file, "peek"):  # no step back: a compressed file would begin anew
        return bytes(file.peek(2)[:2])
    head = file.read(2)
    file.seek(-len(head), io.SEEK_CUR)
    return head


def _read_rest(file: BinaryIO, facts: PickleFacts, most: int) -> None:
    """What stands behind the last pickle: one of protocol 0 or 1, which tells by nothing that it is, or anything else."""
    while most > 0 and _peeked(file):
        found = deepcopy(facts)
        try:
            most = _run(Machine(file, found, most))
        except BrokenPickle:
            return
        facts.__dict__.update(found.__dict__)


def _run(machine: Machine) -> int:
    """Run one pickle to its end.

    Returns:
        How many operations may still be looked at.

    Raises:
        BrokenPickle: It is none, or ends in the middle.
    """
    try:
        _run_operations(machine)
    except BrokenPickle:
        raise
    except (ValueError, IndexError, KeyError, struct.error, UnicodeDecodeError, TypeError, OverflowError, AttributeError) as error:
        raise BrokenPickle(f"it can't be read past byte {machine.place}: {' '.join(str(error).split())[:120]}") from error
    return machine.left


def _run_operations(machine: Machine) -> None:
    read, file, meanings = machine.file.read, machine.file, MEANINGS
    while machine.left > 0:
        machine.left -= 1
        code = read(1)
        meaning = meanings.get(code)
        if meaning is None:
            place = machine.place
            raise BrokenPickle(f"byte {place - 1} is no operation of a pickle" if code else f"it ends in the middle, after {place} bytes")
        reader, act = meaning
        if act is not None:
            act(machine, reader(file) if reader is not None else None)
        elif not machine.leave():
            return
    machine.facts.whole = False
