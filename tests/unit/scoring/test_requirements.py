"""What a model needs, from the files beside its MLmodel."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer_scoring.errors import MLModelError
from deployer_scoring.model.requirements import constraints, python_version, requirements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mlflow==3.1\nnumpy>=1,<3\n", ("mlflow==3.1", "numpy>=1,<3")),
        ("# a comment\n\nnumpy  # why\n", ("numpy",)),
        ("package @ https://host/a#egg=b\n", ("package @ https://host/a#egg=b",)),
        ("--index-url https://user:secret@host/simple\n-f wheels\nnumpy\n", ("numpy",)),
        ("-r more.txt\nnumpy\n", ("scipy", "numpy")),
        ("-c limits.txt\nnumpy\n", ("numpy",)),
        ('numpy; python_version < "3.12"\n', ('numpy; python_version < "3.12"',)),
        ("numpy==1.0 \\\n  --hash=sha256:00\n", ("numpy==1.0",)),
        ("", ()),
    ],
)
def test_requirements_txt_is_read_as_pip_reads_it_without_its_options(tmp_path: Path, text: str, expected: tuple[str, ...]) -> None:
    (tmp_path / "more.txt").write_text("scipy\n")
    (tmp_path / "limits.txt").write_text("numpy<2\n")
    (tmp_path / "requirements.txt").write_text(text)
    (tmp_path / "conda.yaml").write_text("dependencies: [never-read]")
    assert requirements(tmp_path) == expected
    assert constraints(tmp_path) == (("numpy<2",) if "limits" in text else ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dependencies:\n- python=3.8.5\n- pip\n- pip:\n  - mlflow\n  - scikit-learn==0.23.2\n", ("mlflow", "scikit-learn==0.23.2")),
        ("dependencies:\n- python=3.6.2\n- scikit-learn=0.19.1\n- pip:\n  - mlflow>=1.0\n", ("scikit-learn==0.19.1", "mlflow>=1.0")),
        ("dependencies: [pytorch=1.6, numpy=1.19.2=py37_0, cudatoolkit=10.2]", ("torch==1.6.*", "numpy==1.19.2")),
        ("dependencies: ['conda-forge::xgboost>=1.0', pandas=1.*, scipy]", ("xgboost>=1.0", "pandas==1.*", "scipy")),
        ("dependencies: [{pip: ['--extra-index-url https://user:secret@host', mlflow]}]", ("mlflow",)),
        ("name: env\n", ()),
        ("", ()),
    ],
)
def test_without_requirements_txt_conda_yaml_says_what_is_needed(tmp_path: Path, text: str, expected: tuple[str, ...]) -> None:
    (tmp_path / "conda.yaml").write_text(text)
    assert requirements(tmp_path) == expected


def test_a_model_without_either_file_requires_nothing(tmp_path: Path) -> None:
    assert (requirements(tmp_path), python_version(tmp_path)) == ((), None)


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("python_env.yaml", "python: 3.11.7\ndependencies: [-r requirements.txt]\n", "3.11.7"),
        ("python_env.yaml", "dependencies: []\n", None),
        ("conda.yaml", "dependencies: [python=3.8.5, pip]\n", "3.8.5"),
        ("conda.yaml", "dependencies: [python==3.7]\n", "3.7"),
        ("conda.yaml", "dependencies: [python=3.9.*]\n", "3.9"),
        ("conda.yaml", "dependencies: ['python>=3.6', python-dateutil=2.8]\n", None),
    ],
)
def test_the_python_is_read_from_either_environment_file(tmp_path: Path, file: str, text: str, expected: object) -> None:
    (tmp_path / file).write_text(text)
    assert python_version(tmp_path) == expected


@pytest.mark.parametrize(
    ("file", "text", "place"),
    [
        ("conda.yaml", "dependencies:\n- a: [\n", "conda.yaml:3"),
        ("conda.yaml", "- a\n", "conda.yaml"),
        ("conda.yaml", "dependencies: text\n", "conda.yaml"),
        ("requirements.txt", "-r absent.txt\n", "absent.txt"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, file: str, text: str, place: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(MLModelError) as caught:
        requirements(tmp_path)
    assert caught.value.file == place
