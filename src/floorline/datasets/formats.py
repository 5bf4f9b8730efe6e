"""The formats of routing data: tell which one a file has, and read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from floorline.datasets.columns import load_columns
from floorline.datasets.delimited import header_of
from floorline.datasets.files import check_file, kind_of
from floorline.datasets.gaps import Gaps, settle_gaps
from floorline.datasets.json_lines import first_row
from floorline.datasets.messplus import LABEL, load_messplus
from floorline.datasets.open_llm_leaderboard import load_open_llm_leaderboard
from floorline.datasets.paretobandit import load_paretobandit
from floorline.datasets.routerbench import COST, load_routerbench
from floorline.datasets.sprout import is_answer, load_sprout
from floorline.datasets.table import RoutingTable
from floorline.datasets.table_file import KEY
from floorline.errors import DataError, check_one_of, system_reason

_LOADERS: dict[str, Callable[..., RoutingTable]] = {
    "messplus": load_messplus,
    "open-llm-leaderboard": load_open_llm_leaderboard,
    "paretobandit": load_paretobandit,
    "routerbench": load_routerbench,
    "sprout": load_sprout,
}
_PRICED = ("sprout", "open-llm-leaderboard")
"""Formats that hold tokens instead of costs."""

FORMATS = ("columns", "floorline", *_LOADERS)
"""Formats that can be read."""


def load_file(
    path: Path,
    *,
    format: str | None = None,
    columns: str | Mapping[str, Any] | None = None,
    gaps: Gaps = "mask",
    prices: Mapping[str, Any] | None = None,
) -> RoutingTable:
    """Read one file; the parameters are those of ``floorline.datasets.load``.

    Raises
    ------
    InvalidInput
        If there is no such format or column mapping.
    DataError
        If the file is damaged or of no known format, and no columns can be guessed.
    """
    if format is None:
        format = "columns" if columns is not None else detect(path)
    check_one_of("format", format, FORMATS)
    if format == "floorline":
        return settle_gaps(path, RoutingTable.load(path), gaps)
    if format == "columns":
        return load_columns(path, columns, gaps)
    if prices is not None and format in _PRICED:
        return _LOADERS[format](path, gaps, prices)
    return _LOADERS[format](path, gaps)


def detect(path: Path) -> str:
    """Tell the format of a file from its name and its columns.

    Returns
    -------
    One of ``FORMATS``; "columns" for a file of another layout

    Raises
    ------
    DataError
        If the file is missing, empty or damaged.
    """
    check_file(path)
    kind = kind_of(path)
    if kind == "pickle":
        return "routerbench"
    if kind == "npy":
        return "open-llm-leaderboard"
    schema: dict[str, Any] = {}
    if kind == "json":
        return "paretobandit" if isinstance(first_row(path).get("arms"), dict) else "columns"
    if kind == "parquet":
        try:
            if KEY in pl.read_parquet_metadata(path):
                return "floorline"
            schema = dict(pl.read_parquet_schema(path))
        except OSError as error:
            raise DataError(path, system_reason(error)) from error
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise DataError(path, "a damaged Parquet file, or none at all") from error
    elif kind == "csv":
        schema = dict.fromkeys(header_of(path))
    if any(name.endswith(COST) for name in schema):
        return "routerbench"
    if any(name.startswith(LABEL) for name in schema) and "input_text" in schema:
        return "messplus"
    if any(dtype is not None and is_answer(dtype) for dtype in schema.values()):
        return "sprout"
    return "columns"
