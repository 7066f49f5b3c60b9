"""Data of every shape that a signature can be inferred from, as source, so that each side makes its own: `CASES` by name.

`NAMES` is what the source may use. Where the answer is an error, both sides refuse.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

NAMES: dict[str, Any] = {"np": np, "pd": pd, "dt": dt, "nan": float("nan")}

_DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")
_MORE = {
    "complex": "np.array([1j, 2j])",
    "long double": "np.array([1, 2], dtype=np.longdouble)",
    "timedelta": "np.array([1, 2], dtype='timedelta64[s]')",
    "datetime64": "np.array(['2026-01-01', '2026-01-02'], dtype='datetime64[ns]')",
    "strings": "np.array(['a', 'bcd'])",
    "bytes": "np.array([b'a', b'bcd'])",
    "objects": "np.array(['a', 'bcd'], dtype=object)",
}
_COLUMNS = {
    "strings": "['a', 'b', 'c']",
    "strings with gaps": "['a', None, 'c']",
    "gaps first": "[None, 'a', 'b']",
    "nothing but gaps": "[None, None, None]",
    "nothing but NaN": "[nan, nan, nan]",
    "NaN": "[1.0, nan, 3.0]",
    "integers with gaps": "[1, None, 3]",
    "booleans with gaps": "[True, None, False]",
    "bytes": "[b'a', b'b', b'c']",
    "bytearrays": "[bytearray(b'a'), bytearray(b'b'), bytearray(b'c')]",
    "datetimes": "[dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 2), dt.datetime(2026, 1, 3)]",
    "datetimes with gaps": "[dt.datetime(2026, 1, 1), None, dt.datetime(2026, 1, 3)]",
    "dates": "[dt.date(2026, 1, 1), dt.date(2026, 1, 2), dt.date(2026, 1, 3)]",
    "timestamps with a zone": "pd.to_datetime(['2026-01-01', '2026-01-02', '2026-01-03']).tz_localize('UTC')",
    "periods": "pd.period_range('2026-01', periods=3, freq='M')",
    "categories": "pd.Categorical(['a', 'b', 'a'])",
    "categories of integers": "pd.Categorical([1, 2, 1])",
    "Int64": "pd.array([1, 2, 3], dtype='Int64')",
    "Int64 with gaps": "pd.array([1, None, 3], dtype='Int64')",
    "Float32": "pd.array([1, 2, None], dtype='Float32')",
    "boolean": "pd.array([True, None, False], dtype='boolean')",
    "string": "pd.array(['a', None, 'c'], dtype='string')",
    "sparse": "pd.arrays.SparseArray([0, 0, 1])",
    "mixed": "[1, 'a', 2.0]",
    "integers and floats as objects": "pd.Series([1, 2.5, 3], dtype=object)",
    "lists": "[[1, 2], [3], [4, 5, 6]]",
    "lists with an empty one": "[[1, 2], [], [4]]",
    "empty lists": "[[], [], []]",
    "lists of lists": "[[['a'], ['b']], [['c']], [[]]]",
    "lists with gaps": "[[1, None], None, [2]]",
    "lists of floats": "[[1.0], [2.0, nan], [3.0]]",
    "lists of unlike": "[[1], ['a'], [2]]",
    "lists of booleans": "[[True], [False], []]",
    "lists of datetimes": "[[dt.datetime(2026, 1, 1)], [], [dt.datetime(2026, 1, 2)]]",
    "arrays": "[np.array([1.0, 2.0]), np.array([3.0]), np.array([4.0])]",
    "arrays of float32": "[np.array([1.0], dtype='float32'), np.array([3.0], dtype='float32'), np.array([4.0], dtype='float32')]",
    "empty arrays": "[np.array([]), np.array([]), np.array([])]",
    "matrices": "[np.ones((2, 2)), np.ones((2, 2)), np.ones((1, 2))]",
    "dictionaries": "[{'a': 1}, {'a': 2}, {'a': 3}]",
    "dictionaries of unlike keys": "[{'a': 1}, {'b': 'x'}, {'a': 3, 'b': 'y'}]",
    "dictionaries with gaps": "[{'a': 1, 'b': None}, {'a': None, 'b': [1]}, None]",
    "nested dictionaries": "[{'a': {'b': [1.0], 'c': 'x'}}, {'a': {'b': []}}, {'a': {'b': [2.0], 'd': True}}]",
    "dictionaries of unlike values": "[{'a': 1}, {'a': 'x'}, {'a': 2}]",
    "empty dictionaries": "[{}, {}, {}]",
    "dictionaries, one empty": "[{'a': 1}, {}, {'a': 2}]",
    "lists of dictionaries": "[[{'a': 1}], [{'a': 2, 'b': 'x'}], []]",
    "dictionaries whose keys are numbers": "[{1: 'a'}, {2: 'b'}, {3: 'c'}]",
    "decimals": "[__import__('decimal').Decimal('1.5')] * 3",
    "sets": "[{1}, {2}, {3}]",
}
_VALUES = {
    "an integer": "1",
    "a float": "1.5",
    "NaN": "nan",
    "a string": "'text'",
    "bytes": "b'text'",
    "a boolean": "True",
    "nothing": "None",
    "a datetime": "dt.datetime(2026, 1, 1)",
    "a date": "dt.date(2026, 1, 1)",
    "np.float32": "np.float32(1.5)",
    "np.int8": "np.int8(1)",
    "np.bool_": "np.bool_(True)",
    "np.datetime64": "np.datetime64('2026-01-01')",
    "a timestamp": "pd.Timestamp('2026-01-01')",
    "an empty list": "[]",
    "strings": "['a', 'b']",
    "integers": "[1, 2]",
    "lists": "[[1, 2], [3]]",
    "strings and nothing": "['a', None]",
    "rows": "[{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'y'}]",
    "rows of unlike keys": "[{'a': 1}, {'a': 2, 'b': 'y'}]",
    "rows with gaps": "[{'a': None, 'b': 'x'}, {'a': 2, 'b': None}]",
    "rows with lists": "[{'a': [1], 'b': {'c': 'x'}}, {'a': [], 'b': {'d': 1.0}}]",
    "rows of empty arrays": "[{'a': np.array([])}]",
    "empty rows": "[{}, {}]",
    "a dictionary": "{'a': 1, 'b': 'x', 'c': None}",
    "a dictionary of lists": "{'a': [1, 2], 'b': ['x', 'y'], 'c': []}",
    "a dictionary of dictionaries": "{'a': {'b': {'c': [1.5]}}}",
    "a dictionary of an array and a list": "{'a': np.array([1, 2]), 'b': [1]}",
    "an empty dictionary": "{}",
    "a dictionary whose keys are numbers": "{1: 'a'}",
    "chat": "{'messages': [{'role': 'user', 'content': 'hi'}], 'temperature': 0.5}",
    "arrays by name": "{'a': np.array([[1, 2]]), 'b': np.array(['x'])}",
    "an object": "object()",
    "a tuple": "(1, 2)",
    "a matrix": "np.ones((3, 4))",
    "a cube of uint8": "np.zeros((2, 28, 28), dtype='uint8')",
    "an array without dimensions": "np.array(1)",
    "CSR": "__import__('scipy.sparse').sparse.csr_matrix(np.eye(3))",
    "CSC of float32": "__import__('scipy.sparse').sparse.csc_matrix(np.eye(3, dtype='float32'))",
    "COO": "__import__('scipy.sparse').sparse.coo_matrix(np.eye(3))",
}
_FRAMES = {
    "a frame without names": "pd.DataFrame([[1, 'a'], [2, 'b']])",
    "a frame of one column without a name": "pd.DataFrame(['a', 'b'])",
    "a frame of many types": "pd.DataFrame({'i': [1], 'f': [1.5], 's': ['x'], 'b': [True], 'd': [dt.datetime(2026, 1, 1)], 'y': [b'x']})",
    "a frame without rows": "pd.DataFrame({'a': pd.Series([], dtype='float64')})",
    "a frame without columns": "pd.DataFrame()",
    "a frame with a name twice": "pd.DataFrame([[1, 2]], columns=['a', 'a'])",
    "a frame with levels of names": "pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([('a', 'b'), ('a', 'c')]))",
    "a series with a name": "pd.Series([1.0, 2.0], name='x')",
    "a series without a name": "pd.Series([1.0, 2.0])",
    "a frame of two columns without rows": "pd.DataFrame({'x': pd.Series([], dtype=object), 'y': pd.Series([], dtype='float64')})",
    "a frame of empty strings": "pd.DataFrame({'x': ['', '']})",
    "a frame of nothing in pandas' dtypes": "pd.DataFrame({kind: pd.array([None, None], dtype=kind) for kind in ('string', 'Int64', 'boolean')})",
    "a frame of categories with gaps": "pd.DataFrame({'x': pd.Categorical(['a', None]), 'y': pd.Categorical([1, None])})",
    "a series with gaps": "pd.Series([1.0, None], name='x')",
    "a series with gaps without a name": "pd.Series([1.0, None])",
    "a series of strings": "pd.Series(['a', 'b'])",
}
CASES: dict[str, str] = {
    **{f"array of {name}": f"np.array([0, 1], dtype='{name}')" for name in _DTYPES},
    **{f"array of {name}": source for name, source in _MORE.items()},
    **{f"column of {name}": f"pd.DataFrame({{'x': np.array([0, 1], dtype='{name}')}})" for name in _DTYPES},
    **{f"column of {name}": f"pd.DataFrame({{'x': {source}}})" for name, source in _COLUMNS.items()},
    **{f"list: {name}": source for name, source in _COLUMNS.items() if source.startswith("[")},
    **_VALUES,
    **_FRAMES,
}
PARAMS: dict[str, str] = {
    "scalars": "{'a': 1, 'b': 1.5, 'c': 'x', 'd': True}",
    "numpy's": "{'a': np.int32(1), 'b': np.float32(1.5), 'c': np.int64(2)}",
    "lists": "{'a': [1, 2], 'b': ['x'], 'c': [1.5], 'd': np.array([1.5])}",
    "datetimes": "{'a': dt.datetime(2026, 1, 1), 'b': [dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 2)]}",
    "a date": "{'a': dt.date(2026, 1, 1)}",
    "np.datetime64": "{'a': np.datetime64('2026-01-01T03:04:05')}",
    "a dictionary": "{'a': {'b': 1, 'c': ['x']}}",
    "a dictionary with nothing": "{'a': {'b': None}}",
    "nothing": "{'a': None}",
    "bytes": "{'a': b'x'}",
    "lists of lists": "{'a': [[1, 2]]}",
    "a mixed list": "{'a': [1, 'x']}",
    "an empty list": "{'a': []}",
    "a set": "{'a': {1}}",
    "no dictionary": "[1]",
}


def made(source: str) -> Any:
    """The data that a case's source makes."""
    return eval(source, dict(NAMES))
