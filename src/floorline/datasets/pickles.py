"""Pickled DataFrames, read without running code of the file.

A pickle is a program. This reader resolves only the exact names that a DataFrame of numbers and
texts consists of. A file that asks for any other name is refused before that name is imported.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from floorline._extras import needs
from floorline.datasets.files import check_file, one_line
from floorline.errors import DataError

_NUMPY = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
    ("builtins", "slice"),
}

_PANDAS = {
    ("pandas", "DataFrame"),
    ("pandas", "Index"),
    ("pandas", "RangeIndex"),
    ("pandas", "StringDtype"),
    ("pandas.arrays", "StringArray"),
    ("pandas.core.frame", "DataFrame"),
    ("pandas.core.internals.managers", "BlockManager"),
    ("pandas.core.internals.blocks", "new_block"),
    ("pandas._libs.internals", "_unpickle_block"),
    ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
    ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.base", "_new_Index"),
    ("pandas.core.indexes.range", "RangeIndex"),
    ("pandas.core.arrays.string_", "StringArray"),
    ("pandas.core.arrays.string_", "StringDtype"),
}

# Names that pandas 1 and old pickle protocols use for the same things.
_MOVED = {
    ("__builtin__", "slice"): ("builtins", "slice"),
    ("pandas.core.indexes.numeric", "Int64Index"): ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.numeric", "Float64Index"): ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.numeric", "UInt64Index"): ("pandas.core.indexes.base", "Index"),
}

_ADVICE = "convert the file to Parquet where you trust it, and load that"


class _Refused(Exception):
    """The pickle asks for a name that is not allowed."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: Any, allowed: set[tuple[str, str]]) -> None:
        super().__init__(stream)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("numpy.core."):
            module = module.replace("numpy.core.", "numpy._core.", 1)
        module, name = _MOVED.get((module, name), (module, name))
        if (module, name) not in self._allowed:
            raise _Refused(f"{module}.{name}")
        return getattr(import_module(module), name)

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("a persistent object")


def unpickle(path: Path, stream: Any, *, pandas: bool) -> Any:
    """Unpickle arrays, texts, numbers, lists and dicts from ``stream``; DataFrames if ``pandas``.

    Raises
    ------
    DataError
        If the pickle is damaged, or asks for a name that is not allowed; it is not imported then.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _Unpickler(stream, _NUMPY | _PANDAS if pandas else _NUMPY).load()
    except _Refused as error:
        problem = f"refused: this pickle asks for {one_line(error)}, which is not allowed"
        raise DataError(path, f"{problem}; {_ADVICE}") from error
    # The exception of a damaged pickle depends on where the damage is and can be of any type.
    except Exception as error:
        raise DataError(path, f"a damaged pickle, or none at all; {_ADVICE}") from error


def read_pickled_frame(
    path: Path, wanted: Callable[[str], bool] = lambda name: True
) -> pl.DataFrame:
    """Read the wanted columns of a pickled pandas DataFrame.

    Raises
    ------
    MissingExtra
        If pandas is not installed.
    DataError
        If the file is damaged, is no DataFrame, or holds anything but numbers and texts.
    """
    with needs("fetch", "reading RouterBench pickles"):
        import pandas as pd
    check_file(path)
    with path.open("rb") as stream:
        frame = unpickle(path, stream, pandas=True)
    if not isinstance(frame, pd.DataFrame):
        raise DataError(path, f"the pickle holds a {type(frame).__name__}, not a DataFrame")
    try:
        columns = {name: _column(frame[name]) for name in map(str, frame.columns) if wanted(name)}
        converted = pl.DataFrame(columns)
    # A forged DataFrame can be inconsistent in ways that show only when it is used.
    except Exception as error:
        raise DataError(path, f"a pickle with a damaged DataFrame; {_ADVICE}") from error
    if not converted.height:
        raise DataError(path, "it has columns but no rows")
    return converted


def read_pickled_dict(path: Path) -> dict[Any, Any]:
    """Read a pickled dict of arrays, texts, numbers, lists and dicts.

    Raises
    ------
    DataError
        If the file is damaged or holds anything else.
    """
    check_file(path)
    with path.open("rb") as stream:
        held = unpickle(path, stream, pandas=False)
    if not isinstance(held, dict):
        raise DataError(path, f"the pickle holds a {type(held).__name__}, not a dict")
    return held


def is_pickled_frame(path: Path) -> bool:
    """Tell from the start of a pickle whether it holds a DataFrame; nothing is unpickled."""
    with path.open("rb") as stream:
        return b"pandas" in stream.read(512)


def texts_in(path: Path, held: Mapping[Any, Any], key: str) -> list[str]:
    """Return the texts that an unpickled dict holds under ``key``.

    Raises
    ------
    DataError
        If it holds something else.
    """
    value = held.get(key)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        raise DataError(path, "no list of texts", column=key)
    return [str(text) for text in value]


def matrix_in(
    path: Path, held: Mapping[Any, Any], key: str, shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the numbers of this shape that an unpickled dict holds under ``key``.

    Raises
    ------
    DataError
        If it holds something else.
    """
    try:
        value = np.asarray(held.get(key), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(path, "not an array of numbers", column=key) from error
    if value.shape != shape:
        raise DataError(path, f"shape {value.shape} where {shape} belongs", column=key)
    return value


def _column(series: Any) -> pl.Series:
    if getattr(series.dtype, "kind", "O") in "fiub":
        return pl.Series(np.asarray(series))
    cells = series.tolist()
    return pl.Series([_cell(cell) for cell in cells], dtype=pl.String)


def _cell(cell: Any) -> str | None:
    if isinstance(cell, str):
        return cell
    if cell is None or (isinstance(cell, float) and np.isnan(cell)):
        return None
    return repr(cell.item() if isinstance(cell, np.generic) else cell)
