"""What the journal keeps of a call."""

from __future__ import annotations

from typing import Any

from deployer_localstack.aws.requests import Call
from deployer_localstack.control.journal import Journal


def call(operation: str = "CreateModel", service: str = "sagemaker", **parameters: Any) -> Call:
    return Call(service, operation, "us-east-1", "AKIAX", parameters)


def test_the_journal_hides_values_and_cuts_what_is_long() -> None:
    journal = Journal()
    journal.open(call(PrimaryContainer={"Environment": {"TOKEN": "geheim"}}, Text="x" * 1000), "agent")
    parameters = journal.entries()[0]["parameters"]
    assert parameters["PrimaryContainer"]["Environment"] == {"TOKEN": "***"}
    assert len(parameters["Text"]) < 300


def test_the_journal_is_read_by_service_operation_and_number() -> None:
    journal = Journal()
    for operation in ("A", "B", "A"):
        journal.open(call(operation), "")
    assert [entry["number"] for entry in journal.entries(operation="A")] == [1, 3]
    assert [entry["number"] for entry in journal.entries(after=1)] == [2, 3]
    assert journal.entries(service="s3") == []
