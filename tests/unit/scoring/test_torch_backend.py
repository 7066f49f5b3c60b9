"""Which of PyTorch's builds a container that installs at start asks uv for, and that what uv can't have so is had as before."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deployer_scoring.errors import LoadError
from deployer_scoring.model.environment import install, torch_backend


@pytest.mark.parametrize("name", ["UV_TORCH_BACKEND", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_NO_INDEX", "UV_CONFIG_FILE", "UV_OFFLINE"])
def test_who_says_otherwise_is_heard(name: str) -> None:
    assert torch_backend({"UV_INDEX": "https://more"}, locked=False) == {"UV_TORCH_BACKEND": "auto"}
    assert torch_backend({name: ""}, locked=False)
    assert not torch_backend({name: "1"}, locked=False)
    assert not torch_backend({}, locked=True), "digests are those of other files"


@pytest.mark.parametrize(
    ("said", "installs", "times"),
    [("Failed to fetch: https://download.pytorch.org/whl/cpu/torch/", True, 2), ("no version of torch==1.0", True, 2), ("no numpy==0", False, 1)],
)
def test_without_that_build_what_the_indexes_have_is_installed(said: str, installs: bool, times: int, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    code = f"import os, sys; open({str(ran)!r}, 'a').write('x')\nif os.environ.get('UV_TORCH_BACKEND') or not {installs}: sys.exit({said!r})"
    command = [sys.executable, "-c", code]
    if installs:
        install(command, tmp_path, {"UV_TORCH_BACKEND": "auto"})
    else:
        with pytest.raises(LoadError, match="could not be installed"):
            install(command, tmp_path / "packages", {"UV_TORCH_BACKEND": "auto"})
    assert len(ran.read_text()) == times
