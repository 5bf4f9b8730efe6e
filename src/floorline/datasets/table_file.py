"""Routing tables as Parquet files: cells in columns, everything else in the file's metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from floorline._bounded import parse_json
from floorline._files import writing_whole
from floorline.datasets.files import check_file
from floorline.errors import DataError, system_reason

KEY = "floorline.routing_table"
"""Key of the metadata entry that makes a Parquet file a routing table."""

VERSION = 1
"""Version of the layout; a file of a later one is refused."""

_WIDE = {"quality": np.float32, "cost": np.float64, "tokens_out": np.float32, "latency": np.float32}
_HEADER = {
    "version": int,
    "models": list,
    "cost_unit": str,
    "name": str,
    "simulated": bool,
    "source": str,
    "fields": list,
    "digest": str,
}


def write(path: Path, values: Mapping[str, Any], digest: str) -> None:
    """Write a table to ``path``; a reader never sees half a file.

    Parameters
    ----------
    values
        Arguments of ``RoutingTable``; an optional array that is unknown is None or missing.
    digest
        ``RoutingTable.digest``, which ``read`` returns.

    Raises
    ------
    DataError
        If the folder is missing or not writable.
    """
    columns: dict[str, pl.Series] = {
        "prompt": pl.Series(values["prompts"], dtype=pl.String),
        "task": pl.Series(values["task"], dtype=pl.String),
        "split": pl.Series(values["split"], dtype=pl.String),
    }
    held = [field for field in ("tokens_in", *_WIDE) if values.get(field) is not None]
    for field in held:
        if field == "tokens_in":
            columns[field] = _to_column(values[field])
            continue
        for m, model in enumerate(values["models"]):
            columns[f"{field}|{model}"] = _to_column(values[field][:, m])
    header = {
        "version": VERSION,
        "models": list(values["models"]),
        **{key: values[key] for key in ("cost_unit", "name", "simulated", "source")},
        "fields": held,
        "digest": digest,
    }
    try:
        with writing_whole(path) as stream:
            pl.DataFrame(columns).write_parquet(stream, metadata={KEY: json.dumps(header)})
    except OSError as error:
        raise DataError(path, f"cannot be written: {system_reason(error)}") from error
    except pl.exceptions.PolarsError as error:
        problem = "cannot be written as a whole: free some space, or write to another disk"
        raise DataError(path, problem) from error


def read(path: Path) -> tuple[dict[str, Any], str]:
    """Read what ``write`` wrote: the table's constructor arguments and its digest.

    Raises
    ------
    DataError
        If the file is missing, empty, truncated or not a routing table.
    """
    header = read_header(path)
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(path, "a damaged Parquet file") from error
    models = header["models"]
    values: dict[str, Any] = {
        "prompts": _texts(path, frame, "prompt"),
        "task": _texts(path, frame, "task"),
        "split": _texts(path, frame, "split"),
    }
    for field in header["fields"]:
        if field == "tokens_in":
            values[field] = _from_column(path, frame, field, np.float32)
        elif field in _WIDE:
            stack = [_from_column(path, frame, f"{field}|{m}", _WIDE[field]) for m in models]
            values[field] = np.stack(stack, axis=1)
        else:
            raise DataError(path, f"unknown field {field!r} in its metadata")
    kept = ("models", "cost_unit", "name", "simulated", "source")
    return values | {key: header[key] for key in kept}, header["digest"]


def read_header(path: Path) -> dict[str, Any]:
    """Read the metadata of a saved table without its rows.

    Raises
    ------
    DataError
        If the file is missing, empty, damaged or not a routing table.
    """
    check_file(path)
    try:
        text = pl.read_parquet_metadata(path).get(KEY)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(path, "a damaged Parquet file, or none at all") from error
    if text is None:
        raise DataError(path, "a Parquet file, but not a routing table that Floorline saved")
    try:
        header: dict[str, Any] = parse_json(text)
    except ValueError as error:
        raise DataError(path, "its metadata is damaged") from error
    version = header.get("version") if isinstance(header, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise DataError(path, f"layout version {version} is newer than this Floorline; upgrade it")
    for key, kind in _HEADER.items():
        if not isinstance(header, dict) or not isinstance(header.get(key), kind):
            raise DataError(path, f"its metadata lacks {key!r}")
    if not {"quality", "cost"} <= set(header["fields"]):
        raise DataError(path, "its metadata names no quality or no cost")
    return header


def _to_column(values: NDArray[Any]) -> pl.Series:
    return pl.Series(values).fill_nan(None)


def _from_column(path: Path, frame: pl.DataFrame, name: str, dtype: Any) -> NDArray[Any]:
    if name not in frame.columns:
        raise DataError(path, "column is missing", column=name)
    series = frame[name]
    if series.dtype not in (pl.Float32, pl.Float64):
        raise DataError(path, f"holds {series.dtype} where numbers belong", column=name)
    return series.fill_null(float("nan")).to_numpy().astype(dtype)


def _texts(path: Path, frame: pl.DataFrame, name: str) -> list[str]:
    if name not in frame.columns:
        raise DataError(path, "column is missing", column=name)
    series = frame[name]
    if series.dtype != pl.String or series.null_count():
        raise DataError(path, "holds something else than texts", column=name)
    return series.to_list()
