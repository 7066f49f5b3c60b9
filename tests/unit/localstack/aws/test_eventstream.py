"""Framing of streamed answers."""

from __future__ import annotations

from botocore.eventstream import EventStreamBuffer

from deployer_localstack.aws import eventstream


def test_event_streams_are_read_by_botocore() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(eventstream.payload_part(b"piece") + eventstream.model_stream_error("broke", "X"))
    first, second = list(buffer)
    assert (first.headers[":event-type"], first.payload) == ("PayloadPart", b"piece")
    assert second.headers[":exception-type"] == "ModelStreamError"
