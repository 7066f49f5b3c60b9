"""Model URIs taken apart."""

from pathlib import Path

import pytest

from deployer.artifacts import candidate_name
from deployer.artifacts.stores import location
from deployer.artifacts.uri import Kind, parse
from deployer.errors import ConfigInvalid


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("./models/churn", "churn"),
        ("models/churn/", "churn"),
        ("file:///srv/my%20churn", "my churn"),
        ("/srv/churn.tar.gz", "churn"),
        ("models:/churn/3", "churn"),
        ("models:/churn/latest", "churn"),
        ("models:/churn@champion", "churn"),
        ("models:/main.ml.churn/3", "main.ml.churn"),
        ("models:/m-0123", "m-0123"),
        ("runs:/0123/deep/model", "model"),
        ("runs:/0123/model/", "model"),
        ("s3://bucket/models/churn/", "churn"),
        ("s3://bucket/churn.tgz", "churn"),
        ("s3://bucket", "bucket"),
        ("gs://bucket/churn", "churn"),
        ("wasbs://box@account.blob.core.windows.net/churn", "churn"),
        ("https://example.com/churn.zip?signature=x", "churn"),
        ("mlflow-artifacts:/1/0123/artifacts/churn", "churn"),
    ],
)
def test_a_deployment_may_be_called_like_its_model(uri: str, name: str) -> None:
    assert candidate_name(uri) == name


def test_the_current_directory_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "churn").mkdir()
    monkeypatch.chdir(tmp_path / "churn")
    assert candidate_name(".") == "churn"


@pytest.mark.parametrize("uri", ["/", "models:/", "https://"])
def test_a_uri_without_a_name_in_it_is_refused(uri: str) -> None:
    with pytest.raises(ConfigInvalid, match="has no name in it"):
        candidate_name(uri)


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("churn", Kind.LOCAL),
        ("FILE:/churn", Kind.LOCAL),
        ("S3://b/k", Kind.STORE),
        ("abfss://c@a.dfs.core.windows.net/k", Kind.STORE),
        ("https://x/y", Kind.WEB),
        ("models:/a/1", Kind.MLFLOW),
        ("runs:/1/a", Kind.MLFLOW),
        ("mlflow-artifacts:/1", Kind.MLFLOW),
    ],
)
def test_each_scheme_is_known_by_whoever_fetches_it(uri: str, kind: Kind) -> None:
    assert parse(uri).kind is kind


@pytest.mark.parametrize("uri", ["", "  ", "ftp://host/model", "hdfs:/x"])
def test_what_nobody_fetches_is_refused_with_what_is_known(uri: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse(uri)
    assert "models:/NAME@ALIAS" in caught.value.advice


@pytest.mark.parametrize(
    ("uri", "server"),
    [
        ("models://prof@databricks/churn/1", "databricks://prof"),
        ("models://Prof@Databricks/churn/1", "databricks://Prof"),
        ("models://scope:prefix@databricks/churn/1", "databricks://scope:prefix"),
        ("models://databricks/churn/1", "databricks"),
        ("models://prof@databricks-uc/main.ml.churn@champion", "databricks-uc://prof"),
        ("runs://prof@databricks/0123/model", "databricks://prof"),
        ("dbfs://prof@databricks/models/churn", "databricks://prof"),
        ("models:/churn/1", None),
        ("models:///churn/1", None),
        ("dbfs:/models/churn", None),
        ("mlflow-artifacts://host:5000/1", None),
        ("s3://databricks/churn", None),
    ],
)
def test_a_uri_may_name_the_server_itself(uri: str, server: str | None) -> None:
    assert parse(uri).server == server
    assert parse(uri).public == uri


@pytest.mark.parametrize(
    ("uri", "advice"),
    [
        ("models://churn/1", "write models:/churn/1"),
        ("models://prof@elsewhere/churn/1", "models://PROFILE@databricks/"),
        ("models://mlflow.example.com:5000/churn/1", "--registry-uri"),
        ("runs://0123/model", "write runs:/0123/model"),
        ("runs://prof@databricks-uc/0123/model", "runs://PROFILE@databricks/"),
        ("dbfs://models/churn", "write dbfs:/models/churn"),
        ("models://user:geheim@host/churn/1", "models://PROFILE@databricks/"),
    ],
)
def test_a_server_that_nobody_knows_is_refused_and_not_left_out(uri: str, advice: str) -> None:
    with pytest.raises(ConfigInvalid, match="names a server") as caught:
        parse(uri)
    assert advice in caught.value.advice
    assert "geheim" not in str(caught.value)


def test_a_directory_with_a_colon_in_its_name_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("v1:final").mkdir()
    assert parse("v1:final").path == Path("v1:final")


def test_a_file_of_another_host_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="on the host elsewhere") as caught:
        _ = parse("file://elsewhere/srv/churn").path
    assert "file:///srv/churn" in caught.value.advice


def test_a_home_directory_is_found() -> None:
    assert parse("~/churn").path == Path.home() / "churn"


@pytest.mark.parametrize(
    ("uri", "public"),
    [
        ("https://user:geheim@example.com/m.zip?X-Amz-Signature=geheim#x", "https://example.com/m.zip"),
        ("wasbs://box@account.blob.core.windows.net/m?sig=geheim", "wasbs://box@account.blob.core.windows.net/m"),
        ("s3://bucket/m", "s3://bucket/m"),
        ("models:/churn@champion", "models:/churn@champion"),
    ],
)
def test_what_may_be_printed_has_no_secret_in_it(uri: str, public: str) -> None:
    assert parse(uri).public == public


@pytest.mark.parametrize(
    ("uri", "known_as"),
    [
        ("s3://bucket/a/b/", ("s3", "bucket/a/b", {})),
        ("s3a://bucket/a", ("s3", "bucket/a", {})),
        ("gs://bucket/a", ("gs", "bucket/a", {})),
        ("wasbs://box@account.blob.core.windows.net/a/b", ("abfs", "box/a/b", {"account_name": "account"})),
        ("abfss://box@account.dfs.core.windows.net/a/b", ("abfs", "box/a/b", {"account_name": "account"})),
        ("abfss://box/a/b", ("abfs", "box/a/b", {})),
    ],
)
def test_the_addresses_of_one_store_lead_to_one_place(uri: str, known_as: tuple[str, str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_S3_ENDPOINT_URL", raising=False)
    assert location(parse(uri)) == known_as


def test_mlflows_name_for_another_s3_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://minio:9000")
    assert location(parse("s3://bucket/a")) == ("s3", "bucket/a", {"endpoint_url": "http://minio:9000"})


def test_a_store_without_a_bucket_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="names no bucket"):
        location(parse("s3:///a"))
