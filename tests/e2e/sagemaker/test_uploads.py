"""Uploads that were killed in the middle: gone on with by the same content, removed where nobody wants them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time

import pytest

from deployer.artifacts import TarGz
from deployer.core.state import PackagedModel
from deployer_targets.sagemaker.upload import PART
from tests.e2e.sagemaker.cloud import BUCKET, REGION, ROLE, AwsHere
from tests.e2e.sagemaker.conftest import Models, User
from tests.e2e.stranger import DEPLOY
from tests.local_clouds import QUESTION, model_in

ANSWER = b'{"predictions": [2.0, 4.0]}'
PARTS = 12
TAKEN = 4


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> PackagedModel:
    """A model of twelve parts, none of which shrinks."""
    return model_in(tmp_path_factory.mktemp("large"), 2, noise=os.urandom(PART * PARTS - PART // 2))


def killed_in_the_middle(here: AwsHere, name: str, model: PackagedModel) -> set[int]:
    """Kill -9 strikes a create once some parts are there; the numbers of those that are."""
    here.control.clear_journal()
    command = [DEPLOY, "create", "-t", f"sagemaker:/{REGION}", "-n", name, "-m", str(model.path), "-C", f"execution_role_arn={ROLE}"]
    with (
        here.struck("slow", operation="UploadPart", seconds=0.3, count=None),
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)) as process,
    ):
        while len(answered(here)) < TAKEN:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.02)
        process.kill()
        while any(call["status"] is None for call in here.control.journal(operation="UploadPart")):
            time.sleep(0.02)  # what the dead one has sent already still arrives
    [upload] = uploads(here, name)
    return {part["PartNumber"] for part in here.boto("s3").list_parts(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])["Parts"]}


def answered(here: AwsHere) -> list[int]:
    """The numbers of the parts that S3 has taken since the journal was cleared."""
    return [int(call["parameters"]["partNumber"]) for call in here.control.journal(operation="UploadPart") if call["status"] == 200]


def uploads(here: AwsHere, name: str) -> list[dict[str, str]]:
    return list(here.boto("s3").list_multipart_uploads(Bucket=BUCKET, Prefix=f"deployer/{name}/").get("Uploads", ()))


def test_the_same_content_goes_on_where_it_was_killed(user: User, here: AwsHere, large: PackagedModel) -> None:
    name = user.name()
    there = killed_in_the_middle(here, name, large)
    assert TAKEN <= len(there) < PARTS
    here.control.clear_journal()
    assert user.client().create_deployment(name, str(large.path)).status == "ready"
    assert sorted(answered(here)) == sorted(set(range(1, PARTS + 1)) - there)
    [key] = [page["Key"] for page in here.boto("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"deployer/{name}/models/")["Contents"]]
    stored = here.boto("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert hashlib.sha256(stored).digest() == hashlib.sha256(b"".join(TarGz(large.path))).digest()
    assert uploads(here, name) == []
    assert user.client().query(name, QUESTION).body == ANSWER


def test_who_may_not_look_at_the_parts_sends_all_of_them(user: User, here: AwsHere, large: PackagedModel) -> None:
    name = user.name()
    killed_in_the_middle(here, name, large)
    here.control.clear_journal()
    with here.struck("error", operation="ListParts", count=None, code="AccessDenied", message="no", status=403):
        user.client().create_deployment(name, str(large.path))
    assert sorted(answered(here)) == [*range(1, PARTS + 1)]
    assert uploads(here, name) == []


def test_an_upload_with_another_encryption_is_another_one(user: User, here: AwsHere, large: PackagedModel) -> None:
    name = user.name()
    killed_in_the_middle(here, name, large)
    here.control.clear_journal()
    user.client(kms_key="alias/models").create_deployment(name, str(large.path))
    assert sorted(answered(here)) == [*range(1, PARTS + 1)]
    assert uploads(here, name) == []


def test_an_upload_that_nobody_wants_any_more_is_removed(user: User, here: AwsHere, large: PackagedModel, models: Models) -> None:
    name = user.name()
    killed_in_the_middle(here, name, large)
    user.client().create_deployment(name, models.doubler)
    assert uploads(here, name) == []


def test_delete_removes_an_upload_that_was_killed(user: User, here: AwsHere, large: PackagedModel) -> None:
    name = user.name()
    killed_in_the_middle(here, name, large)
    user.client().delete_deployment(name)
    assert here.everything_of(name) == ()
