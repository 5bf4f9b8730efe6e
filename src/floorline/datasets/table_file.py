"""A routing table as one Parquet file: cells in columns, the rest in the file's metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from floorline.errors import DataError

if TYPE_CHECKING:
    from floorline.datasets.table import RoutingTable

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


def write(table: RoutingTable, path: Path) -> None:
    """Write ``table`` to ``path``; a reader never sees half a file.

    Raises
    ------
    DataError
        If the folder is missing or not writable.
    """
    columns: dict[str, pl.Series] = {
        "prompt": pl.Series(table.prompts, dtype=pl.String),
        "task": pl.Series(table.task, dtype=pl.String),
        "split": pl.Series(table.split, dtype=pl.String),
    }
    held = []
    if table.tokens_in is not None:
        held.append("tokens_in")
        columns["tokens_in"] = _to_column(table.tokens_in)
    for field in _WIDE:
        array = getattr(table, field)
        if array is None:
            continue
        held.append(field)
        for m, model in enumerate(table.models):
            columns[f"{field}|{model}"] = _to_column(array[:, m])
    header = {
        "version": VERSION,
        "models": list(table.models),
        "cost_unit": table.cost_unit,
        "name": table.name,
        "simulated": table.simulated,
        "source": table.source,
        "fields": held,
        "digest": table.digest,
    }
    part = path.with_name(path.name + ".part")
    try:
        pl.DataFrame(columns).write_parquet(part, metadata={KEY: json.dumps(header)})
        part.replace(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        part.unlink(missing_ok=True)
        raise DataError(path, f"cannot be written: {_one_line(error)}") from error


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
        raise DataError(path, f"damaged Parquet file: {_one_line(error)}") from error
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
    if not path.is_file():
        raise DataError(path, "no such file")
    if path.stat().st_size == 0:
        raise DataError(path, "the file is empty")
    try:
        text = pl.read_parquet_metadata(path).get(KEY)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(path, f"not a readable Parquet file: {_one_line(error)}") from error
    if text is None:
        raise DataError(path, "a Parquet file, but not a routing table that Floorline saved")
    try:
        header: dict[str, Any] = json.loads(text)
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


def altered(path: Path) -> DataError:
    """Return the error for a file whose content is not what was saved."""
    return DataError(path, "content does not match its digest; the file was altered or damaged")


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


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
