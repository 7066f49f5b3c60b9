"""Secrets in addresses are masked in every form that an address has, and nothing else is."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer_scoring import masking
from deployer_scoring.masking import learn, masked, masked_all, without_secrets

CANARY = "c4n4ry-S3CRET"


@pytest.fixture(autouse=True)
def nothing_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_learned", {})


@pytest.mark.parametrize(
    ("text", "shown", "kept"),
    [
        ("http://me:pw@host:5000/x", "http://***@host:5000/x", "http://host:5000/x"),
        ("http://token@host/x", "http://***@host/x", "http://host/x"),
        ("s3://key:se/cr+et=@bucket/model", "s3://***@bucket/model", "s3://bucket/model"),
        ("s3://key:p@ss@bucket/model", "s3://***@bucket/model", "s3://bucket/model"),
        ("https://me:p'\"w@host/", "https://***@host/", "https://host/"),
        ("postgresql+psycopg2://u:p%40w@db:5432/ml?sslmode=require&x=y", "postgresql+psycopg2://***@db:5432/ml?sslmode=require&x=***", ""),
        ("https://h/m.tgz?X-Amz-Algorithm=A&X-Amz-Signature=abc", "https://h/m.tgz?X-Amz-Algorithm=***&X-Amz-Signature=***", ""),
        ("https://h/m.tgz?versionId=1&sig=a%2Fb", "https://h/m.tgz?versionId=1&sig=***", "https://h/m.tgz?versionId=1"),
        ("https://h/m.tgz?abcdef", "https://h/m.tgz?***", "https://h/m.tgz?abcdef"),
        ("ours @ git+https://ghp_x@github.com/o/r@v1#egg=ours", "ours @ git+https://***@github.com/o/r@v1#egg=ours", ""),
        ("https://h/w.whl#sha256=ab&access_token=t", "https://h/w.whl#sha256=ab&access_token=***", "https://h/w.whl#sha256=ab"),
        ("https://a/x,https://u:p@b/y|http://v@c", "https://a/x,https://***@b/y|http://***@c", "https://a/x,https://b/y|http://c"),
        ("me:pw@ghcr.io/o/image:1", "***@ghcr.io/o/image:1", "ghcr.io/o/image:1"),
        ("wasbs://container:sas@account.blob.core.windows.net/m", "wasbs://***@account.blob.core.windows.net/m", ""),
        ("failed for url: /a/b?name=x&access_token=abc (Caused by X)", "failed for url: /a/b?name=x&access_token=*** (Caused by X)", ""),
        ("{'password': 'a b', \"api_key\": \"k\"}", "{'password': '***', \"api_key\": \"***\"}", ""),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***", ""),
        ("AccountName=a;AccountKey=k==;EndpointSuffix=s", "AccountName=a;AccountKey=***;EndpointSuffix=s", ""),
        ("fetched (https://u:p@h/x).", "fetched (https://***@h/x).", "fetched (https://h/x)."),
    ],
)
def test_what_is_secret_is_masked_and_can_be_taken_out(text: str, shown: str, kept: str) -> None:
    assert masked(text) == shown
    assert masked(shown) == shown
    if kept:
        assert without_secrets(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "models:/churn@champion",
        "models://profile@databricks/churn/3",
        "databricks://scope:prefix",
        "wasbs://container@account.blob.core.windows.net/model",
        "git+ssh://git@github.com/o/r@v1",
        "123.dkr.ecr.us-west-2.amazonaws.com/deployer-scoring:0.1-py311@sha256:" + "ab" * 32,
        "https://dev.azure.com/org/project/_build/results?buildId=42",
        "https://[::1]:8080/a@b, http://localhost:5000/x@y",
        "arn:aws:iam::123456789012:role/Scorer",
        "save it with signature=infer_signature(...), max_tokens=5, tokenizer=fast, author=me, TOKEN=(hidden)",
        "ours @ https://host/ours.whl?download=1#sha256=ab",
        "mail me at someone@example.com",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text
    if "download" not in text:
        assert masked(text) == text


def test_a_piece_of_a_known_secret_is_masked_where_a_library_quotes_it() -> None:
    learn(f"https://me:{CANARY}/x@host/", f"http://u:p%40{CANARY}@h")
    assert masked(f"Invalid port: '{CANARY}'; can't decode p@{CANARY}!") == "Invalid port: '***'; can't decode ***!"


def test_words_and_numbers_are_not_taken_for_secrets_wherever_they_stand() -> None:
    learn("http://user:password@host", "http://user:12345678@host", "http://u:x1@host")
    assert masked("a password of 12345678 letters, x1") == "a password of 12345678 letters, x1"


def test_documents_are_masked_by_their_texts_and_by_their_keys() -> None:
    found = masked_all({"url": "http://u:p@h", "list": [("http://u:p@h", 1)], "token": "abc", "tokens": 5, "secret": None, "http://u:p@h": 1})
    assert found == {"url": "http://***@h", "list": [["http://***@h", 1]], "token": "***", "tokens": 5, "secret": None, "http://***@h": 1}


_SAFE = st.text("abcXYZ019._~-", max_size=8)
_FORMS = st.sampled_from(
    [
        "{scheme}://{user}:{secret}@{host}/{path}",
        "{scheme}://{secret}@{host}/{path}",
        "{scheme}://{user}:{secret}/{path}@{host}:80/x",
        "{scheme}://{user}:{path}#{secret}@{host}x/",
        "{scheme}://{user}:a@{secret}@{host}/",
        "{scheme}://{host}/{path}?{user}=1&X-Amz-Signature={secret}&b=2",
        "{scheme}://{host}/{path}?{secret}",
        "{scheme}://{host}/{path}?whatever={secret}",
        "{scheme}://{host}/{path}?next={scheme}://{user}:{secret}@{host}",
        "{scheme}://{host}/{path},{scheme}://{user}:{secret}@{host}/",
        "{user}:{secret}@{host}.io/{path}",
        "/{path}?x=1&token={secret}",
    ]
)


@settings(deadline=None)
@given(
    form=_FORMS,
    fields=st.fixed_dictionaries(
        {
            "scheme": st.sampled_from(["http", "https", "s3", "git+https", "postgresql", "HTTPS", "mlflow-artifacts", "redis"]),
            "user": st.text("abXY09_-", min_size=1, max_size=8),
            "host": st.sampled_from(["host", "a.example.com", "10.0.0.1", "[::1]"]),
            "path": _SAFE,
            "secret": st.text("abcXYZ0189!$*+%~_.-", max_size=6).map(lambda more: CANARY + more),
        }
    ),
    around=st.sampled_from(["{}", "see {}.", "'{}'", '"{}"', "({})", "x={}, y", "<{}>", "[{!r}]", "\n{}\n", "Failed to fetch: `{}`"]),
)
def test_no_form_of_an_address_lets_a_secret_through(form: str, fields: Any, around: str) -> None:
    text = around.format(form.format_map(fields))
    shown = masked(text)
    assert CANARY not in shown
    assert masked(shown) == shown
    assert CANARY not in json.dumps(masked_all({"a": [text], text: 1}))
    if not form.startswith("/"):
        assert CANARY not in without_secrets(text)


@pytest.mark.parametrize("piece", ["a", "://", "a:", "u@", "x.token", "authorization:", "'token':'", "https://u:p", "?a=b&", "@host.x:"])
def test_no_text_takes_longer_than_its_length(piece: str) -> None:
    begun = time.process_time()
    masked(piece * (300_000 // len(piece)))
    assert time.process_time() - begun < 5
