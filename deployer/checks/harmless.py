"""Whether what a pickle names is known to be harmless: what certainly does more than make a model, what is known, and all the rest.

A name that runs commands, code or other pickles is one wherever it is imported from: libraries have imported it, too (`logging` + `os.system`).
Of the standard library and of functions, only what is listed is known; of classes, those of the libraries that models are made of.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from deployer_scoring.opcodes.facts import Global, PickleFacts


class Harm(StrEnum):
    """What is known of a name."""

    HARMLESS = "harmless"
    UNKNOWN = "unknown"
    DANGEROUS = "dangerous"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a name, and of one that is dangerous what it does: "runs commands"."""

    kind: Harm
    does: str = ""


def judge(name: Global, facts: PickleFacts, own: frozenset[str]) -> Judgement:
    """What is known of a name that a pickle imports.

    Args:
        own: top-level modules of the model's own code, which is run anyway.
    """
    module, attribute = _python_3(name)
    if does := _danger(module, attribute):
        return Judgement(Harm.DANGEROUS, does)
    return Judgement(Harm.HARMLESS if _is_known(name, module, attribute, facts, own) else Harm.UNKNOWN)


def _danger(module: str, attribute: str) -> str:
    """What a name does that is dangerous; "" where that isn't known of it."""
    for path in _readings(module, attribute):
        if does := next((does for does, pattern in _DANGEROUS if _matches(pattern, path)), ""):
            return does
    special = any(part.startswith("__") and part.endswith("__") and part not in _PLAIN_DUNDERS for part in attribute.split("."))
    return "reaches into what Python is made of" if special else ""


def _is_known(name: Global, module: str, attribute: str, facts: PickleFacts, own: frozenset[str]) -> bool:
    top = module.partition(".")[0]
    if not attribute or top in own or top == "__main__" or module.startswith("__torch__"):
        return True  # a module alone, the model's own code, a class that TorchScript has compiled: the model's affair, or no Python
    if top in sys.stdlib_module_names or top in _GONE:
        return _matches(_STANDARD, f"{module}.{attribute}")
    if top in _LIBRARIES:
        return _known_of_library(module, attribute.split("."), called=name in facts.calls)
    return not (name in facts.calls or name in facts.made or name in facts.handed)


def _python_3(name: Global) -> tuple[str, str]:
    """The name as Python 3 has it, which is what loading a pickle of an old protocol makes of it."""
    import _compat_pickle

    mapped: tuple[str, str] | None = _compat_pickle.NAME_MAPPING.get((name.module, name.name))
    return mapped or (_compat_pickle.IMPORT_MAPPING.get(name.module, name.module), name.name)


def _readings(module: str, attribute: str) -> list[str]:
    """The dotted name, and what its later parts would be as a name of their own: logging's `os.system` is os's `system`."""
    parts = attribute.split(".")
    return [f"{module}.{attribute}", *(".".join(parts[at:]) for at in range(len(parts) - 1))]


def _known_of_library(module: str, parts: list[str], *, called: bool) -> bool:
    """Classes and constants, functions that are not called while it loads, and those that are known to make an object of what they are given."""
    last = parts[-1]
    is_class = parts[0].lstrip("_")[:1].isupper() or _matches(_MAKES, f"{module}.{parts[0]}")
    if _matches(_DOING, last) or (len(parts) > 1 and not is_class):
        return False
    return not called or (is_class and len(parts) == 1) or _matches(_MAKES, f"{module}.{last}")


