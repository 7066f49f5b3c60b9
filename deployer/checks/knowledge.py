"""What is known of libraries: which versions can load what others have pickled, what comes in which distribution, what brings what.

The version rules were found by pickling with numpy 1.23, 1.25, 1.26, 2.1 and 2.4 and pandas 1.5, 2.0, 2.2 and 3.0 and loading all with all.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PickleRule:
    """A name in a pickle (matched whole) that only some versions of a distribution can load.

    `also`: another name that must be there too. `unless`: one that must not. `origin`: what wrote it.
    """

    names: re.Pattern[str]
    distribution: str
    versions: str
    origin: str
    also: re.Pattern[str] | None = None
    unless: re.Pattern[str] | None = None


def _rule(names: str, distribution: str, versions: str, origin: str, *, also: str = "", unless: str = "") -> PickleRule:
    return PickleRule(re.compile(names), distribution, versions, origin, re.compile(also) if also else None, re.compile(unless) if unless else None)


RULES: tuple[PickleRule, ...] = (
    _rule(r"numpy\._core\..*", "numpy", ">=1.26", "numpy 2"),  # 1.26 has stubs for it
    _rule(r"numpy\.random\._(pcg64|mt19937|philox|sfc64)\..*", "numpy", ">=2", "a random generator of numpy 2", also=r"numpy\.random\._pickle\..*"),
    _rule(
        r"numpy\.random\._pickle\.__(generator|randomstate)_ctor",
        "numpy",
        ">=1.24",
        "a random generator of numpy 1.24 or later",
        also=r"numpy\.random\._pickle\.__bit_generator_ctor",
    ),
    _rule(r"pandas\.core\.indexes\.numeric\..*", "pandas", "<2", "pandas 1"),
    _rule(
        r"pandas\.core\.arrays\.string_\.StringArray",
        "pandas",
        "<3",
        "strings of pandas before 1.3",
        unless=r"pandas\._libs\.arrays\..*NDArrayBacked",
    ),
    _rule(r"pandas\.StringDtype", "pandas", ">=2.3", "strings of pandas 3"),
    _rule(r"pandas\._libs\.tslibs\.timestamps\._unpickle_timestamp", "pandas", ">=1.3", "a time of pandas 1.3 or later"),
    _rule(r"pandas\._libs\.tslibs\.nattype\._nat_unpickle", "pandas", ">=3", "a missing time of pandas 3"),
    _rule(r"pandas\._libs\.tslibs\.nattype\.__nat_unpickle", "pandas", "<3", "a missing time of pandas 1 or 2"),
    _rule(
        r"sklearn\.(linear_model\.(logistic|base|stochastic_gradient|ridge)|ensemble\.(forest|gradient_boosting)|tree\.tree|svm\.classes"
        r"|preprocessing\.(data|label|imputation)|neighbors\.(base|classification|regression)|cluster\.k_means_|decomposition\.pca)\..*",
        "scikit-learn",
        "<0.24",
        "scikit-learn before 0.22",
    ),
)

TREES = re.compile(r"sklearn\.tree\._tree\.Tree")
TREES_CHANGED = "1.3"
"""scikit-learn 1.3 gave the nodes of its trees another layout: neither side loads the other's."""

_MODULES: Mapping[str, tuple[str, ...]] = {
    "bs4": ("beautifulsoup4",),
    "cv2": ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "dateutil": ("python-dateutil",),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "fitz": ("pymupdf",),
    "git": ("gitpython",),
    "google": ("protobuf", "google-auth", "google-cloud-storage", "google-api-core", "google-cloud-bigquery"),
    "hdbscan": ("hdbscan",),
    "imblearn": ("imbalanced-learn",),
    "implicit": ("implicit",),
    "jwt": ("pyjwt",),
    "keras": ("keras", "tensorflow", "tensorflow-cpu", "tensorflow-macos"),
    "langchain": ("langchain",),
    "mlflow": ("mlflow", "mlflow-skinny"),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "PIL": ("pillow",),
    "psycopg2": ("psycopg2", "psycopg2-binary"),
    "pkg_resources": ("setuptools",),
    "pyspark": ("pyspark", "databricks-connect"),
    "serial": ("pyserial",),
    "skimage": ("scikit-image",),
    "sklearn": ("scikit-learn", "scikit-learn-intelex"),
    "sklearn_pandas": ("sklearn-pandas",),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-macos"),
    "typing_extensions": ("typing-extensions",),
    "umap": ("umap-learn",),
    "xgboost": ("xgboost", "xgboost-cpu"),
    "yaml": ("pyyaml",),
}
"""Distributions of modules that aren't called as theirs. Any of them will do."""

