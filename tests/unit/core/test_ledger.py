"""Records and claim, kept the same way by every store: S3's (moto in this process) and a supervisor's memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from deployer.core.ledger import Claim, Ledger, claim_by_comparing
from deployer.core.state import FORMAT, DeploymentName, Digest, ModelFacts, Record
from deployer.errors import Conflict, MachineFault
from deployer_targets.local.ledger import MemoryLedger
from deployer_targets.sagemaker import buckets, store
from deployer_targets.sagemaker.client import Aws, RegionClients
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.ledger import S3Ledger
from deployer_targets.sagemaker.names import Home

HOME = Home("sagemaker-ours", "churn")
STORED = (Path(__file__).parent / "records" / "format-1.json").read_text()


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name, value in {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        cloud = Aws(RegionClients("us-west-2", deadline_seconds=0.3, sleep=lambda _: None), SageMakerConfig())
        buckets.ensure(cloud, HOME.bucket)
        yield cloud


@pytest.fixture(params=["s3", "memory"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    return S3Ledger(request.getfixturevalue("cloud"), HOME) if request.param == "s3" else MemoryLedger("churn")


def record(generation: str, **changes: Any) -> Record:
    facts = ModelFacts("models:/churn/1", Digest("sha256:0"))
    return replace(Record(DeploymentName("churn"), generation, facts, "image", {"count": 1}, Digest("sha256:1"), ()), **changes)


def test_what_is_written_is_read_until_it_is_dropped(ledger: Ledger) -> None:
    assert ledger.read() == {}
    assert ledger.write(record("0000000001")) is True
    assert ledger.write(record("0000000001")) is False
    assert ledger.write(record("0000000002", packages="image", endpoint="red")) is True
    assert ledger.write(record("0000000001", options={"count": 2})) is True
    expected = {"0000000001": record("0000000001", options={"count": 2}), "0000000002": record("0000000002", packages="image", endpoint="red")}
    assert ledger.read() == expected
    assert ledger.drop(["0000000001", "00000000ff"]) is True
    assert ledger.drop(["0000000001"]) is False
    assert list(ledger.read()) == ["0000000002"]


def test_the_newest_claim_holds_and_whoever_had_it_finds_out(ledger: Ledger) -> None:
    for run in ("one", "two"):
        with pytest.raises(Conflict):
            ledger.verify(run)
    ledger.claim("one")
    ledger.claim("one")
    ledger.verify("one")
    ledger.claim("two")
    ledger.verify("two")
    with pytest.raises(Conflict, match="a newer run has claimed it"):
        ledger.verify("one")
    assert ledger.read() == {}


@dataclass
class Store:
    """Compare-and-set over a number. `meanwhile` happens between the look and the write, each time."""

    meanwhile: Callable[[Store], None] = lambda _: None
    holder: str | None = None
    version: int = 0

    def look(self) -> Claim[int]:
        seen = Claim(self.holder, self.version)
        self.meanwhile(self)
        return seen

    def put(self, run: str, version: int) -> bool:
        if version != self.version:
            return False
        self.holder, self.version = run, version + 1
        return True


def test_a_write_that_comes_late_takes_nothing_from_a_newer_run() -> None:
    """The look of a run that is dead by then was before the newer one's."""
    store = Store()
    late = store.look()
    claim_by_comparing("churn", "newer", store.look, lambda version: store.put("newer", version))
    assert store.put("late", late.version) is False
    assert store.holder == "newer"


def test_who_is_overtaken_in_the_middle_looks_again_and_gives_up_in_words_at_last() -> None:
    def once(store: Store) -> None:
        store.meanwhile = lambda _: None
        store.put("other", store.version)

    store = Store(once)
    claim_by_comparing("churn", "one", store.look, lambda version: store.put("one", version))
    assert store.holder == "one"
    store = Store(lambda store: store.put("other", store.version) and None)
    with pytest.raises(Conflict, match="others claim churn at the same moment"):
        claim_by_comparing("churn", "one", store.look, lambda version: store.put("one", version))


def test_a_lost_answer_is_known_by_the_next_look() -> None:
    store, answers = Store(), [False]

    def put(version: int) -> bool:
        done = store.put("one", version)
        return answers.pop() if answers else done

    claim_by_comparing("churn", "one", store.look, put)
    assert (store.holder, store.version) == ("one", 1)


def test_s3_itself_compares(cloud: Aws) -> None:
    ledger = S3Ledger(cloud, HOME)
    late = ledger._look()
    ledger.claim("newer")
    assert ledger._put("late", late.version) is False
    late = ledger._look()
    ledger.claim("newest")
    assert ledger._put("late", late.version) is False
    cloud.call("s3", "delete_object", Bucket=HOME.bucket, Key=HOME.claim)
    assert ledger._put("late", late.version) is False
    with pytest.raises(Conflict, match="somebody released it"):
        ledger.verify("newest")


def test_a_stored_record_of_an_older_format_is_read(cloud: Aws) -> None:
    cloud.call("s3", "put_object", Bucket=HOME.bucket, Key=HOME.record("f6a14bd8ff"), Body=STORED.encode())
    found = S3Ledger(cloud, HOME).read()["f6a14bd8ff"]
    assert (found.model.uri, found.replaces, found.options["instance_count"]) == ("models:/churn/3", "91ab44c20d", 2)
    assert (found.packages, found.endpoint, store.key_of(found)) == ("auto", None, "alias/models")
    assert [each.kind for each in found.resources] == ["data", "model", "endpoint-config"]
    config = SageMakerConfig.parse({}, target="sagemaker").completed(found, (), target="sagemaker")
    assert (config.instance_count, config.tags) == (2, {"team": "growth"})
    assert json.loads(found.to_json())["format"] == FORMAT


def test_one_of_a_newer_format_is_refused_in_words_and_not_swept_as_rubbish(cloud: Aws) -> None:
    newer = {**json.loads(STORED), "format": FORMAT + 1, "shares": "of another world"}
    cloud.call("s3", "put_object", Bucket=HOME.bucket, Key=HOME.record("f6a14bd8ff"), Body=json.dumps(newer).encode())
    with pytest.raises(MachineFault, match=rf"generation f6a14bd8ff of churn has format {FORMAT + 1}.*reads up to {FORMAT}") as refused:
        S3Ledger(cloud, HOME).read()
    assert "pip install --upgrade" in refused.value.advice
