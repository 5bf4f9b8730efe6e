"""Files into columns: what cannot be read is told with its row and column."""

from __future__ import annotations

import csv
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from floorline.datasets.table import RoutingTable
from floorline.errors import DataError, check_one_of

Gaps = Literal["mask", "drop"]
"""Keep rows in which a score is missing, as gaps, or drop them."""

_log = logging.getLogger("floorline.datasets")


def one_line(error: BaseException) -> str:
    """Return an error's text on one line of bearable length."""
    return " ".join(str(error).split())[:160] or type(error).__name__


def check_file(path: Path) -> None:
    """Raise DataError unless ``path`` is a file with something in it."""
    if not path.is_file():
        raise DataError(path, "no such file")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(path, one_line(error)) from error
    if size == 0:
        raise DataError(path, "the file is empty")


def read_csv(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> pl.DataFrame:
    """Read the wanted columns of a CSV file as texts; an empty cell is null.

    Raises
    ------
    DataError
        If the file is missing, empty, not UTF-8, ends within a quoted cell, names a column twice,
        or has a row of another length than its header.
    """
    check_file(path)
    limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    row = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            picks = [(i, name) for i, name in enumerate(header) if wanted(name)]
            names = [name for _, name in picks]
            if len(set(names)) < len(names):
                raise DataError(path, "its header names a column twice")
            cells: list[list[str | None]] = [[] for _ in picks]
            for line in reader:
                if not line:
                    continue
                row += 1
                if len(line) != len(header):
                    problem = f"{len(line)} cells where the header has {len(header)}"
                    raise DataError(path, problem, row=row)
                for column, (i, _) in zip(cells, picks, strict=True):
                    column.append(line[i] or None)
    except UnicodeDecodeError as error:
        raise DataError(path, "not a UTF-8 text file") from error
    except csv.Error as error:
        raise DataError(path, f"damaged CSV: {one_line(error)}", row=row + 1) from error
    except OSError as error:
        raise DataError(path, one_line(error)) from error
    finally:
        csv.field_size_limit(limit)
    frame = pl.DataFrame(
        {
            name: pl.Series(column, dtype=pl.String)
            for name, column in zip(names, cells, strict=True)
        }
    )
    return _with_rows(path, frame)


def read_parquet(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> pl.DataFrame:
    """Read the wanted columns of a Parquet file.

    Raises
    ------
    DataError
        If the file is missing, empty, truncated or not Parquet.
    """
    check_file(path)
    try:
        names = [name for name in pl.read_parquet_schema(path) if wanted(name)]
        frame = pl.read_parquet(path, columns=names)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(path, f"damaged Parquet file: {one_line(error)}") from error
    return _with_rows(path, frame)


def numbers(
    path: Path, frame: pl.DataFrame, column: str, *, gaps: bool, high: float = np.inf
) -> NDArray[np.float64]:
    """Return a column as (N,) float64 in [0, high], NaN where a cell is empty.

    Parameters
    ----------
    gaps
        Whether a cell may be empty.

    Raises
    ------
    DataError
        If the column is missing, or at the first cell that is empty, no number or out of range.
    """
    if column not in frame.columns:
        raise DataError(path, "column is missing", column=column)
    series = frame[column]
    if series.dtype == pl.String:
        text = series.str.strip_chars()
        empty = series.is_null() | (text == "")
        cast = text.cast(pl.Float64, strict=False)
        odd = ~empty & (cast.is_null() | ~cast.is_finite())
        for row in odd.fill_null(False).arg_true().head(1):
            raise DataError(
                path, f"{series[row][:40]!r} is not a finite number", row=row + 1, column=column
            )
        series = cast
    elif not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
        raise DataError(path, f"holds {series.dtype} where numbers belong", column=column)
    values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    checks = [
        (np.isnan(values) & (not gaps), "is missing"),
        (np.isinf(values), "is infinite"),
        (values < 0, "is negative"),
        (values > high, f"is above {high:g}"),
    ]
    for bad, problem in checks:
        if bad.any():
            row = int(np.argmax(bad))
            shown = "a number" if np.isnan(values[row]) else f"{values[row]:g}"
            raise DataError(path, f"{shown} {problem}", row=row + 1, column=column)
    return values


def texts(path: Path, frame: pl.DataFrame, column: str) -> list[str]:
    """Return a column as N texts.

    Raises
    ------
    DataError
        If the column is missing or a cell of it is.
    """
    if column not in frame.columns:
        raise DataError(path, "column is missing", column=column)
    series = frame[column]
    for row in series.is_null().arg_true().head(1):
        raise DataError(path, "the text is missing", row=row + 1, column=column)
    if series.dtype.is_nested() or series.dtype == pl.Object:
        raise DataError(path, f"holds {series.dtype} where texts belong", column=column)
    values: list[str] = series.cast(pl.String).to_list()
    return values


def settle_gaps(path: Path, table: RoutingTable, gaps: Gaps) -> RoutingTable:
    """Mask or drop the rows with missing scores, and log how many there are.

    Raises
    ------
    InvalidInput
        If ``gaps`` is neither "mask" nor "drop".
    DataError
        If all rows would have to be dropped.
    """
    check_one_of("gaps", gaps, ("mask", "drop"))
    holes = int((~table.mask.all(axis=1)).sum())
    if holes == 0:
        return table
    done = "dropped" if gaps == "drop" else "kept, their missing scores masked"
    note = f"{holes:,} of {len(table):,} rows have missing scores: {done}"
    _log.warning("%s: %s", path, note)
    if gaps == "mask":
        return table
    if holes == len(table):
        raise DataError(path, "every row has a missing score; nothing is left after dropping them")
    return table.complete()[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Do not log gaps within this block, where tables are only looked at."""
    previous = _log.level
    _log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        _log.setLevel(previous)


def files_in(folder: Path, *suffixes: str) -> list[Path]:
    """Return the files of a folder with one of these suffixes, sorted by name.

    Raises
    ------
    DataError
        If there is none.
    """
    found = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in suffixes)
    if not found:
        raise DataError(folder, "no " + " or ".join(suffixes) + " file in this folder")
    return found


def _with_rows(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    if frame.width and not frame.height:
        raise DataError(path, "it has a header but no rows")
    return frame


def stack(columns: list[NDArray[Any]]) -> NDArray[Any]:
    """Put M columns of N values side by side, as (N, M)."""
    return np.stack(columns, axis=1)
