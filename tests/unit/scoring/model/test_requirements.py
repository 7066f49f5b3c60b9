"""What a model needs, from the files beside its MLmodel."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer_scoring.errors import MLModelError
from deployer_scoring.model.own_paths import on_this_machine, path_of
from deployer_scoring.model.requirements import build_dependencies, needs, python_version, requirements


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
    assert needs(tmp_path).requirements == expected
    assert needs(tmp_path).constraints == (("numpy<2",) if "limits" in text else ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dependencies:\n- python=3.8.5\n- pip\n- pip:\n  - mlflow\n  - scikit-learn==0.23.2\n", ("mlflow", "scikit-learn==0.23.2")),
        ("dependencies:\n- python=3.6.2\n- scikit-learn=0.19.1\n- pip:\n  - mlflow>=1.0\n", ("scikit-learn==0.19.1", "mlflow>=1.0")),
        ("dependencies: [pytorch=1.6, numpy=1.19.2=py37_0, cudatoolkit=10.2]", ("torch==1.6.*", "numpy==1.19.2")),
        ("dependencies: ['conda-forge::xgboost>=1.0', pandas=1.*, scipy]", ("xgboost>=1.0", "pandas==1.*", "scipy")),
        ("dependencies: [{pip: ['--extra-index-url https://user:secret@host', mlflow]}]", ("mlflow",)),
        (
            "dependencies: [numpy 1.8.1, scipy 1.8.* py39_0, pandas = 1.2, xgboost == 1.2]",
            ("numpy==1.8.1", "scipy==1.8.*", "pandas==1.2.*", "xgboost==1.2"),
        ),
        ("dependencies: [\"numpy[version='>=1.11,<2', build=py_0]\", 'scipy[build=x]', 'numba >=1, <2']", ("numpy>=1.11,<2", "scipy", "numba>=1,<2")),
        (
            "dependencies: [pytables=3.7, dask-core, opencv=4.5, cuda-python=12]",
            ("tables==3.7.*", "dask", "opencv-python-headless==4.5.*", "cuda-python==12.*"),
        ),
        # As `conda env export` has it.
        (
            "dependencies: [_libgcc_mutex=0.1=main, openssl=1.1.1t=h7f8727e_0, zstd=1.5, libxgboost=1.7, cuda-nvcc, openjdk, librosa=0.9.2]",
            ("librosa==0.9.2",),
        ),
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


OURS = "ours_package-1.0-py3-none-any.whl"
KEPT = f"ours-package @ file:code/{OURS}"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A model with a wheel, a source distribution and a package's source in its code folder."""
    for path in ("code/pkg", "sub/wheels"):
        (tmp_path / "model" / path).mkdir(parents=True)
    for path in (f"code/{OURS}", "code/src-2.0.tar.gz", "sub/wheels/beside-1.0-py3-none-any.whl"):
        (tmp_path / "model" / path).write_bytes(b"")
    (tmp_path / "outside-1.0-py3-none-any.whl").write_bytes(b"")
    (tmp_path / "model" / "code" / "pkg" / "pyproject.toml").write_text('[build-system]\nrequires = []\n[project]\nversion = "1"\nname = "The.Pkg"\n')
    (tmp_path / "model" / "sub" / "more.txt").write_text(f"../code/{OURS}\nwheels/beside-1.0-py3-none-any.whl\n-c ../limits.txt\n")
    (tmp_path / "model" / "limits.txt").write_text(f"scipy<2\ncode/{OURS}\n")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (f"code/{OURS}", KEPT),
        (f"./code/{OURS}", KEPT),
        (f"code\\{OURS}", KEPT),
        (f".\\code\\{OURS}", KEPT),
        (f"file:code/{OURS}", KEPT),
        (f"file:./code/{OURS}", KEPT),
        (f"file://code/{OURS}", KEPT),
        (f"file://{{model}}/code/{OURS}", KEPT),
        (f"{{model}}/code/{OURS}", KEPT),
        (f"ours_package @ file:code/{OURS}", f"ours_package @ file:code/{OURS}"),
        (f"ours-package @ ./code/{OURS}", KEPT),
        (f"code/{OURS}[fast]; python_version > '3'", f"ours-package[fast] @ file:code/{OURS} ; python_version > '3'"),
        (f"code/{OURS} --hash=sha256:00", KEPT),
        ("code/src-2.0.tar.gz", "src @ file:code/src-2.0.tar.gz"),
        ("./code/pkg", "the-pkg @ file:code/pkg"),
        ("-e code/pkg[x]", "the-pkg[x] @ file:code/pkg"),
        ("--editable=.", "file:."),
        # What is not the model's is left as it is.
        ("/dbfs/tmp/ours-1.0-py3-none-any.whl", "/dbfs/tmp/ours-1.0-py3-none-any.whl"),
        ("C:\\wheels\\ours.whl", "C:\\wheels\\ours.whl"),
        ("code/absent-1.0-py3-none-any.whl", "code/absent-1.0-py3-none-any.whl"),
        ("-e git+https://host/x#egg=y", "git+https://host/x#egg=y"),
        ("numpy>=1,<2; python_version < '3'", "numpy>=1,<2; python_version < '3'"),
    ],
)
def test_what_lies_in_the_model_s_directory_is_kept_relative_to_it(own: Path, line: str, kept: str) -> None:
    (own / "requirements.txt").write_text(line.replace("{model}", str(own)))
    (found,) = requirements(own)
    assert found == kept
    if path := path_of(found):
        assert f"file://{own.resolve()}" in on_this_machine(found, own / path)


