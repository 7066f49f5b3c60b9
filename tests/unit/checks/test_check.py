"""Checks of whole models, written by hand: each breaks one thing. Pickles import what they should without it being installed."""

from __future__ import annotations

import json
import pickle
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployer.artifacts import fetch
from deployer.checks import Checked, Severity, check_model, look_before_upload, of_image, of_lock, of_requirements, with_mlflow_said
from deployer.checks.knowledge import standard
from deployer.checks.sources import imports_of_function, read_source
from deployer.core.state import Digest, Image, ModelFacts
from deployer.errors import ConfigInvalid, ModelInvalid
from deployer.events import Event, Noticed

PINNED = "mlflow==3.17.2\nnumpy==1.23.5\npandas==1.5.3\nscikit-learn==1.2.2\ncloudpickle==3.1.2\n"


def importing(*names: str, version: str = "") -> bytes:
    """A pickle that imports these (`module name`), and states a version of scikit-learn where one is given."""
    content = b"\x80\x04" + b"".join(f"c{name.replace(' ', chr(10), 1)}\n0".encode() for name in names)
    if version:
        content += b"csklearn.base\nBaseEstimator\n)\x81}X\x10\0\0\0_sklearn_versionX" + bytes([len(version), 0, 0, 0]) + version.encode() + b"sb0"
    return content + b"N."


