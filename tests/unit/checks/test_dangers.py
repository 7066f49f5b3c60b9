"""Pickles that do more than make a model, in every way that was thought of, and those that don't: what is warned of, and what isn't."""

from __future__ import annotations

import collections
import datetime
import decimal
import functools
import gzip
import io
import itertools
import operator
import os
import pickle
import re
import types
import uuid
import zipfile
import zlib
from collections.abc import Iterable
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from deployer.artifacts.content import ModelFile
from deployer.checks.containers import pickles
from deployer.checks.dangers import DANGEROUS, SUSPICIONS, UNKNOWN, UNREAD, check_dangers
from deployer.checks.finding import Finding, Severity

COMMAND = b"X\x02\0\0\0id\x85"  # the tuple ("id",)


def named(module: str, name: str) -> bytes:
    """A global of protocol 0."""
    return f"c{module}\n{name}\n".encode()


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def called(module: str, name: str, arguments: bytes = COMMAND) -> bytes:
    return named(module, name) + arguments + b"R"


def whole(*operations: bytes) -> bytes:
    return b"\x80\x04" + b"".join(operations) + b"."


def handed(caller: tuple[str, str], module: str = "os", name: str = "system") -> bytes:
    """A call of something that calls what it is handed: map(os.system, ["id"])."""
    return named(*caller) + named(module, name) + b"]" + text("id") + b"a\x86R"


