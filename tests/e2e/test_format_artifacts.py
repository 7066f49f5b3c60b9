"""Artifacts of a model fetched from a web server and from S3 while it is saved."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from deployer.artifacts.download import fetch_artifact
from deployer.errors import ConfigInvalid, ModelNotFound
from tests.e2e.test_model_uris import _put, python_for_s3, web  # noqa: F401  the last two are fixtures
from tests.servers import aws

_FETCH = """
import json, pathlib, sys, tempfile
from deployer.errors import DeployerError
from deployer.artifacts.download import fetch_artifact

for uri in sys.argv[1:]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = fetch_artifact(uri, pathlib.Path(folder))
            files = [found] if found.is_file() else sorted(each for each in found.rglob("*") if each.is_file())
            print(json.dumps({str(each.relative_to(folder)): each.read_text() for each in files}))
        except DeployerError as error:
            print(json.dumps(error.code))
"""


def test_an_artifact_of_the_web_is_fetched(web: tuple[str, Path], tmp_path: Path) -> None:  # noqa: F811
    address, directory = web
    (directory / "my words.txt").write_text("hello")
    found = fetch_artifact(f"{address}/my%20words.txt?token=secret", tmp_path)
    assert (found.name, found.read_text()) == ("my words.txt", "hello")
    with pytest.raises(ModelNotFound, match="answers 404") as refused:
        fetch_artifact(f"{address}/absent?token=secret", tmp_path)
    assert "secret" not in str(refused.value)
    with pytest.raises(ConfigInvalid, match="ftp"):
        fetch_artifact("ftp://host/file", tmp_path)


def test_files_and_prefixes_are_fetched_from_s3(python_for_s3: Path) -> None:  # noqa: F811
    root = Path(__file__).parents[2]
    with aws() as endpoint:
        _put(endpoint, "things", {"w.txt": b"w", "tree/a.txt": b"a", "tree/deep/b.txt": b"b"})
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
        variables = {**os.environ, **keys, "PYTHONPATH": f"{root}:{root}/images", "AWS_ENDPOINT_URL": endpoint}
        uris = ["s3://things/w.txt", "s3://things/tree", "s3://things/tree/", "s3://things/absent"]
        command = [str(python_for_s3), "-c", _FETCH, *uris]
        done = subprocess.run(command, env=variables, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tree = {"tree/a.txt": "a", "tree/deep/b.txt": "b"}
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"w.txt": "w"}, tree, tree, "model-not-found"]
