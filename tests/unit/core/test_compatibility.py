"""Whether an image has what a model needs, in each mode."""

from dataclasses import replace

import pytest

from deployer.core.compatibility import MODES, Fit, fit, lock_digest
from deployer.core.state import Digest, Image, ModelFacts
from deployer.errors import ConfigInvalid

MODEL = ("mlflow==3.17.2", "numpy==2.4.6", "pandas==3.1.1", "scikit-learn==1.9.1", "scipy==1.17.1")
INSTALLED = {"mlflow": "3.17.2", "numpy": "2.4.6", "pandas": "3.1.1", "scikit-learn": "1.9.1", "scipy": "1.17.1"}


def judged(
    *requirements: str,
    mode: str = "compatible",
    framework: str = "sklearn 1.9.1",
    loader: str = "mlflow.sklearn",
    model_python: str = "3.11.7",
    python: str = "3.11",
    platform: str = "linux/amd64",
    **installed: str | None,
) -> Fit:
    """The verdict for these requirements (MODEL's where none are given) on INSTALLED with what `installed` changes (None: absent)."""
    changed = {name.replace("_", "-"): version for name, version in installed.items()}
    packages = {name: version for name, version in {**INSTALLED, **changed}.items() if version is not None}
    facts = ModelFacts(
        uri="models:/churn/3",
        digest=Digest("sha256:0"),
        framework=framework,
        python_version=model_python,
        requirements=requirements or MODEL,
        loader_module=loader,
    )
    image = Image("registry/deployer-scoring@sha256:1", Digest("sha256:1"), "0.1.0-py311", platform, python, packages=packages)
    return fit(facts, image, mode)


def test_an_image_with_just_these_packages_fits_in_every_mode() -> None:
    for mode in MODES:
        assert judged(mode=mode).fits


@pytest.mark.parametrize(
    "installed",
    [
        {"numpy": "2.0.0"},
        {"pandas": "3.0"},
        {"scikit_learn": "1.9.7"},
        {"scipy": "0.9"},
        {"mlflow": "2.1"},
        {"mlflow": None, "mlflow_skinny": "3.17.2"},
    ],
    ids=["numpy's major", "pandas' major", "the framework's minor", "any version of the rest", "any mlflow", "mlflow-skinny"],
)
def test_what_does_not_break_a_model_is_compatible(installed: dict[str, str | None]) -> None:
    assert judged(**installed).fits  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("installed", "reason"),
    [
        ({"numpy": "1.26.4"}, "numpy is 1.26.4, the model needs the same major version as 2.4.6"),
        ({"pandas": "2.2"}, "pandas is 2.2, the model needs the same major version as 3.1.1"),
        ({"scikit_learn": "1.8.0"}, "scikit-learn is 1.8.0, the model needs the same minor version as 1.9.1"),
        ({"scipy": None}, "scipy is not in the image"),
        ({"mlflow": None}, "mlflow is not in the image"),
    ],
)
def test_what_breaks_a_model_is_a_misfit_by_name(installed: dict[str, str | None], reason: str) -> None:
    found = judged(**installed)  # type: ignore[arg-type]
    assert found.reasons == (reason,)
    assert not found.fits
    assert [row.package for row in found.rows if not row.fits] == [next(iter(installed)).replace("_", "-")]
    assert found.advice.startswith("deploy build-and-push-container --for models:/churn/3 ")
    assert "deployer-scoring:0.1.0-py311" in found.summary


@pytest.mark.parametrize("mode", ["compatible", "exact", "at-start"])
def test_another_minor_of_python_is_a_misfit(mode: str) -> None:
    found = judged(python="3.12.1", mode=mode)
    assert found.reasons == ("the model was saved by Python 3.11, the image has 3.12",)
    assert found.rows[0].package == "python"


def test_nothing_is_checked_where_the_user_says_so() -> None:
    assert judged(mode="image", python="3.8", scipy=None).fits


def test_an_image_without_what_no_import_needs_fits_unless_that_is_wanted() -> None:
    trimmed = Image("r@sha256:1", Digest("sha256:1"), python_version="3.11", packages=INSTALLED, trimmed=True)
    facts = ModelFacts(uri="churn", digest=Digest("sha256:0"), framework="pyfunc", python_version="3.11.7", requirements=MODEL, loader_module="churn")
    assert [mode for mode in MODES if not fit(facts, trimmed, mode).fits] == ["untrimmed"]
    assert fit(facts, replace(trimmed, trimmed=False), "untrimmed").fits


def test_at_start_the_packages_are_nobody_elses_business() -> None:
    assert judged(mode="at-start", scipy=None).fits


def test_exact_means_every_pin_as_it_stands() -> None:
    found = judged(mode="exact", scipy="1.17.2", mlflow="3.17.1")
    assert found.reasons == ("mlflow is 3.17.1, the model pins ==3.17.2", "scipy is 1.17.2, the model pins ==1.17.1")