class By:
    """Pickled as a call."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.function, self.arguments, self.state = function, arguments, state

    def __reduce__(self) -> Any:
        return (self.function, self.arguments) if self.state is None else (self.function, self.arguments, self.state)


ATTR = text("system")
NAMED = [
    *("os system", "posix system", "nt system", "os popen", "os execv", "os execvpe", "os spawnl", "os posix_spawn", "posix posix_spawnp", "os fork"),
    *("os kill", "os remove", "os putenv", "os environ", "os open", "os rename", "os chmod", "os fdopen", "os startfile"),
    *(
        "subprocess Popen",
        "subprocess run",
        "subprocess check_output",
        "subprocess getoutput",
        "_posixsubprocess fork_exec",
        "pty spawn",
        "commands getoutput",
    ),
    *(
        "builtins eval",
        "builtins exec",
        "builtins compile",
        "builtins open",
        "builtins __import__",
        "__builtin__ eval",
        "__builtin__ execfile",
        "__builtin__ file",
    ),
    *(
        "builtins map",
        "builtins filter",
        "builtins setattr",
        "builtins globals",
        "builtins vars",
        "builtins breakpoint",
        "builtins input",
        "__builtin__ apply",
    ),
    *(
        "importlib import_module",
        "importlib.util spec_from_file_location",
        "importlib.machinery SourceFileLoader",
        "imp load_source",
        "runpy run_path",
    ),
    *("runpy _run_code", "pkgutil resolve_name", "zipimport zipimporter", "code interact", "code InteractiveInterpreter", "codeop compile_command"),
    *(
        "pdb run",
        "pdb Pdb",
        "bdb Bdb",
        "timeit timeit",
        "timeit Timer",
        "doctest debug_script",
        "profile run",
        "cProfile run",
        "profile Profile.run",
        "trace Trace",
    ),
    *(
        "unittest main",
        "ensurepip bootstrap",
        "venv create",
        "pip main",
        "pip._internal main",
        "pip._internal.cli.main main",
        "distutils.core run_setup",
    ),
    *(
        "ctypes CDLL",
        "ctypes.util find_library",
        "_ctypes dlopen",
        "cffi FFI",
        "webbrowser open",
        "antigravity fly",
        "sys modules",
        "sys exit",
        "sys settrace",
    ),
    *(
        "gc get_objects",
        "inspect getsource",
        "atexit register",
        "signal signal",
        "threading Thread",
        "_thread start_new_thread",
        "multiprocessing Process",
    ),
    *(
        "multiprocessing.pool Pool",
        "concurrent.futures.process ProcessPoolExecutor",
        "multiprocessing.util spawnv_passfds",
        "asyncio create_subprocess_shell",
    ),
    *(
        "asyncio.subprocess create_subprocess_exec",
        "asyncio.base_events BaseEventLoop.subprocess_exec",
        "platform popen",
        "logging.config fileConfig",
    ),
    *("logging.config dictConfig", "logging FileHandler", "logging.handlers SocketHandler", "sqlite3 connect", "sqlite3 Connection.load_extension"),
    *(
        "shutil rmtree",
        "shutil move",
        "shutil copyfile",
        "pathlib Path.write_text",
        "pathlib PosixPath.unlink",
        "pathlib Path.open",
        "pathlib._local Path.touch",
    ),
    *(
        "tempfile mkdtemp",
        "tempfile NamedTemporaryFile",
        "io open",
        "io FileIO",
        "_io FileIO",
        "codecs open",
        "gzip open",
        "tarfile open",
        "zipfile ZipFile",
    ),
    *(
        "mmap mmap",
        "glob glob",
        "fileinput input",
        "linecache getline",
        "socket socket",
        "_socket socket",
        "ssl SSLContext",
        "http.client HTTPConnection",
    ),
    *(
        "urllib.request urlopen",
        "urllib urlopen",
        "urllib2 urlopen",
        "ftplib FTP",
        "smtplib SMTP",
        "xmlrpc.client ServerProxy",
        "socketserver TCPServer",
    ),
    *(
        "requests get",
        "requests.api post",
        "httpx get",
        "boto3 client",
        "pickle loads",
        "pickle load",
        "_pickle loads",
        "cPickle loads",
        "pickle Unpickler",
    ),
    *(
        "marshal loads",
        "shelve open",
        "cloudpickle loads",
        "cloudpickle.cloudpickle load",
        "dill loads",
        "dill._dill loads",
        "joblib load",
        "joblib.numpy_pickle load",
    ),
    *(
        "joblib.numpy_pickle _unpickle",
        "torch load",
        "torch.serialization load",
        "torch.jit load",
        "torch.hub load",
        "numpy load",
        "numpy.lib.npyio load",
    ),
    *(
        "numpy.lib._npyio_impl load",
        "numpy fromfile",
        "numpy memmap",
        "numpy DataSource",
        "numpy.f2py compile",
        "numpy.f2py.crackfortran getincludes",
    ),
    *(
        "numpy.testing._private.utils runstring",
        "numpy.distutils.exec_command exec_command",
        "numpy.testing rundocs",
        "pandas read_pickle",
        "pandas.io.pickle read_pickle",
    ),
    *(
        "pandas eval",
        "pandas.core.computation.eval eval",
        "pandas.io.common get_handle",
        "pandas HDFStore",
        "pandas.io.clipboard Popen",
        "yaml unsafe_load",
    ),
    *(
        "types FunctionType",
        "types CodeType",
        "types ModuleType",
        "types LambdaType",
        "operator attrgetter",
        "_operator attrgetter",
        "operator methodcaller",
    ),
    *(
        "operator setitem",
        "operator call",
        "itertools starmap",
        "itertools accumulate",
        "functools cmp_to_key",
        "functools partialmethod",
        "weakref finalize",
    ),
    *("logging os.system", "sklearn.utils.os system", "numpy os.system", "pandas.io.common os.system", "pathlib os.system", "typing sys.modules"),
    *(
        "joblib.disk os.remove",
        "torch.serialization os.system",
        "random _os.system",
        "sklearn.utils._testing check_output",
        "scipy._lib.subprocess Popen",
    ),
    *("builtins object.__subclasses__", "collections OrderedDict.__init__.__globals__", "sklearn.base BaseEstimator.__class__.__subclasses__"),
    *(
        "numpy.core.multiarray _reconstruct.__globals__",
        "builtins __dict__",
        "sklearn.base __builtins__",
        "keras.models load_model",
        "mlflow.pyfunc load_model",
    ),
    *("transformers pipeline.from_pretrained", "dill._dill _import_module.__globals__", "tensorflow.python.ops.script_ops py_func", "sympy sympify"),
]


def opcodes() -> Iterable[tuple[str, bytes]]:
    """Attacks by hand, by what is done."""
    yield "reduce", whole(called("os", "system"))
    yield "inst", b"(S'id'\nios\nsystem\n."
    yield "obj", whole(b"(" + named("os", "system") + text("id") + b"o")
    yield "newobj", whole(named("subprocess", "Popen") + COMMAND + b"\x81")
    yield "newobj_ex", whole(named("subprocess", "Popen") + COMMAND + b"}\x92")
    yield "protocol 0", b"cos\nsystem\n(S'id'\ntR."
    yield "protocol 0 of Python 2", b"c__builtin__\neval\n(S'1'\ntR."
    yield "stack global", whole(text("os") + text("system") + b"\x93" + COMMAND + b"R")
    yield "names from the memo", whole(text("os") + b"\x94" + text("system") + b"\x9400h\x00h\x01\x93" + COMMAND + b"R")
    yield "names put and got", whole(text("system") + b"q\x05" + text("os") + b"q\x060h\x060h\x06h\x05\x93" + COMMAND + b"R")
    yield "names twice", whole(text("os") + b"20" + text("system") + b"\x93" + COMMAND + b"R")
    yield "names in bytes", whole(b"U\x02osU\x06system\x93" + COMMAND + b"R")
    joined = called("builtins", "str", text("os") + b"\x85")
    yield "names that are joined", whole(joined + text("system") + b"\x93" + COMMAND + b"R")
    yield (
        "names that are decoded",
        whole(text("os") + called("_codecs", "decode", b"C\x06system" + text("ascii") + b"\x86") + b"\x93" + COMMAND + b"R"),
    )
    yield "names that are long", whole(text("os") + b"X" + (70_000).to_bytes(4, "little") + b"x" * 70_000 + b"\x93")
    yield "names from an id", whole(b"Pos\n" + text("system") + b"\x93" + COMMAND + b"R")
    yield "names of numbers", whole(b"K\x01K\x02\x93" + COMMAND + b"R")
    yield "dotted", whole(text("logging") + text("os.system") + b"\x93" + COMMAND + b"R")
    yield "dotted twice", whole(text("logging") + text("handlers.os.system") + b"\x93" + COMMAND + b"R")
    yield "getattr of a module", whole(named("builtins", "getattr") + named("logging", "os") + ATTR + b"\x86R" + COMMAND + b"R")
    yield (
        "getattr of what is imported",
        whole(named("builtins", "getattr") + called("cloudpickle.cloudpickle", "subimport", text("os") + b"\x85") + ATTR + b"\x86R" + COMMAND + b"R"),
    )
    yield "getattr by a computed name", whole(named("builtins", "getattr") + named("logging", "os") + joined + b"\x86R" + COMMAND + b"R")
    yield (
        "getattr of an object",
        whole(named("builtins", "getattr") + called("pathlib", "PosixPath", text("x") + b"\x85") + text("write_text") + b"\x86R" + COMMAND + b"R"),
    )
    yield "getattr of a dunder", whole(named("builtins", "getattr") + b")" + text("__class__") + b"\x86R")
    yield "getattr, python 2", whole(named("__builtin__", "getattr") + named("logging", "os") + ATTR + b"\x86R" + COMMAND + b"R")
    yield "attrgetter", whole(called("operator", "attrgetter", ATTR + b"\x85") + named("logging", "os") + b"\x85R" + COMMAND + b"R")
    yield "methodcaller", whole(called("operator", "methodcaller", ATTR + text("id") + b"\x86") + named("logging", "os") + b"\x85R")
    yield "partial", whole(called("functools", "partial", named("os", "system") + text("id") + b"\x86") + b")R")
    yield "partial of the unknown, called", whole(called("functools", "partial", named("somewhere.else", "thing") + b"\x85") + b")R")
    for caller in (
        ("builtins", "map"),
        ("builtins", "filter"),
        ("itertools", "starmap"),
        ("itertools", "takewhile"),
        ("functools", "reduce"),
        ("__builtin__", "map"),
    ):
        yield f"{caller[1]} of {caller[0]}", whole(handed(caller))
        yield f"{caller[1]} of {caller[0]}, of what nobody knows", whole(handed(caller, "somewhere", "thing"))
    yield "a dictionary that is filled by a call", whole(called("collections", "defaultdict", named("os", "getcwd") + b"\x85"))
    for code, length in ((b"\x82", 1), (b"\x83", 2), (b"\x84", 4)):
        yield f"extension code of {length}", whole(code + (7).to_bytes(length, "little") + COMMAND + b"R")
    inner = pickle.dumps(By(os.system, "id"))
    for loader in ("pickle loads", "_pickle loads", "cloudpickle loads", "cloudpickle.cloudpickle loads", "dill loads", "dill._dill loads"):
        yield f"nested in {loader}", whole(called(*loader.split(), b"B" + len(inner).to_bytes(4, "little") + inner + b"\x85"))
    yield "nested in joblib's load", whole(called("joblib", "load", called("_io", "BytesIO", b"C\x01x\x85") + b"\x85"))
    stored = whole(called("torch.storage", "_load_from_bytes", b"B" + len(inner).to_bytes(4, "little") + inner + b"\x85"))
    yield "nested in a storage of torch", stored
    yield "a function of its own that is called", cloudpickle.dumps(By(own_function(), 1))
    yield "a persistent id", whole(b"Panything\n")
    yield "a persistent id of the stack", whole(text("anything") + b"Q")
    yield "build on a class", whole(named("sklearn.base", "BaseEstimator") + b"}" + text("x") + b"K\x01sb")
    yield "build on a module", whole(named("builtins", "getattr") + named("sklearn", "base") + text("os") + b"\x86R}b")
    yield "items into a module's", whole(named("sklearn.base", "CONFIG") + text("x") + b"K\x01s")
    yield "append to a library's list", whole(named("sklearn.base", "HOOKS") + b"K\x01a")
    yield (
        "setstate is set",
        whole(named("sklearn.base", "BaseEstimator") + b")\x81}" + text("__setstate__") + named("numpy", "sum") + b"sb" + text("id") + b"b"),
    )
    yield "a class is set", whole(named("sklearn.base", "BaseEstimator") + b")\x81}" + text("__class__") + named("numpy", "sum") + b"sb")
    yield "a class is made", whole(called("builtins", "type", text("X") + b")}\x87") + b")\x81")
    yield "a class that is computed", whole(called("builtins", "type", text("X") + b"\x85") + b")\x81")
    yield "a second pickle", pickle.dumps(1) + pickle.dumps(By(os.system, "id"))
    yield "a second pickle of protocol 0", pickle.dumps(1) + pickle.dumps(By(os.system, "id"), 0)
    yield "a third pickle", pickle.dumps(1) + pickle.dumps(2, 0) + pickle.dumps(By(os.system, "id"), 0)
    yield "calls and breaks", whole(called("os", "system"))[:-1] + b"\xff"
    yield "calls and breaks, protocol 0", b"cos\nsystem\n(S'id'\ntR\xff"
    yield "calls and ends", whole(called("os", "system"))[:-1]
    yield "popped again", whole(called("os", "system") + b"0N")
    yield "in a list", whole(b"](" + called("os", "system") + b"e")
    yield "in a state", whole(named("sklearn.base", "BaseEstimator") + b")\x81}" + text("x") + called("os", "system") + b"sb")
    yield "what nobody knows", whole(called("somewhere.else", "thing"))
    yield "an object of what nobody knows", whole(named("somewhere.else", "Thing") + b")\x81")
    yield "a name of the standard library that nobody knows", whole(named("mailcap", "findmatch"))
    yield "a function of a library that nobody knows, called", whole(called("sklearn.utils", "something_new"))


def own_function() -> Any:
    def function(number: int) -> int:
        return number

    function.__module__ = "__main__"
    return function


def findings(directory: Path, name: str, content: bytes, own: frozenset[str] = frozenset(), most: int = 1_000_000) -> list[Finding]:
    path = directory / name
    path.write_bytes(content)
    listed = [ModelFile(name, path, len(content))]
    return [finding for pickled in pickles(listed, most=most) for finding in check_dangers(pickled, own)]


def warned(found: Iterable[Finding]) -> set[str]:
    return {each.code for each in found if each.severity is Severity.WARNING}


ATTACKS = dict(opcodes())


@pytest.mark.parametrize("kind", ATTACKS)
def test_what_a_pickle_does_is_warned_of_however_it_is_done(kind: str, tmp_path: Path) -> None:
    assert warned(findings(tmp_path, "model.pkl", ATTACKS[kind])) & SUSPICIONS


@pytest.mark.parametrize("kind", [kind for kind, content in ATTACKS.items() if content[:1] == b"\x80"])
def test_a_file_of_any_name_is_looked_into(kind: str, tmp_path: Path) -> None:
    assert warned(findings(tmp_path, "weights", ATTACKS[kind])) & SUSPICIONS or kind == "calls and ends"


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("how", ["named", "called", "handed to partial"])
def test_names_that_do_more_are_told_with_what_they_do(name: str, how: str, tmp_path: Path) -> None:
    module, _, attribute = name.partition(" ")
    content = {
        "named": whole(named(module, attribute)),
        "called": whole(text(module) + text(attribute) + b"\x93" + COMMAND + b"R"),
        "handed to partial": whole(called("functools", "partial", named(module, attribute) + text("id") + b"\x86")),
    }[how]
    found = [each for each in findings(tmp_path, "model.pkl", content) if each.code in SUSPICIONS]
    assert found and f"{module}.{attribute}" in found[0].what
    assert found[0].code == DANGEROUS or name in {
        "logging FileHandler",
        "logging.handlers SocketHandler",
        "random _os.system",
        "sklearn.utils.os system",
    }


def zipped(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name.replace("__", "/").replace("_", ".")), content)
    return packed.getvalue()


def saved_array(value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, value, allow_pickle=True)
    return file.getvalue()


EVIL = pickle.dumps(By(os.system, "id"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.pt", zipped(archive__data_pkl=EVIL)),
        ("model.bin", zipped(archive__data_pkl=EVIL)),
        ("model.pth", pickle.dumps(2**70) + EVIL),
        ("model.joblib", zlib.compress(EVIL)),
        ("model.pkl", gzip.compress(EVIL, mtime=0)),
        ("model.joblib", gzip.compress(pickle.dumps(1) + EVIL, mtime=0)),
        ("a.npy", saved_array(np.array([By(os.system, "id")], dtype=object))),
        ("a.npz", zipped(a_npy=saved_array(np.array([By(os.system, "id")], dtype=object)))),
        ("a.npy", saved_array(np.array([(By(os.system, "id"), 1)], dtype=[("o", object), ("n", int)]))),
        ("model.skops", zipped(schema_json=b'{"__loader__": "FunctionNode", "__module__": "os", "__class__": "system"}')),
        ("model.skops", zipped(schema_json=b'{"__loader__": "ObjectNode", "a": {"__module__": "my_lib", "__class__": "Thing"}}')),
    ],
)
def test_pickles_are_found_wherever_they_lie(name: str, content: bytes, tmp_path: Path) -> None:
    assert warned(findings(tmp_path, name, content)) & SUSPICIONS


def test_what_lies_past_the_limit_is_told_as_not_seen(tmp_path: Path) -> None:
    content = pickle.dumps([*range(1000), By(os.system, "id")])
    assert warned(findings(tmp_path, "model.pkl", content)) == {DANGEROUS}
    assert warned(findings(tmp_path, "model.pkl", content, most=500)) == {UNREAD}


class Colour(Enum):
    RED = 1


class Estimator:
    def __init__(self) -> None:
        self.value = [len, np.log1p, PurePosixPath("/a"), Colour.RED]

    def predict(self) -> Any:
        return self.value


def by_value() -> Any:
    class Own(Estimator):
        helper = staticmethod(own_function())

        def predict(self) -> Any:
            return [os.sep, self.helper(1)]

    Own.__module__ = "__main__"
    return Own()


ORDINARY: dict[str, Any] = {
    "plain": {"a": [1, 2.5, None, True, "text", b"bytes", (1, 2), {5}, frozenset({6}), bytearray(b"x"), 10**30]},
    "standard": [
        *(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), decimal.Decimal("1.5"), complex(1, 2), uuid.UUID(int=1), re.compile("a+", re.I)),
        *(collections.OrderedDict(a=1), collections.Counter("abc"), collections.defaultdict(list, x=[1]), collections.deque([1]), range(3), slice(1)),
        *(functools.partial(np.clip, a_min=0), operator.itemgetter("a"), itertools.count(3), types.SimpleNamespace(a=1), os.path.join, Path("/a/b")),
        *(list[int], dict[str, int] | None, list[int], ValueError("x"), io.BytesIO(b"x"), datetime.timedelta(1)),
    ],
    "own": [Estimator(), Estimator().predict, Colour.RED, Estimator],
    "arrays": [np.arange(10), np.float64(1), np.array(["a", None], dtype=object), np.array(["x"]), np.ma.masked_array([1, 2], [0, 1])],
    "more of numpy": [
        np.random.default_rng(0),
        np.random.RandomState(0),
        np.dtype([("a", int)]),
        np.add,
        np.log1p,
        np.datetime64("2026-01-01"),
        np.poly1d([1]),
    ],
    "frames": pd.DataFrame({"n": [1.0, 2.0], "t": ["x", "y"], "w": pd.to_datetime(["2026-01-01", "2026-01-02"]), "c": pd.Categorical(["u", "v"])}),
    "more of pandas": [
        *(
            pd.MultiIndex.from_tuples([(1, "a")]),
            pd.interval_range(0, 3),
            pd.NaT,
            pd.Timestamp("2026-01-01", tz="UTC"),
            pd.Timedelta(1),
            pd.Period("2026"),
        ),
        *(pd.array([1, None], dtype="Int64"), pd.array(["a", None], dtype="string"), pd.period_range("2026", periods=2), pd.offsets.Day(2), pd.NA),
        *(pd.timedelta_range("1D", periods=2), pd.Series([1]).rolling, pd.arrays.SparseArray([0, 1])),
    ],
}
ORDINARY["more of pandas"].pop(-2)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ORDINARY)
def test_what_models_are_made_of_is_not_warned_of(kind: str, protocol: int, tmp_path: Path) -> None:
    own = frozenset({__name__.partition(".")[0]})
    value = ORDINARY[kind]
    for each in value if isinstance(value, list) else [value]:
        try:
            content = pickle.dumps(each, protocol)
        except TypeError:
            continue  # of slots, which the first protocols don't know
        found = findings(tmp_path, "model.pkl", content, own)
        assert not warned(found), each


def test_code_of_its_own_is_noted_once_and_no_warning(tmp_path: Path) -> None:
    found = findings(tmp_path, "python_model.pkl", cloudpickle.dumps([by_value(), by_value().predict, own_function()]), frozenset({"tests"}))
    assert [(each.severity, each.code) for each in found] == [(Severity.NOTE, "code-in-pickle")]


def test_what_is_handed_to_what_calls_it_counts_as_called(tmp_path: Path) -> None:
    found = findings(tmp_path, "model.pkl", whole(called("functools", "partial", named("my_lib", "thing") + b"\x85")))
    assert [each.code for each in found] == [UNKNOWN]
    assert not warned(findings(tmp_path, "model.pkl", whole(named("my_lib", "thing"))))


def test_names_of_one_library_are_told_together(tmp_path: Path) -> None:
    content = whole(*(called("my_lib.things", f"thing_{number}") for number in range(5)))
    (finding,) = findings(tmp_path, "model.pkl", content)
    assert finding.what == (
        "it calls my_lib.things.thing_0, my_lib.things.thing_1, my_lib.things.thing_2 and 2 more: they are not known to be harmless"
    )


def test_torch_s_own_forms_are_followed(tmp_path: Path) -> None:
    storage = b"(" + text("storage") + named("torch", "FloatStorage") + text("0") + text("cpu") + b"K\x03tQ"
    tensor = (
        named("torch._utils", "_rebuild_tensor_v2")
        + b"("
        + storage
        + b"K\x00K\x03\x85K\x01\x85\x89"
        + called("collections", "OrderedDict", b")")
        + b"tR"
    )
    state = whole(called("collections", "OrderedDict", b")") + text("weight") + tensor + b"s")
    for name, content in (("model.pt", zipped(archive__data_pkl=state)), ("model.pth", pickle.dumps(2**70) + state)):
        assert not warned(findings(tmp_path, name, content))
    inner = zipped(archive__data_pkl=state)
    nested = whole(called("torch.storage", "_load_from_bytes", b"B" + len(inner).to_bytes(4, "little") + inner + b"\x85"))
    assert not warned(findings(tmp_path, "model.pkl", nested))