def _matches(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Once it is asked: compiling all of these takes a tenth of a second, and most commands ask none."""
    return re.compile(pattern)


_COMMANDS = (
    r"(os|posix|nt)\.(system|popen\w*|exec\w+|spawn\w*|posix_spawnp?|fork\w*|startfile|kill|killpg|abort|_exit)"
    r"|(_posixsubprocess|_winapi|pty|commands|popen2|pexpect|sh|plumbum|fabric|invoke|paramiko)\..+|(.+\.)?subprocess\..+|.*\.?asyncio\..*subprocess.*"
    r"|(.+\.)?(Popen|check_call|check_output|getoutput|getstatusoutput|exec_command|posix_spawnp?|fork_exec|spawnv\w*|spawnl\w*)"
    r"|platform\.(popen|_syscmd\w*)|(multiprocessing|concurrent)\..*(Process|Pool|Executor|spawn\w*|fork\w*|Manager)|multiprocessing\..+|webbrowser\..+"
    r"|(antigravity|idlelib)(\..*)?|(signal|resource|_thread|threading)\..+"
)
_CODE = (
    r"(builtins|__builtin__|__builtins__)\.(eval|exec|execfile|compile|__import__|input|breakpoint|help|vars|globals|locals|setattr|delattr|__build_class__)"
    r"|(importlib|imp|pkgutil|zipimport|zipapp|runpy|code|codeop|pdb|bdb|timeit|_testcapi|_xxsubinterpreters|_interpreters)(\..+)?"
    r"|(profile|cProfile|trace|doctest|unittest|ensurepip|venv|lib2to3|setuptools|pip|pkg_resources)\..+|distutils\.(?!version\.).+|ctypes\..+|_ctypes\..+|cffi\..+"
    r"|types\.(FunctionType|LambdaType|CodeType|ModuleType|CoroutineType|CellType)|(sys|gc|inspect|atexit|site)\.(?!(Signature|Parameter|_ParameterKind|_empty|BoundArguments)\b).+"
    r"|numpy\.(f2py|distutils|testing)\..+|(.+\.)?(runstring|load_extension|run_path|run_module|runsource|runcode|import_module|interact|runctx|execfile)"
    r"|logging\.config\..+|sqlite3\..+|_sqlite3\..+|(pandas|numexpr)\.(.+\.)?(eval|evaluate|query)|numba\..*(jit|njit|cfunc)|sympy\..*(sympify|lambdify|parse_expr)"
    r"|torch\.(hub|utils\.cpp_extension|package|ops|classes|_dynamo|_inductor)\..+|torch\.(compile|ops)|code|pip(\..+)?"
    r"|tensorflow\.(.+\.)?(py_function|py_func|numpy_function|load_op_library|load_library)"
)
_PICKLES = (
    r"(_?pickle|cPickle|dill|dill\._dill|marshal|joblib|shelve|jsonpickle|cloudpickle|cloudpickle\.cloudpickle|yaml|ruamel\.yaml)\.(.*\.)?"
    r"(_?loads?|load_all|unsafe_load\w*|full_load\w*|Unpickler|_Unpickler|open|decode|NumpyUnpickler|load_temporary_memmap)"
    r"|joblib\.numpy_pickle\w*\.(load\w*|_?unpickle|NumpyUnpickler|ZipNumpyUnpickler)|joblib\.externals\.loky\..*(loads?|_reconstruct_wrapper|Popen.*)"
    r"|(pandas|polars|geopandas|dask)\.(.+\.)?(read_\w+|to_(pickle|csv|parquet|excel|sql|hdf|json|feather|clipboard|stata|xml|html|orc|gbq)|get_handle|urlopen|HDFStore|ExcelWriter|ExcelFile)"
    r"|(numpy|scipy)\.(.+\.)?(load|loadtxt|loadmat|genfromtxt|fromfile|memmap|DataSource|open_memmap|read_array|tofile|save|savez\w*|savetxt)"
    r"|(torch|keras|tensorflow|mlflow|xgboost|lightgbm|catboost|onnx|onnxruntime|transformers|spacy|sklearn|statsmodels|skops)\.(.+\.)?"
    r"(load|loads|_load\w*(?<!_load_from_bytes)|load_\w+|from_pretrained|save|save_\w+|fetch_\w+|download\w*|legacy_load|load_url|InferenceSession)"
)
_FILES = (
    r"(builtins|__builtin__|io|_io|codecs|gzip|bz2|lzma|tarfile|zipfile|tempfile|fileinput|mmap|dbm|shelve)\.(.*\.)?"
    r"(open|open_code|FileIO|BufferedWriter|GzipFile|BZ2File|LZMAFile|TarFile|ZipFile|mmap|input|FileInput|\w*[Tt]emp\w+|mk\w+|whichdb|file)|__builtin__\.file"
    r"|(os|posix|nt)\.(open|fdopen|read|write|remove|unlink|rmdir|removedirs|rename|renames|replace|mkdir|makedirs|mkfifo|link|symlink|truncate|ch\w+|"
    r"putenv|unsetenv|environb?|dup2?|popen|listdir|scandir|walk|set\w+|umask|l?chown|sendfile|get_exec_path|add_dll_directory)"
    r"|(pathlib|pathlib\._local)\.\w*Path\..+|(_?pathlib|py\.path)\..*(write|read|open|unlink|touch|mkdir|rmdir|rename|replace|chmod|symlink|hardlink).*"
    r"|shutil\..+|glob\..+|fileinput\..+|linecache\..+|fcntl\..+|termios\..+|mmap\..+"
)
_NETWORK = (
    r"(_?socket|ssl|_ssl|http|ftplib|smtplib|smtpd|telnetlib|poplib|imaplib|nntplib|xmlrpc|socketserver|asyncore|asynchat|select|selectors|wsgiref|cgi)\..+"
    r"|urllib\.(request|robotparser|error)\..+|urllib2?\.(urlopen|urlretrieve|Request|build_opener)|(.+\.)?(urlopen|urlretrieve)"
    r"|(requests|httpx|aiohttp|urllib3|boto3|botocore|pycurl|websockets?)\..+|asyncio\..+"
)
_CALLS = (
    r"(builtins|__builtin__)\.(map|filter|apply|iter)|itertools\.(starmap|accumulate|takewhile|dropwhile|filterfalse|groupby|imap|ifilter)|itertools\.i?(map|filter)"
    r"|_?operator\.(attrgetter|methodcaller|call|setitem|delitem|iconcat)|_?functools\.(partialmethod|singledispatch|cached_property|cmp_to_key|wraps)"
    r"|types\.DynamicClassAttribute|copy\.replace|contextlib\.ExitStack\..+|weakref\.finalize|atexit\..+|sched\..+"
)
_DANGEROUS: tuple[tuple[str, str], ...] = (
    ("runs commands", _COMMANDS),
    ("runs code", _CODE),
    ("loads other pickles or files", _PICKLES),
    ("reads or changes files or the system", _FILES),
    ("opens connections", _NETWORK),
    ("calls what it is handed by a name", _CALLS),
)

_PLAIN_DUNDERS = frozenset({"__new__", "__newobj__", "__newobj_ex__", "__init__", "__main__"})
_GONE = frozenset({"__builtin__", "copy_reg", "cPickle", "cStringIO", "StringIO", "exceptions", "imp", "distutils", "asyncore", "telnetlib", "cgi"})

_BUILTINS = (
    "set frozenset list dict tuple int float str bytes bytearray complex bool object slice range type property staticmethod"
    " classmethod super memoryview NotImplemented Ellipsis getattr hasattr isinstance issubclass len sum min max abs round sorted"
    " reversed any all zip enumerate hash repr ascii id ord chr bin oct hex divmod pow format callable print next long unicode"
    " basestring xrange NoneType ellipsis function"
)
_STANDARD = (
    rf"(builtins|__builtin__)\.({'|'.join(_BUILTINS.split())}|\w*(Error|Exception|Warning|Iteration|Interrupt|Exit))|exceptions\.\w+"
    r"|(builtins|__builtin__)\.(str|unicode|bytes|int|float|list|dict|tuple|set)\.[a-z]\w*"
    r"|(copyreg|copy_reg)\.(_reconstructor|__newobj__|__newobj_ex__)|copy\.(copy|deepcopy)"
    r"|_?collections(\.abc|_abc)?\.(\w+)|_?datetime\.\w+(\.\w+)?|zoneinfo\.ZoneInfo(\._unpickle)?|_?decimal\.\w+|fractions\.Fraction|numbers\.\w+|calendar\.\w+"
    r"|time\.(struct_time|time|perf_counter|monotonic|strftime|gmtime|localtime|strptime|mktime)"
    r"|_?functools\.(partial|reduce|lru_cache|_lru_cache_wrapper|total_ordering)"
    r"|itertools\.(count|chain|repeat|product|cycle|islice|permutations|combinations\w*|zip_longest|compress|pairwise|tee|batched)"
    r"|_?operator\.(itemgetter|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|and_|or_|xor|not_|invert|eq|ne|lt|le|gt|ge|getitem|contains|concat"
    r"|is_|is_not|matmul|index|lshift|rshift|truth|countOf|indexOf)"
    r"|re\.(_compile|compile|Pattern|RegexFlag|escape|Match)|_sre\.\w+|sre_constants\.\w+|_?random\.(Random|SystemRandom)|_?uuid\.(UUID|SafeUUID)"
    r"|_?pathlib(\._local)?\.(Pure)?(Posix|Windows)?Path|(posixpath|ntpath|os\.path)\.(join|basename|dirname|split|splitext|normpath|isabs|commonprefix)"
    r"|string\.\w+|_?string\.\w+|enum\.\w+|abc\.(ABC|ABCMeta|abstractmethod)|typing\.\w+|dataclasses\.(\w+)"
    r"|types\.(SimpleNamespace|MappingProxyType|GenericAlias|MethodType|UnionType|NoneType|EllipsisType|NotImplementedType|BuiltinFunctionType)"
    r"|_?weakref\.(ref|ReferenceType|WeakKeyDictionary|WeakValueDictionary|WeakSet|WeakMethod|proxy)|array\.(array|_array_reconstructor)"
    r"|_?io\.(BytesIO|StringIO)|c?StringIO\.StringIO|_codecs\.(encode|decode)|codecs\.(encode|decode|lookup)|encodings\.\w+(\.\w+)?"
    r"|logging\.(getLogger|Logger|PlaceHolder|INFO|RootLogger)|_?(math|cmath|statistics|_statistics|bisect|_bisect|heapq|_heapq|_struct|struct|hashlib|_hashlib|zlib"
    r"|binascii|base64|html|textwrap|difflib|unicodedata|colorsys|ipaddress|urllib\.parse|keyword|stringprep|graphlib|locale)\.\w+"
    r"|json\.(loads|dumps|JSONEncoder|JSONDecoder)|json\.\w+\.(JSONEncoder|JSONDecoder)|ast\.literal_eval|argparse\.Namespace|contextlib\.(nullcontext|suppress)"
    r"|inspect\.(Signature|Parameter|_ParameterKind|_empty|BoundArguments)(\.\w+)?|queue\.(Queue|LifoQueue|PriorityQueue)|Queue\.Queue"
    r"|distutils\.version\.\w+|warnings\.(warn|filterwarnings|simplefilter|catch_warnings)|contextvars\.(ContextVar|Context)|reprlib\.\w+|pprint\.\w+|secrets\.\w+|shlex\.(quote|split)"
)

_LIBRARIES = frozenset(
    [
        "numpy",
        "pandas",
        "scipy",
        "sklearn",
        "xgboost",
        "lightgbm",
        "catboost",
        "statsmodels",
        "torch",
        "torchvision",
        "torchaudio",
        "tensorflow",
        "keras",
        "transformers",
        "sentence_transformers",
        "spacy",
        "thinc",
        "fastai",
        "fastcore",
        "prophet",
        "fbprophet",
        "pmdarima",
        "diviner",
        "joblib",
        "cloudpickle",
        "dill",
        "mlflow",
        "onnx",
        "onnxruntime",
        "skl2onnx",
        "shap",
        "umap",
        "pynndescent",
        "hdbscan",
        "imblearn",
        "category_encoders",
        "feature_engine",
        "lifelines",
        "sktime",
        "tslearn",
        "statsforecast",
        "mlforecast",
        "neuralforecast",
        "darts",
        "gensim",
        "nltk",
        "implicit",
        "surprise",
        "lightfm",
        "ngboost",
        "interpret",
        "econml",
        "dowhy",
        "causalml",
        "pyod",
        "skopt",
        "optuna",
        "hyperopt",
        "pycaret",
        "skorch",
        "pytorch_lightning",
        "lightning",
        "torchmetrics",
        "tokenizers",
        "datasets",
        "safetensors",
        "pyarrow",
        "polars",
        "patsy",
        "formulaic",
        "h5py",
        "numba",
        "networkx",
        "sympy",
        "shapely",
        "geopandas",
        "dateutil",
        "pytz",
        "tzdata",
        "tzlocal",
        "pydantic",
        "pydantic_core",
        "annotated_types",
        "attr",
        "attrs",
        "sklearn_pandas",
        "mlxtend",
        "river",
        "autogluon",
        "flaml",
        "tpot",
        "h2o",
        "pyspark",
        "paddle",
        "jax",
        "jaxlib",
        "flax",
        "optax",
        "haiku",
        "xarray",
        "cvxpy",
        "hmmlearn",
        "pgmpy",
        "GPy",
        "gpytorch",
        "botorch",
        "pyro",
        "arviz",
        "pymc",
        "pymc3",
        "emcee",
        "sentencepiece",
        "deepchem",
        "rdkit",
        "skimage",
        "cv2",
        "PIL",
        "librosa",
        "soundfile",
        "textblob",
        "vaderSentiment",
        "bokeh",
        "plotly",
        "matplotlib",
        "seaborn",
        "altair",
        "msgspec",
        "orjson",
        "yaml",
        "six",
        "packaging",
        "tqdm",
        "threadpoolctl",
        "narwhals",
        "einops",
        "timm",
        "diffusers",
        "accelerate",
        "peft",
        "bitsandbytes",
        "faiss",
        "annoy",
        "hnswlib",
        "tabpfn",
        "tabnet",
        "pytorch_tabnet",
        "boruta",
        "kmodes",
        "minisom",
        "fancyimpute",
        "missingno",
        "holidays",
        "convertdate",
        "cmdstanpy",
        "pystan",
        "greykite",
        "orbit",
        "kats",
        "tsfresh",
        "aeon",
        "stumpy",
        "arch",
        "linearmodels",
        "glum",
        "group_lasso",
        "celer",
        "sklearnex",
        "daal4py",
        "cuml",
        "cudf",
        "cupy",
        "dask",
        "distributed",
        "modin",
        "scikeras",
        "typing_extensions",
        "deployer",
        "deployer_scoring",
        "skops",
        "treelite",
        "m2cgen",
        "eli5",
        "lime",
        "alibi",
    ]
)

# Functions of libraries that are one wherever a library has them.
_DOING = (
    r"system|popen|Popen|exec|eval|execfile|loads?|open|call|check_call|check_output|spawn|run|main|read_pickle|urlopen|import_module|__import__|get_handle|compile"
    r"|import_string|import_from_string|locate|get_obj_by_name|import_item|safe_import|lazy_import|string_to_class|load_class|resolve_name|import_optional_dependency"
)
# Functions of libraries by which their objects are pickled.
_MAKES = (
    r".+\.(__pyx_unpickle_\w+|_+(re)?(un)?pickle\w*|_unpickle\w*|unpickle\w*|_?reconstruct\w*|_?rebuild\w*|_+new_\w+|newObj|_from_pickle\w*|_+restore\w*|_?deserialize\w*)"
    r"|numpy\.(_?core\.)?(\w+\.)?(_reconstruct|_mareconstruct|_mrreconstruct|scalar|_frombuffer|_ufunc_reconstruct|_DType_reconstruct|dtype|ndarray|recarray|record|matrix|asarray|array)"
    r"|numpy\.((u?int|float|complex)\d+|bool_?|str_|bytes_|object_|void|datetime64|timedelta64|u?intc?|u?intp|longlong|double|single|half|poly1d|vectorize|random\._pickle\.\w+|ma\.\w+\.\w+)"
    r"|pandas\._libs\.(\w+\.)*_\w*unpickle\w*|pandas\._libs\..+|pandas\.core\.\w+(\.\w+)*\._new_\w+|pandas\.(core\.)?(\w+\.)*(_unpickle\w*|_timedelta_unpickle|_period_unpickle)"
    r"|pandas\.(offsets|tseries\.offsets)\.\w+"
    r"|scipy\.sparse\.(_?\w+\.)?\w+_(matrix|array)|scipy\.stats\.(\w+\.)*\w+_(gen|frozen)|scipy\.stats\._distn_infrastructure\.\w+|scipy\.interpolate\.(\w+\.)?(interp1d|interp2d)"
    r"|torch\._utils\._\w+|torch\.(storage\._load_from_bytes|device|Size|dtype|layout|memory_format|Tensor|FloatStorage|_tensor\._rebuild_from_type_v2)|torch\.jit\._pickle\.\w+"
    r"|torch\.serialization\._get_layout|torch\._tensor\.\w+|torch\.nn\.parameter\.\w+|torch\.(return_types|utils\._pytree)\.\w+|torch\.serialization\._\w+storage\w*"
    r"|(joblib\.externals\.|pyspark\.|ray\.)?cloudpickle(\.\w+)?\.(_make_\w+|_fill_function|_function_setstate|_function_getstate|_class_setstate|_?cell_set|_builtin_type"
    r"|subimport|dynamic_subimport|_gen_ellipsis|_gen_not_implemented|_empty_cell_value|_rehydrate_skeleton_class|_create_parametrized_type_hint|_lookup_class_or_track)"
    r"|dill(\._dill)?\.(_create_\w+|_load_type|_import_module|_get_attr|_restore_\w+|_setitems)"
    r"|pytz\._(UTC|p)|pytz\.\w+|dateutil\.(tz|rrule|relativedelta|zoneinfo)\.(\w+\.)?\w+|pyarrow\.\w+(\.\w+)*|polars\.\w+(\.\w+)*|pydantic(_core)?\.\w+(\.\w+)*"
    r"|sklearn\.utils\._bunch\.Bunch|sklearn\._loss\.\w+\.\w+|sklearn\.\w+\._?\w+\.(\w+32|\w+64)|spacy\.\w+(\.\w+)*\.unpickle\w*|thinc\.\w+\.\w+|networkx\.\w+\.\w+|lifelines\.\w+\.\w+"
    r"|jax\._src\.array\._reconstruct_array|jax\._src\.\w+\._\w+|tensorflow\.python\.\w+\.\w+\.(_restore\w*|constant|as_dtype)|statsmodels\.\w+\.\w+(\.\w+)*"
    r"|sympy\.\w+(\.\w+)*|patsy\.\w+\.\w+|typing_extensions\.\w+|keras\.\w+(\.\w+)*\.unpickle\w*|joblib\.numpy_pickle\w*\.\w+Wrapper|yaml\.\w+|packaging\.\w+\.\w+"
)
