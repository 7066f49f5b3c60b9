"""Package indexes as pip and uv are configured, in uv's variables; uv's failures in our errors."""

from pathlib import Path

import pytest

from deployer.errors import CredentialsInvalid, MachineFault, ModelInvalid, TargetUnavailable
from deployer_images import indexes
from deployer_images.faults import BuildFailed, fault_of
from deployer_images.indexes import uv_variables
from deployer_images.locks import Lock, name_of


@pytest.fixture(autouse=True)
def unconfigured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home where neither pip nor uv is told anything."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST", "PIP_CERT", "PIP_NO_INDEX", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX", "UV_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    file = tmp_path / "pip.conf"
    file.write_text("")
    monkeypatch.setattr(indexes, "_pip_files", lambda: iter([file]))
    return file


def test_pips_variables_are_said_in_uvs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example.com/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a.example.com https://b.example.com")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels /more")
    monkeypatch.setenv("PIP_CERT", "/etc/bundle.pem")
    found = uv_variables()
    assert found["UV_DEFAULT_INDEX"] == "https://packages.example.com/simple"
    assert found["UV_INDEX"] == "https://a.example.com https://b.example.com"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert (found["UV_FIND_LINKS"], found["SSL_CERT_FILE"]) == ("/wheels,/more", "/etc/bundle.pem")


def test_pips_file_is_read_and_its_variables_win(unconfigured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unconfigured.write_text("[global]\nindex-url = https://file.example.com\ntrusted-host = file.example.com\n[install]\nno-index = true\n")
    assert uv_variables()["UV_DEFAULT_INDEX"] == "https://file.example.com"
    assert (uv_variables()["UV_INSECURE_HOST"], uv_variables()["UV_NO_INDEX"]) == ("file.example.com", "true")
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable.example.com")
    assert uv_variables()["UV_DEFAULT_INDEX"] == "https://variable.example.com"


def test_what_uv_is_told_itself_wins_over_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example.com")
    monkeypatch.setenv("UV_INDEX", "https://uv.example.com")
    assert "UV_DEFAULT_INDEX" not in uv_variables()
    monkeypatch.delenv("UV_INDEX")
    (tmp_path / ".config" / "uv").mkdir(parents=True)
    (tmp_path / ".config" / "uv" / "uv.toml").write_text('[[index]]\nurl = "https://uv.example.com"\n')
    assert "UV_DEFAULT_INDEX" not in uv_variables()


def test_nothing_of_the_callers_environment_leads_uv_astray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert not {"VIRTUAL_ENV", "PYTHONPATH"} & set(uv_variables())


def test_a_named_bundle_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/bundle.pem")
    assert uv_variables(tmp_path / "company.pem")["SSL_CERT_FILE"] == str(tmp_path / "company.pem")


def test_a_line_of_a_lock_is_known_by_its_name() -> None:
    assert [name_of(line) for line in ("Foo_Bar==1.0", "ours @ https://x", "zope.interface==1 ; python_version > '3'")] == [
        "foo-bar",
        "ours",
        "zope-interface",
    ]


def test_a_lock_lists_everything_that_is_installed() -> None:
    assert Lock("3.11", ("b==1",), ("a==1",)).all == ("a==1", "b==1")


@pytest.mark.parametrize(
    ("said", "kind", "why"),
    [
        (
            "error: No solution found when resolving dependencies\n  cause: Because you require a==1 and a==2, your requirements are unsatisfiable.",
            ModelInvalid,
            "Because you require a==1 and a==2",
        ),
        (
            "  × No solution found when resolving dependencies:\n  ╰─▶ Because nothing was not found in the package registry",
            ModelInvalid,
            "Because nothing was not found",
        ),
        ("error: Failed to fetch: `https://me:hunter2@a.example.com/simple/numpy/`\n  Caused by: dns error", TargetUnavailable, "dns error"),
        (
            "error: Failed to fetch: `https://a.example.com/simple/`\n  Caused by: HTTP status client error (401 Unauthorized)",
            CredentialsInvalid,
            "401",
        ),
        ("error: failed to write to file\n  Caused by: No space left on device (os error 28)", MachineFault, "No space left"),
        (
            "error: Failed to build `ours==1.0`\n  cause: The build backend returned an error\n"
            "\n         [stdout]\n         looking\n\n         [stderr]\n         connection refused\n         fatal: no libfoo.h\n\nhint: x",
            BuildFailed,
            "fatal: no libfoo.h",
        ),
        (
            "error: subprocess-exited-with-error\n  × Getting requirements did not run successfully.\n  ╰─> [2 lines of output]\n      looking\n"
            "      fatal: no libfoo.h\n      [end of output]\nERROR: Failed to build 'ours' when getting requirements to build wheel",
            BuildFailed,
            "fatal: no libfoo.h",
        ),
        (
            "error: Failed to build `ours==1.0`\n  cause: Failed to install requirements from `setup.py` build\n  cause: No solution found",
            ModelInvalid,
            "Failed to install requirements",
        ),
        ("error: Failed to download `a==1`\n  cause: Hash mismatch for `a==1`\n\n  Expected:\n    sha256:00", ModelInvalid, "Hash mismatch"),
        ("error: Distribution not found at: file:///x/a-1-py3-none-any.whl", ModelInvalid, "Distribution not found"),
        ("error: something else", MachineFault, "something else"),
    ],
)
def test_what_uv_says_becomes_one_of_our_errors(said: str, kind: type[Exception], why: str) -> None:
    fault = fault_of("resolving the requirements", said)
    assert type(fault) is kind
    assert why in fault.why
    assert "hunter2" not in f"{fault.message} {fault.why}"