def test_skinny_is_not_exactly_mlflow() -> None:
    assert not judged(mode="exact", mlflow=None, mlflow_skinny="3.17.2").fits


def test_mlflow_may_be_absent_where_the_loader_is_not_mlflows() -> None:
    found = judged("mlflow==3.17.2", "pandas", loader="my_loader", framework="my_loader", mlflow=None)
    assert found.fits
    assert found.warnings == ("mlflow is not in the image; the model's loader my_loader is not mlflow's, so it should load without",)


def test_an_image_that_does_not_say_what_it_has_is_a_warning() -> None:
    facts = ModelFacts("m", Digest("sha256:0"), requirements=MODEL, python_version="3.11")
    found = fit(facts, Image("somebody/else@sha256:1", Digest("sha256:1")), "compatible")
    assert found.fits
    assert "does not list its packages" in found.warnings[0]


def test_names_are_compared_in_their_normal_form() -> None:
    assert judged("Scikit_Learn==1.9.1", "Typing.Extensions==4.0", typing_extensions="4.1").fits


@pytest.mark.parametrize(
    ("requirement", "applies"),
    [
        ("absent==1; python_version < '3.11'", False),
        ("absent==1; python_version >= '3.11'", True),
        ("absent==1; sys_platform == 'win32'", False),
        ("absent==1; platform_machine == 'aarch64'", False),
        ("absent==1; platform_machine == 'x86_64' and platform_system == 'Linux'", True),
        ("absent==1; extra == 'dev'", False),
    ],
)
def test_markers_are_those_of_the_image_not_of_this_machine(requirement: str, applies: bool) -> None:
    assert judged(requirement, "scikit-learn").fits is not applies


def test_markers_know_the_platform() -> None:
    assert not judged("absent; platform_machine == 'aarch64'", "scikit-learn", platform="linux/arm64").fits


@pytest.mark.parametrize(
    ("requirement", "fits"),
    [
        ("numpy", True),
        ("numpy>=2,<3", True),
        ("numpy<2", False),
        ("numpy==2.*", True),
        ("numpy==1.*", False),
        ("scikit-learn~=1.8", True),
        ("scikit-learn~=1.8.0", False),
        ("scikit-learn[extra]==1.9.0", True),
        ("scipy<1", True),
    ],
)
def test_ranges_of_what_matters_are_kept_to(requirement: str, fits: bool) -> None:
    assert judged(requirement, "scikit-learn").fits is fits


def test_a_range_of_the_rest_that_is_not_kept_is_a_warning() -> None:
    assert judged("scipy<1", "scikit-learn").warnings == ("the model asks for scipy<1, the image has 1.17.1",)


def test_a_framework_that_the_requirements_forget_is_needed_all_the_same() -> None:
    assert judged("numpy==2.4.6", scikit_learn="1.8.0").reasons == ("scikit-learn is 1.8.0, the model needs the same minor version as 1.9.1",)


@pytest.mark.parametrize(
    ("requirement", "package"),
    [
        ("ours @ https://user:geheim@example.com/ours-1.0.tar.gz", "ours"),
        ("https://user:geheim@example.com/our_package-1.0-py3-none-any.whl", "our-package"),
        ("git+https://user:geheim@example.com/x.git#egg=ours", "ours"),
        ("./wheels/ours-1.0-py3-none-any.whl", "ours"),
    ],
)
def test_what_comes_from_an_address_is_looked_for_by_name(requirement: str, package: str) -> None:
    found = judged(requirement, "scikit-learn")
    assert found.reasons == (f"{package} is not in the image",)
    assert "geheim" not in repr(found)


def test_what_has_no_name_is_not_checked_and_said_to_be_so() -> None:
    found = judged("./code/package", "scikit-learn")
    assert found.fits
    assert "does not say which package it is" in found.warnings[0]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="compatible"):
        try:
            judged(mode="loose")
        except ConfigInvalid as error:
            raise ConfigInvalid(f"{error.message} {error.advice}") from error


def test_models_with_the_same_needs_share_a_lock() -> None:
    one = lock_digest(["numpy==2.4.6", "Scikit_Learn == 1.9.1", "x @ https://user:geheim@example.com/x.whl"], "3.11.7")
    assert one == lock_digest(["scikit-learn==1.9.1", "x@https://example.com/x.whl", "numpy==2.4.6", "numpy==2.4.6"], "3.11")


@pytest.mark.parametrize(
    ("requirements", "python"),
    [(["numpy==2.4.7"], "3.11"), (["numpy==2.4.6"], "3.12"), (["numpy==2.4.6", "scipy"], "3.11"), (["numpy[x]==2.4.6"], "3.11")],
)
def test_other_needs_are_another_lock(requirements: list[str], python: str) -> None:
    assert lock_digest(requirements, python) != lock_digest(["numpy==2.4.6"], "3.11")
