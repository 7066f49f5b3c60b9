"""Uploads in parts."""

from __future__ import annotations

import tempfile

from deployer_localstack.aws.s3_bodies import JoinedParts


def test_joined_parts_read_as_one_file() -> None:
    pieces = [b"abc", b"", b"defgh", b"i"]
    files = []
    for piece in pieces:
        file = tempfile.TemporaryFile()  # noqa: SIM115
        file.write(piece)
        files.append((file, len(piece)))
    joined = JoinedParts(files)
    whole = b"".join(pieces)
    assert joined.read() == whole
    for start in range(len(whole) + 1):
        for size in range(len(whole) + 2):
            joined.seek(start)
            assert joined.read(size) == whole[start : start + size]