class Models:
    """Writes model directories below one, and looks at them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "churn"
        self.directory.mkdir()
        self.write("requirements.txt", PINNED)
        self.flavor: dict[str, Any] = {"loader_module": "mlflow.sklearn", "model_path": "model.pkl", "python_version": "3.11.7"}
        self.signature: list[dict[str, Any]] | None = [{"type": "double", "name": "x"}, {"type": "long", "name": "n"}]
        self.example: Any = None
        self.others: dict[str, Any] = {}

    def write(self, path: str, content: bytes | str) -> None:
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())

    def check(self, **how: Any) -> Checked:
        document: dict[str, Any] = {"flavors": {"python_function": self.flavor, **self.others}}
        if self.signature is not None:
            document["signature"] = {"inputs": json.dumps(self.signature)}
        if self.example is not None:
            self.write("example.json", json.dumps(self.example))
            document["saved_input_example_info"] = {"artifact_path": "example.json", "type": "dataframe", "pandas_orient": "split"}
        self.write("MLmodel", json.dumps(document))
        if not (self.directory / "model.pkl").exists():
            self.write("model.pkl", importing("sklearn.linear_model LogisticRegression", version="1.2.2"))
        return check_model(fetch(str(self.directory)), **how)

    def codes(self, **how: Any) -> dict[str, Severity]:
        return {each.code: each.severity for each in self.check(**how).findings}


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path)


ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


def test_a_sound_model_has_nothing_to_be_said_of(models: Models) -> None:
    checked = models.check()
    assert checked.findings == ()
    assert checked.imports == ("sklearn",)


@pytest.mark.parametrize(
    ("imported", "requirement", "expected"),
    [
        ("numpy._core.multiarray _reconstruct", "numpy==1.23.5", {"numpy-version": ERROR}),
        ("numpy._core.multiarray _reconstruct", "numpy==1.26.4", {}),
        ("numpy._core.multiarray _reconstruct", "numpy<1.25", {"numpy-version": ERROR, "not-pinned": NOTE}),
        ("numpy._core.multiarray _reconstruct", "numpy<2", {"not-pinned": NOTE}),
        ("numpy._core.multiarray _reconstruct", "numpy~=1.23.0", {"numpy-version": ERROR, "not-pinned": NOTE}),
        ("numpy._core.multiarray _reconstruct", "numpy==1.23.*", {"numpy-version": ERROR, "not-pinned": NOTE}),
        ("numpy.core.multiarray _reconstruct", "numpy==2.4.6", {}),
        ("pandas StringDtype", "pandas==2.2.3", {"pandas-version": ERROR}),
        ("pandas StringDtype", "pandas==3.0.1", {}),
        ("pandas.core.indexes.numeric Int64Index", "pandas==2.0.3", {"pandas-version": ERROR}),
        ("pandas.core.indexes.numeric Int64Index", "pandas==1.5.3", {}),
        ("sklearn.ensemble.forest RandomForestClassifier", "scikit-learn==1.5.2", {"scikit-learn-version": ERROR}),
    ],
)
def test_names_that_only_other_versions_have(models: Models, imported: str, requirement: str, expected: dict[str, Severity]) -> None:
    models.write("requirements.txt", f"mlflow==3.17.2\n{'' if 'numpy' in requirement else 'numpy==1.26.4'}\n{requirement}\n")
    models.write("model.pkl", importing(imported))
    assert models.codes() == expected


@pytest.mark.parametrize(
    ("saved", "pinned", "tree", "expected"),
    [
        ("1.2.2", "1.2.0", False, {}),
        ("1.2.2", "1.4.2", False, {"scikit-learn-version": WARNING}),
        ("1.2.2", "1.4.2", True, {"scikit-learn-version": ERROR}),
        ("1.5.2", "1.4.2", True, {"scikit-learn-version": WARNING}),
        ("0.24.2", "1.2.2", False, {"scikit-learn-version": ERROR}),
    ],
)
def test_the_version_that_an_estimator_was_saved_by(models: Models, saved: str, pinned: str, tree: bool, expected: dict[str, Severity]) -> None:
    models.write("requirements.txt", f"mlflow==3.17.2\nnumpy==1.23.5\nscikit-learn=={pinned}\n")
    models.write("model.pkl", importing(*(["sklearn.tree._tree Tree"] if tree else []), version=saved))
    assert models.codes() == expected


@pytest.mark.parametrize(
    ("requirements", "python", "severity"),
    [
        ("scikit-learn==1.2.1", "3.11.7", WARNING),
        ("scikit-learn==1.2.1\nnumpy", "3.11.7", WARNING),
        ("scikit-learn<1.3\nnumpy>=1.23", "3.11.7", WARNING),
        ("pandas==2.0.3\nnumpy>=1.23,<3", "3.11.7", WARNING),
        ("scikit-learn==1.2.1\nnumpy<2", "3.11.7", None),
        ("scikit-learn==1.2.1\nnumpy==1.26.4", "3.11.7", None),
        ("scikit-learn==1.3.2", "3.11.7", None),  # it says numpy<2 itself
        ("pandas==2.1.4", "3.11.7", None),
        ("scikit-learn==1.4.2", "3.11.7", None),
        ("scikit-learn", "3.11.7", None),
        ("scikit-learn==1.2.1", "3.8.10", None),  # which has no numpy 2
    ],
)
def test_packages_built_for_numpy_1_where_numpy_2_may_be(models: Models, requirements: str, python: str, severity: Severity | None) -> None:
    models.write("requirements.txt", f"mlflow==2.22.0\n{requirements}\n")
    models.write("model.pkl", importing("numpy.core.multiarray scalar"))
    models.flavor["python_version"] = python
    found = [each for each in models.check().findings if each.code == "numpy-2-binary"]
    assert [each.severity for each in found] == ([severity] if severity else [])
    assert all("add numpy<2" in each.advice and "written with numpy 1" in each.what for each in found)


def test_packages_built_for_numpy_1_beside_numpy_2_are_an_error(models: Models) -> None:
    there = of_lock(["scikit-learn==1.2.1", "pandas==2.2.2", "scikit-image==0.22.0", "odd==1.0", "numpy==2.2.6"], "3.11", {"odd": "2023-05-01"})
    found = [(each.severity, each.what.partition(" ")[0]) for each in models.check(there=there).findings if each.code == "numpy-2-binary"]
    assert found == [(ERROR, "scikit-image"), (ERROR, "scikit-learn"), (WARNING, "odd==1.0")]
    assert "numpy-2-binary" not in models.codes(there=of_lock(["scikit-learn==1.2.1", "numpy==1.26.4"], "3.11", {"odd": "2023-05-01"}))


def test_a_local_module_is_named_as_what_it_is_before_a_package_is_advised(models: Models) -> None:
    models.flavor |= {"code": "code", "loader_module": "ours"}
    models.write("model.pkl", importing("builtins dict"))
    models.write("code/ours.py", "import helpers, steps, training, acme_things, lightgbm\n")
    models.write("code/project/helpers.py", "")
    models.write("artifacts/steps/__init__.py", "")
    found = {each.what.split(",")[0].split()[-1]: (each.severity, each.what, each.advice) for each in models.check().findings}
    assert "which is code/project/helpers.py in the code folder, where it is called project.helpers" in found["helpers"][1]
    assert "which is the model's file artifacts/steps/__init__.py, which is not in its code folder" in found["steps"][1]
    assert "which is a module of the project that saved the model" in found["training"][1]
    assert all("code_paths=" in found[name][2] and "add" not in found[name][2] for name in ("helpers", "steps", "training"))
    assert found["acme_things"][2].index("code_paths=") < found["acme_things"][2].index("add acme-things")
    assert found["lightgbm"][2] == "add lightgbm to the model's requirements"


def test_functions_are_bound_to_the_python_that_made_them(models: Models) -> None:
    import cloudpickle

    def answer() -> int:
        return 42

    answer.__module__ = "__main__"
    models.write("model.pkl", cloudpickle.dumps(answer))
    assert models.codes() == {"code-in-pickle": NOTE}
    for other in ("3.10", "3.12"):
        assert models.codes(there=of_requirements(PINNED.splitlines(), other)) == {"python-version": ERROR, "code-in-pickle": NOTE}
    models.flavor["python_version"] = "3.9.18"
    (finding,) = models.check().errors
    assert "made by Python 3.11 or later, though the MLmodel says 3.9" in finding.what


def test_what_is_imported_must_come_from_somewhere(models: Models) -> None:
    models.write("model.pkl", importing("lightgbm.sklearn LGBMClassifier", "scipy.sparse csr_matrix", "my_lib.things Thing", "__main__ Thing"))
    found = {(each.severity, each.code, each.what.partition(",")[0]) for each in models.check().findings}
    assert found == {
        (ERROR, "main-module", "__main__.Thing was defined in the script that saved the model"),
        (WARNING, "missing-module", "it imports lightgbm.sklearn"),
        (WARNING, "missing-module", "it imports my_lib.things"),
    }
    everything = of_lock(["scikit-learn==1.2.2", "numpy==1.23.5", "scipy==1.10.0", "mlflow==3.17.2"], "3.11")
    certain = [each for each in models.check(there=everything).errors if each.code == "missing-module"]
    assert [each.what for each in certain] == ["it imports lightgbm.sklearn, and what the requirements resolve to lacks it"]


def test_a_requirement_that_is_called_like_the_module_may_bring_it(models: Models) -> None:
    models.write("requirements.txt", PINNED + "my-lib-models==1.0\n")
    models.write("model.pkl", importing("my_lib.things Thing"))
    assert models.codes() == {}


def test_what_the_runtime_has_of_mlflow_needs_no_mlflow(models: Models) -> None:
    models.write("requirements.txt", "numpy==1.23.5\nscikit-learn==1.2.2\n")
    models.write("model.pkl", importing("mlflow.pyfunc.model PythonModel"))
    assert models.codes() == {}
    models.write("model.pkl", importing("mlflow.tracking MlflowClient"))
    assert models.codes() == {"missing-module": WARNING}
    models.write("model.pkl", importing("mlflow.pyfunc.model PythonModel"))
    models.flavor["loader_module"] = "mlflow.statsmodels"
    assert models.codes() == {"missing-module": WARNING}


def test_a_model_says_whether_it_can_do_without_mlflow(models: Models) -> None:
    def needed() -> bool:
        models.check()  # writes it
        return with_mlflow_said(fetch(str(models.directory))).facts.needs_mlflow

    models.write("requirements.txt", "mlflow==2.9.0\nnumpy==1.23.5\nscikit-learn==1.2.2\n")
    models.write("model.pkl", importing("mlflow.pyfunc.model PythonModel"))
    models.flavor["loader_module"] = "mlflow.sklearn"
    assert not needed()
    models.write("model.pkl", importing("mlflow.tracking MlflowClient"))
    assert needed()
    models.write("model.pkl", importing("pyarrow.lib Table"))  # which mlflow alone brings
    assert needed()
    models.write("model.pkl", importing("numpy ndarray"))
    assert not needed()
    models.flavor["config"] = {"x": 1}  # which our loader leaves to mlflow's
    assert needed()
    del models.flavor["config"]
    models.flavor["loader_module"] = "mlflow.statsmodels"
    assert needed()


def test_the_library_of_a_flavor_is_needed_though_its_files_name_none(models: Models) -> None:
    models.flavor["loader_module"] = "mlflow.xgboost"
    models.others = {"xgboost": {"xgb_version": "3.0.0"}}
    models.write("model.pkl", importing("builtins dict"))
    (finding,) = models.check().findings
    assert (finding.severity, finding.file) == (WARNING, "MLmodel")
    assert finding.what.startswith("it is loaded by xgboost,")
    models.write("requirements.txt", PINNED + "xgboost==3.0.0\n")
    assert models.codes() == {}


def test_modules_that_python_no_longer_has(models: Models) -> None:
    models.write("model.pkl", importing("distutils.version LooseVersion"))
    assert models.codes() == {}
    models.flavor["python_version"] = "3.12.1"
    assert models.codes() == {"missing-module": ERROR}
    assert standard("asyncore", "3.11") and not standard("asyncore", "3.13")


def test_the_code_folder_is_looked_into(models: Models) -> None:
    models.flavor |= {"code": "code", "loader_module": "ours.loader"}
    models.write("code/ours/__init__.py", "")
    models.write("code/ours/loader.py", "def _load_pyfunc(path): ...\nclass Known: ...\n")
    models.write("model.pkl", importing("ours.loader Known"))
    assert models.codes() == {}
    models.write("model.pkl", importing("ours.loader Unknown", "ours.absent Thing"))
    assert [each.what for each in models.check().errors] == [
        "it imports ours.absent, which is not in the model's code folder code",
        "it imports ours.loader.Unknown, and code/ours/loader.py defines no Unknown",
    ]


@pytest.mark.parametrize(
    "source", ["from .other import *\n", "globals()['Unknown'] = 1\n", "def __getattr__(name): ...\n", "import sys\nsys.modules[__name__] = 3\n"]
)
def test_a_module_that_makes_its_names_while_it_runs_is_believed(models: Models, source: str) -> None:
    models.flavor["code"] = "code"
    models.write("code/ours.py", source)
    models.write("model.pkl", importing("ours Unknown"))
    assert models.codes() == {}


def test_python_files_are_read_as_the_models_python_would(models: Models) -> None:
    models.flavor |= {"code": "code", "loader_module": "ours", "python_version": "3.9.18"}
    models.write("code/ours.py", "import lightgbm\nmatch 1:\n    case 1: pass\n")
    models.write("code/beside.py", "print 'Python 2'\n")
    found = {(each.severity, each.code, each.file.partition(":")[0]) for each in models.check().findings}
    assert found == {(ERROR, "syntax-error", "code/ours.py"), (WARNING, "syntax-error", "code/beside.py")}
    models.flavor["python_version"] = "3.11.7"
    models.write("code/beside.py", "try:\n    import absent\nexcept ImportError:\n    pass\n")
    (finding,) = models.check().findings
    assert (finding.severity, finding.file) == (WARNING, "code/ours.py:1")
    assert finding.what.startswith("it imports lightgbm,")


def test_modules_that_hide_installed_ones(models: Models) -> None:
    models.flavor["code"] = "code"
    models.write("code/json.py", "")
    models.write("code/sklearn/__init__.py", "class Stub: ...\n")
    models.write("code/mine.py", "")
    found = {(each.file, each.code) for each in models.check().findings}
    assert ("code/json", "shadowed-module") in found and ("code/sklearn", "shadowed-module") in found
    assert not any("mine" in file for file, _ in found)


def test_a_lazy_import_in_a_pickled_function_is_seen(models: Models) -> None:
    import cloudpickle

    def predict() -> Any:
        import lightgbm  # type: ignore[import-not-found,unused-ignore]

        return lightgbm

    predict.__module__ = "__main__"
    models.write("model.pkl", cloudpickle.dumps(predict))
    finding, note = models.check().findings
    assert finding.what.startswith("it has a function that imports lightgbm,")
    assert note.code == "code-in-pickle"


def test_imports_are_read_off_the_bytecode_of_its_own_python_alone() -> None:
    code = bytes([144, 1, 108, 2])  # an index past 255, in the operations of Python 3.11
    names = tuple(f"n{index}" for index in range(300))
    assert imports_of_function(code, names, "3.11") == ("n258",)
    assert imports_of_function(code, names, "3.13") == ()
    assert imports_of_function(code, names, "") == ()


def test_what_is_not_known_to_be_harmless_is_an_error_where_that_is_asked_for(models: Models) -> None:
    models.write("requirements.txt", PINNED + "my-lib==1.0\n")
    called = b"cmy_lib\nthing\n)R0"
    for content, code in ((importing("os system"), "dangerous-pickle"), (b"\x80\x04" + called + b"N.", "unknown-pickle")):
        models.write("model.pkl", content)
        (finding,) = models.check().findings
        assert (finding.severity, finding.code, finding.file) == (WARNING, code, "model.pkl")
        assert models.codes(strict=True) == {code: ERROR}


def test_harmless_names_are_not_called_dangerous(models: Models) -> None:
    models.write("model.pkl", importing("builtins getattr", "builtins slice", "copyreg _reconstructor", "collections OrderedDict", "os.path join"))
    assert models.codes() == {}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("./ours-1.0-py3-none-any.whl", {"requirement-path": ERROR}),
        ("ours @ file:///home/ada/ours", {"requirement-path": ERROR}),
        ("ours @ git+https://example.com/ours.git", {"requirement-repository": NOTE}),
        ("pywin32==306", {"requirement-system": WARNING}),
        ("pywin32==306; sys_platform == 'win32'", {}),
        ("scikit-learn==1.3.0", {"requirement-conflict": ERROR}),
        ("seaborn", {"not-pinned": NOTE}),
        ("seaborn>=0.13", {"not-pinned": NOTE}),
    ],
)
def test_requirements_by_themselves(models: Models, line: str, expected: dict[str, Severity]) -> None:
    models.write("requirements.txt", PINNED + line + "\n")
    models.write("model.pkl", importing("builtins dict"))
    assert models.codes() == expected


EXAMPLES: list[tuple[Any, dict[str, Severity]]] = [
    ({"columns": ["x", "n"], "data": [[1.5, 1], [2, 3.0]]}, {}),
    ({"columns": ["n", "x", "extra"], "data": [[1, 2.5, "?"]]}, {}),
    ({"columns": ["x"], "data": [[1.5]]}, {"example-signature": WARNING}),
    ({"columns": ["x", "n"], "data": [["text", 1]]}, {"example-signature": WARNING}),
    ({"columns": ["x", "n"], "data": [[1.5, 1.5]]}, {"example-signature": WARNING}),
    ({"columns": ["x", "n"], "data": [[None, 1]]}, {}),
    ({"columns": ["x", "n"], "data": [[1.5, None]]}, {"example-signature": WARNING}),
    ([{"x": 1.5, "n": True}], {"example-signature": WARNING}),
]


@pytest.mark.parametrize(("example", "expected"), EXAMPLES)
def test_the_example_is_held_against_the_signature(models: Models, example: Any, expected: dict[str, Severity]) -> None:
    models.example = example
    assert models.codes() == expected


def test_an_example_that_is_named_but_absent(models: Models) -> None:
    models.example = {}
    models.check()
    document = json.loads((models.directory / "MLmodel").read_text())
    document["saved_input_example_info"]["artifact_path"] = "absent.json"
    (models.directory / "MLmodel").write_text(json.dumps(document))
    assert [each.code for each in check_model(fetch(str(models.directory))).findings] == ["example-missing"]


def test_no_signature_and_no_requirements_are_noted(models: Models) -> None:
    models.signature = None
    models.write("requirements.txt", "")
    models.write("model.pkl", importing("builtins dict"))
    assert models.codes() == {"no-signature": NOTE, "no-requirements": NOTE}


def test_a_cut_pickle_is_an_error_and_an_unknown_form_a_note(models: Models) -> None:
    models.write("model.pkl", pickle.dumps(list(range(1000)))[:-20])
    assert models.codes() == {"broken-pickle": ERROR}
    models.write("other.pkl", "a pickle")
    models.write("model.pkl", b"N.")
    assert models.codes() == {"wrong-file": WARNING, "unread-pickle": NOTE}


def test_a_model_too_large_for_its_target(models: Models) -> None:
    def limit(facts: ModelFacts) -> None:
        raise ConfigInvalid(f"the model has {facts.size > 0}", advice="more room")

    assert models.codes(limit=limit) == {"too-large": ERROR}


def image(packages: dict[str, str] | None, python: str = "3.11.7") -> Image:
    return Image("registry/deployer-scoring@sha256:0", Digest("sha256:0"), tag="0.1.0-py311", python_version=python, packages=packages)


def test_an_image_counts_by_what_it_has(models: Models) -> None:
    models.write("model.pkl", importing("numpy._core.multiarray _reconstruct", "lightgbm.sklearn LGBMClassifier"))
    there = of_image(image({"numpy": "1.24.0", "mlflow": "3.17.2"}))
    found = models.check(there=there)
    assert {each.code for each in found.errors} == {"numpy-version", "missing-module"}
    assert "the image 0.1.0-py311" in found.errors[0].what


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def report(told: list[str]) -> Callable[[Event], None]:
    return lambda event: told.append(event.message) if isinstance(event, Noticed) else None


def test_an_upload_stops_for_errors_and_tells_warnings(models: Models, told: list[str], report: Callable[[Event], None]) -> None:
    models.write("model.pkl", importing("numpy._core.multiarray _reconstruct", "os system"))
    models.check()
    model = fetch(str(models.directory))
    old = image({"numpy": "1.23.5", "mlflow": "3.17.2"})
    with pytest.raises(ModelInvalid, match=r"churn can't be served: model.pkl: it holds numpy 2") as caught:
        look_before_upload(model, old, "compatible", report)
    assert caught.value.advice
    look_before_upload(model, image({"numpy": "2.1.0", "mlflow": "3.17.2"}), "compatible", report)
    assert len(told) == 1 and told[0].startswith("model.pkl: it imports os.system")
    look_before_upload(model, old, "image", report)  # the image is taken as it is


def test_an_image_that_does_not_say_what_it_has_leaves_the_requirements_to_go_by(
    models: Models, told: list[str], report: Callable[[Event], None]
) -> None:
    models.check()
    look_before_upload(fetch(str(models.directory)), image(None), "compatible", report)
    assert told == []


def test_a_python_that_only_a_later_one_than_ours_could_read_is_taken_for_right() -> None:
    assert read_source(b"type X = int\n", "3.13").error == ""
    assert read_source(b"type X = int\n", "3.9").error


@pytest.mark.parametrize(("python", "said"), [("3.7.16", "3.7"), ("3.6", "3.6"), ("2.7.18", "2.7")])
def test_a_python_that_the_server_does_not_run_on_is_told_in_the_model_s_terms(models: Models, python: str, said: str) -> None:
    models.flavor["python_version"] = python
    (finding,) = [each for each in models.check().errors if each.code == "python-too-old"]
    assert (finding.file, finding.what) == ("MLmodel", f"the server runs on Python 3.8 or later; the model asks for {said}")
    assert finding.advice == "save it again on a newer Python, 3.8 or later"


@pytest.mark.parametrize("file", ["conda.yaml", "python_env.yaml"])
def test_the_file_that_asks_for_an_old_python_is_named(models: Models, file: str) -> None:
    del models.flavor["python_version"]
    models.write(file, {"conda.yaml": "dependencies: [python=3.7.3, pip]\n", "python_env.yaml": "python: 3.7.3\n"}[file])
    assert [each.file for each in models.check().errors if each.code == "python-too-old"] == [file]


@pytest.mark.parametrize("python", ["3.8", "3.8.18", "3.10.2", "3.13.0"])
def test_any_later_python_will_do(models: Models, python: str) -> None:
    models.flavor["python_version"] = python
    assert "python-too-old" not in models.codes()


def test_what_it_is_held_against_decides_not_what_it_was_saved_with(models: Models) -> None:
    models.flavor["python_version"] = "3.7.16"
    assert "python-too-old" not in models.codes(there=of_requirements((), "3.11"))
    models.flavor["python_version"] = "3.11.7"
    assert "python-too-old" in models.codes(there=of_requirements((), "3.7"))


def test_an_environment_that_nothing_describes_is_warned_of_before_an_upload(
    models: Models, told: list[str], report: Callable[[Event], None]
) -> None:
    models.flavor["env"] = {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}
    assert models.codes() == {"environment-missing": WARNING}
    assert "conda.yaml, python_env.yaml are not in the model's directory; requirements.txt is taken instead" in models.check().findings[0].what
    (models.directory / "requirements.txt").unlink()
    models.write("model.pkl", importing("builtins dict"))
    assert models.codes() == {"environment-missing": WARNING}
    look_before_upload(fetch(str(models.directory)), image(None), "compatible", report)
    assert told == ["MLmodel: nothing lists the packages that it needs: it is served with what is there"]


def test_what_conda_would_install_that_no_package_of_python_is_is_warned_of(models: Models) -> None:
    models.write("conda.yaml", "dependencies: [python=3.11, openjdk=11, {pip: [numpy]}]\n")
    assert models.codes() == {"conda-program": WARNING}
    assert "openjdk" in models.check().findings[0].what


def test_a_path_that_only_its_loader_understands_is_a_warning(models: Models) -> None:
    models.flavor |= {"loader_module": "sktime.utils.mlflow_sktime", "model_path": "model"}
    models.write("requirements.txt", PINNED + "sktime==0.31.0\n")
    models.write("model.zip", b"PK\x05\x06" + bytes(18))
    assert models.codes() == {"file-missing": WARNING}


def test_a_file_that_nothing_names_stops_no_upload(models: Models) -> None:
    models.write("leftovers/old.pkl", importing("numpy._core.multiarray _reconstruct"))
    models.write("leftovers/cut.pkl", pickle.dumps(list(range(1000)))[:-20])
    models.write("leftovers/pointer.pkl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    found = {each.file: (each.severity, each.code) for each in models.check().findings}
    assert found["leftovers/old.pkl"] == (WARNING, "numpy-version")
    assert found["leftovers/cut.pkl"] == (WARNING, "broken-pickle")
    models.flavor["model_path"] = "leftovers"
    (models.directory / "leftovers" / "pointer.pkl").unlink()
    assert models.codes()["numpy-version"] == ERROR


def test_a_loader_that_is_given_the_whole_directory_may_open_what_lies_at_its_top(models: Models) -> None:
    models.flavor = {"loader_module": "sklearn", "python_version": "3.11.7"}
    models.write("old.pkl", importing("numpy._core.multiarray _reconstruct"))
    models.write("another/old.pkl", importing("numpy._core.multiarray _reconstruct"))
    assert {each.file: each.severity for each in models.check().findings if each.code == "numpy-version"} == {
        "old.pkl": ERROR,
        "another/old.pkl": WARNING,
    }