_BRINGS: Mapping[str, tuple[str, ...]] = {
    "catboost": ("numpy", "pandas", "scipy", "matplotlib", "graphviz", "plotly", "six"),
    "fastai": ("torch", "torchvision", "fastcore", "fastprogress", "pandas", "scikit-learn", "scipy", "spacy", "pillow", "pyyaml", "matplotlib"),
    "h2o": ("requests", "tabulate"),
    "imbalanced-learn": ("scikit-learn",),
    "keras": ("numpy", "h5py", "absl-py", "ml-dtypes", "optree", "namex", "rich"),
    "lightgbm": ("numpy", "scipy"),
    "mlflow": (
        *("mlflow-skinny", "mlflow-tracing", "scikit-learn", "scipy", "pandas", "numpy", "matplotlib", "pyarrow", "alembic", "docker", "flask"),
        *("graphene", "gunicorn", "sqlalchemy", "skops"),
    ),
    "mlflow-skinny": (
        *("cloudpickle", "pyyaml", "packaging", "requests", "protobuf", "pydantic", "click", "fastapi", "uvicorn", "gitpython", "sqlparse"),
        *("cachetools", "databricks-sdk", "typing-extensions", "opentelemetry-api", "opentelemetry-sdk", "python-dotenv", "importlib-metadata"),
    ),
    "onnx": ("numpy", "protobuf"),
    "onnxruntime": ("numpy", "protobuf", "flatbuffers", "sympy", "packaging"),
    "pandas": ("numpy", "python-dateutil", "pytz", "tzdata"),
    "prophet": ("cmdstanpy", "numpy", "pandas", "matplotlib", "holidays", "tqdm", "importlib-resources"),
    "pyspark": ("py4j",),
    "python-dateutil": ("six",),
    "pytorch-lightning": ("torch", "numpy", "pyyaml", "torchmetrics", "tqdm", "fsspec"),
    "requests": ("urllib3", "idna", "certifi", "charset-normalizer"),
    "scikit-learn": ("numpy", "scipy", "joblib", "threadpoolctl", "narwhals"),
    "scipy": ("numpy",),
    "sentence-transformers": ("transformers", "torch", "scikit-learn", "scipy", "huggingface-hub", "pillow", "tqdm"),
    "shap": ("numpy", "pandas", "scipy", "scikit-learn", "numba", "tqdm", "slicer", "cloudpickle"),
    "skops": ("scikit-learn", "packaging", "huggingface-hub", "prettytable", "tabulate"),
    "spacy": (
        "thinc",
        "numpy",
        "pydantic",
        "requests",
        "tqdm",
        "srsly",
        "catalogue",
        "wasabi",
        "typer",
        "cymem",
        "preshed",
        "murmurhash",
        "spacy-legacy",
    ),
    "statsmodels": ("numpy", "scipy", "pandas", "patsy", "packaging"),
    "tensorflow": ("keras", "numpy", "h5py", "protobuf", "six", "tensorboard", "absl-py", "ml-dtypes", "requests"),
    "torch": ("sympy", "networkx", "jinja2", "fsspec", "filelock", "typing-extensions"),
    "torchvision": ("torch", "numpy", "pillow"),
    "transformers": ("numpy", "tokenizers", "huggingface-hub", "safetensors", "regex", "requests", "pyyaml", "tqdm", "packaging", "filelock"),
    "umap-learn": ("numpy", "scipy", "scikit-learn", "numba", "pynndescent", "tqdm"),
    "xgboost": ("numpy", "scipy"),
}
"""What the best known distributions require themselves."""

