"""Files into columns; an error names the row and the column of what cannot be read."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from floorline.datasets.files import check_file, one_line
from floorline.errors import DataError


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
    path: str | Path, frame: pl.DataFrame, column: str, *, gaps: bool, high: float = np.inf
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


def texts(path: str | Path, frame: pl.DataFrame, column: str) -> list[str]:
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


def _with_rows(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    if frame.width and not frame.height:
        raise DataError(path, "it has a header but no rows")
    return frame


def stack(columns: list[NDArray[Any]]) -> NDArray[Any]:
    """Put M columns of N values side by side, as (N, M)."""
    return np.stack(columns, axis=1)
