"""Files into columns; an error names the row and the column of what cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from floorline.datasets.delimited import read_csv
from floorline.datasets.files import check_file, kind_of, open_unpacked
from floorline.datasets.json_lines import read_json_frame
from floorline.errors import DataError, did_you_mean, listed, system_reason


def read_frame(path: Path) -> pl.DataFrame:
    """Read all columns of a CSV, TSV, JSON or Parquet file, told from its name or its content.

    Raises
    ------
    DataError
        If the file is missing, empty, damaged, or none of them.
    """
    check_file(path)
    kind = kind_of(path) or _kind_of_content(path)
    if kind == "parquet":
        return read_parquet(path)
    if kind == "json":
        return read_json_frame(path)
    if kind == "csv":
        return read_csv(path)
    raise DataError(
        path, "give a .csv, .tsv, .jsonl, .ndjson, .json (each also as .gz) or .parquet file"
    )


def _kind_of_content(path: Path) -> str:
    """Tell the kind of a file whose name says nothing from its first bytes."""
    with open_unpacked(path) as stream:
        start = stream.read(1024).lstrip()
    if start.startswith(b"PAR1"):
        return "parquet"
    return "json" if start.startswith((b"{", b"[")) else "csv"


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
    except OSError as error:
        raise DataError(path, system_reason(error)) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(path, "a damaged Parquet file, or none at all") from error
    if frame.width and not frame.height:
        raise DataError(path, "it has a header but no rows")
    return frame


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
    series = column_of(path, frame, column)
    if series.dtype == pl.String:
        series = _numbers_in(path, series, column, high)
    elif not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
        raise DataError(path, f"holds {series.dtype} where numbers belong", column=column)
    values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    checks = [
        (np.isnan(values) & (not gaps), "is missing"),
        (np.isinf(values), "is infinite"),
        (values < 0, "is negative"),
        (values > high, f"is above {high:g}: give scores from 0 to {high:g}"),
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
    series = column_of(path, frame, column)
    for row in series.is_null().arg_true().head(1):
        raise DataError(path, "the text is missing", row=row + 1, column=column)
    if series.dtype.is_nested() or series.dtype == pl.Object:
        raise DataError(path, f"holds {series.dtype} where texts belong", column=column)
    values: list[str] = series.cast(pl.String).to_list()
    return values


def column_of(path: str | Path, frame: pl.DataFrame, column: str) -> pl.Series:
    """Return a column.

    Raises
    ------
    DataError
        If it is missing; the message names those that there are.
    """
    if column not in frame.columns:
        near = did_you_mean(column, frame.columns)
        known = listed([repr(name) for name in frame.columns])
        raise DataError(path, f"column is missing; {near}there are {known}", column=column)
    return frame[column]


_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "pass", "passed", "correct"), "1"),
    **dict.fromkeys(("false", "f", "no", "n", "fail", "failed", "incorrect", "wrong"), "0"),
}
"""Texts of labels."""
_GAPS = ("", "na", "n/a", "#n/a", "nan", "null", "none", "-")
"""Texts that stand for a missing value."""


def _numbers_in(path: str | Path, series: pl.Series, column: str, high: float) -> pl.Series:
    """Read texts as numbers: labels such as True and No, decimal commas, marks of gaps."""
    text = series.str.strip_chars()
    low = text.str.to_lowercase()
    text = text.set(low.is_in(_GAPS).fill_null(False), None)
    if high == 1:
        text = low.replace_strict(_WORDS, default=text, return_dtype=pl.String)
        text = text.set(low.is_in(_GAPS).fill_null(False), None)
    cast = text.cast(pl.Float64, strict=False)
    odd = (text.is_not_null() & (cast.is_null() | ~cast.is_finite())).fill_null(False)
    if odd.any() and _has_decimal_commas(text.filter(odd), high):
        text = text.str.replace(",", ".", literal=True)
        cast = text.cast(pl.Float64, strict=False)
        odd = (text.is_not_null() & (cast.is_null() | ~cast.is_finite())).fill_null(False)
    for row in odd.arg_true().head(1):
        shown = f"{series[row][:40]!r} is not a finite number"
        if high == 1:
            shown += " or a label such as true, no or 1"
        raise DataError(path, shown, row=row + 1, column=column)
    return cast


def _has_decimal_commas(odd: pl.Series, high: float) -> bool:
    """Whether the comma in these texts is that of a fraction, and not one between thousands."""
    if not odd.str.contains(r"^[+-]?\d*,\d+([eE][+-]?\d+)?$").all():
        return False
    thousands = odd.str.contains(r"^[1-9]\d{0,2},\d{3}$")
    return high == 1 or not bool(thousands.all())


def stack(columns: list[NDArray[Any]]) -> NDArray[Any]:
    """Put M columns of N values side by side, as (N, M)."""
    return np.stack(columns, axis=1)


def row_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (N,) means of the known values of each row of (N, M); NaN if none is known."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0).sum(axis=1)
    mean = np.full(len(values), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