FLAVORS: Mapping[str, str] = {
    **{name: name for name in ("sklearn", "xgboost", "lightgbm", "catboost", "statsmodels", "prophet", "pmdarima", "diviner", "spacy")},
    **{name: name for name in ("onnx", "h2o", "fastai", "paddle", "transformers", "sentence_transformers", "keras", "tensorflow")},
    "pytorch": "torch",
    "spark": "pyspark",
}
"""The library that loads each of MLflow's flavors."""

ALWAYS_THERE = frozenset(
    {"numpy", "pandas", "pyyaml", "cloudpickle", "python-dateutil", "six", "pytz", "tzdata", "msgspec", "orjson", "uvloop", "deployer-scoring"}
)
"""The scoring runtime and what it needs."""

_REMOVED: Mapping[int, frozenset[str]] = {
    12: frozenset({"asynchat", "asyncore", "distutils", "imp", "smtpd"}),
    13: frozenset({"cgi", "cgitb", "crypt", "imghdr", "msilib", "nntplib", "pipes", "sndhdr", "spwd", "telnetlib", "uu", "xdrlib", "chunk", "aifc"}),
}
_PYTHON_2 = frozenset({"__builtin__", "copy_reg", "cPickle", "cStringIO", "StringIO", "Queue", "ConfigParser", "exceptions", "__builtins__"})


def distributions_of(module: str) -> tuple[str, ...]:
    """The distributions that a top-level module may come in; its own name where nothing else is known."""
    return _MODULES.get(module, (module.lower().replace("_", "-"),))


def well_known(module: str) -> bool:
    """Whether the distribution of a top-level module is certain."""
    return module in _MODULES or module.lower().replace("_", "-") in _BRINGS


_OF_PROJECTS = re.compile(
    r"_*(my|our)_\w+|src|app|apps|lib|libs|core|common|shared|base|config|configs|conf|settings|constants?|utils?|\w+_utils?|utilities|helpers?|tools"
    r"|scripts?|main|run|train(ing|er)?|train_\w+|predict(ion|or)?|inference|serving|serve|score|scoring|evaluat(e|ion)|model|models|modell?ing|\w+_model"
    r"|pipelines?|preprocess(ing|or)?|preprocess_\w+|postprocess(ing)?|transform(s|er|ers|ation)?|features?|feature_\w+|encoders?|datasets?|data|data_\w+"
    r"|loaders?|\w+_loader|wrappers?|\w+_wrapper|modules?|packages?|project|code|custom|custom_\w+|notebooks?|experiments?|steps|tasks|layers|nets?|networks?"
)
_WITH_A_DISTRIBUTION = {"datasets", "transformers", "transformer", "evaluate", "modules"}


def of_projects(module: str) -> bool:
    """Whether a top-level module has a name that projects give to their own files. Indexes have packages of such names, which are other things."""
    return module not in _WITH_A_DISTRIBUTION and _OF_PROJECTS.fullmatch(module) is not None


def brought_by(distributions: frozenset[str]) -> frozenset[str]:
    """These, and what they are known to bring, at any depth."""
    found, new = set(distributions), set(distributions)
    while new:
        new = {each for name in new for each in _BRINGS.get(name, ())} - found
        found |= new
    return frozenset(found)


def standard(module: str, python: str) -> bool:
    """Whether a top-level module is one of that Python's standard library ("3.11"; "" where the version isn't known)."""
    if module in _PYTHON_2:
        return True  # unpickling maps these names
    minor = int(python.partition(".")[2]) if python else 0
    gone = {name for since, names in _REMOVED.items() for name in names if minor >= since}
    ever = sys.stdlib_module_names | {name for names in _REMOVED.values() for name in names}
    return module in ever and module not in gone