def test_included_files_constraints_and_folders_name_it_too(own: Path) -> None:
    for text in ("-r sub/more.txt\n-f code\n", "--requirement=sub\\more.txt\n--find-links ./code/\n"):
        (own / "requirements.txt").write_text(text)
        found = needs(own)
        assert found.requirements == (KEPT, "beside @ file:sub/wheels/beside-1.0-py3-none-any.whl")
        assert found.constraints == ("scipy<2", KEPT)
        assert found.links == ("code",)


def test_the_pip_section_of_conda_yaml_is_read_as_a_requirements_file(own: Path) -> None:
    (own / "conda.yaml").write_text(
        f"dependencies: [python=3.11, scipy=1.9, {{pip: ['code/{OURS}', '-c limits.txt', '-r sub/more.txt', '-f code']}}]\n"
    )
    found = needs(own)
    assert found.requirements == ("scipy==1.9.*", KEPT, KEPT, "beside @ file:sub/wheels/beside-1.0-py3-none-any.whl")
    assert (found.constraints, found.links) == (("scipy<2", KEPT, "scipy<2", KEPT), ("code",))


@pytest.mark.parametrize(
    "line",
    [
        "../outside-1.0-py3-none-any.whl",
        "code/../../outside-1.0-py3-none-any.whl",
        "..\\outside-1.0-py3-none-any.whl",
        "file:../nowhere.whl",
        "-e ..",
        "-r ../more.txt",
        "-c ..\\limits.txt",
        "-f ../wheels",
        "linked.whl",
        "-r https://user:secret@host/more.txt",
    ],
)
def test_a_path_out_of_the_model_s_directory_is_refused_in_words(own: Path, line: str) -> None:
    (own / "linked.whl").symlink_to(own.parent / "outside-1.0-py3-none-any.whl")
    (own / "requirements.txt").write_text(line)
    with pytest.raises(MLModelError, match=r"requirements.txt: (names .* leads out of|includes .* is not in) the model's directory") as caught:
        requirements(own)
    assert "secret" not in str(caught.value)


def test_a_file_that_includes_itself_is_refused(own: Path) -> None:
    (own / "requirements.txt").write_text("-r sub/again.txt\n")
    (own / "sub" / "again.txt").write_text("-r ../requirements.txt\n")
    with pytest.raises(MLModelError, match=r"requirements.txt: includes itself"):
        requirements(own)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_files_of_windows_editors_are_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "requirements.txt").write_bytes("numpy==1.0\r\nscipy \\\r\n ==2.0\r\n".encode(encoding))
    (tmp_path / "python_env.yaml").write_bytes("python: 3.11.7\r\nbuild_dependencies:\r\n- setuptools==69.2.0\r\n".encode(encoding))
    assert requirements(tmp_path) == ("numpy==1.0", "scipy   ==2.0")
    assert (python_version(tmp_path), build_dependencies(tmp_path)) == ("3.11.7", ("setuptools==69.2.0",))
    (tmp_path / "requirements.txt").unlink()
    (tmp_path / "conda.yaml").write_bytes("dependencies:\r\n- pip:\r\n  - numpy==1.0\r\n".encode(encoding))
    assert requirements(tmp_path) == ("numpy==1.0",)


def test_without_either_file_python_env_yaml_says_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "python_env.yaml").write_text("dependencies: [numpy==1.0]\n")
    assert requirements(tmp_path) == ("numpy==1.0",)


def test_the_digests_of_a_lock_are_kept_beside_its_requirements(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("numpy==1.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\nscipy\n")
    assert needs(tmp_path).hashes == {"numpy==1.0": ("sha256:00", "sha256:01")}
