"""Routing data by name or by path: which format a file has, and where the named ones lie."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from floorline.datasets.columns import load_columns
from floorline.datasets.messplus import LABEL, load_messplus
from floorline.datasets.open_llm_leaderboard import load_open_llm_leaderboard
from floorline.datasets.paretobandit import load_paretobandit
from floorline.datasets.reading import Gaps, check_file, one_line, quiet, settle_gaps
from floorline.datasets.routerbench import COST, load_routerbench
from floorline.datasets.simulated import MODELS, simulate
from floorline.datasets.sprout import is_answer, load_sprout
from floorline.datasets.table import RoutingTable
from floorline.datasets.table_file import KEY
from floorline.errors import DataError, InvalidInput, check_one_of

FOLDER_VARIABLE = "FLOORLINE_DATA"
"""Environment variable that names the folder in which the named data sets lie."""

SUFFIXES = (".csv", ".parquet", ".jsonl", ".npy", ".pkl", ".pickle")
"""Files that can be routing data."""

_LOADERS: dict[str, Callable[..., RoutingTable]] = {
    "messplus": load_messplus,
    "open-llm-leaderboard": load_open_llm_leaderboard,
    "paretobandit": load_paretobandit,
    "routerbench": load_routerbench,
    "sprout": load_sprout,
}
FORMATS = ("columns", "floorline", *_LOADERS)
"""Formats that can be read."""


@dataclass(frozen=True)
class Available:
    """A data set that can be loaded by ``name``; ``problem`` says why not, if it cannot."""

    name: str
    rows: int
    models: int
    problem: str = ""


def load(
    spec: str | Path,
    *,
    format: str | None = None,
    columns: str | Mapping[str, Any] | None = None,
    gaps: Gaps = "mask",
    prices: Mapping[str, Any] | None = None,
) -> RoutingTable:
    """Load routing data by name or path.

    Parameters
    ----------
    spec
        "simulated", a name inside the folder that ``FLOORLINE_DATA`` names ("messplus/boolq";
        "messplus" for all of it), or the path of a file or folder.
    format
        One of ``FORMATS``; told from the file if not given.
    columns
        For format "columns": which columns hold what, see ``load_columns``.
    gaps
        "mask" or "drop" rows in which scores are missing.
    prices
        For formats that hold tokens instead of costs: USD per million tokens by model.

    Raises
    ------
    InvalidInput
        If there is no such data set, format or column mapping.
    DataError
        If the data is damaged.

    Examples
    --------
    >>> load("simulated")
    RoutingTable('simulated', 10,000 × 8, simulated)
    """
    if str(spec) == "simulated" and format is None:
        return simulate()
    path = Path(spec)
    if not path.exists():
        path = _find(str(spec))
    if format is None:
        format = "columns" if columns is not None else detect(path)
    check_one_of("format", format, FORMATS)
    if format == "floorline":
        return settle_gaps(path, RoutingTable.load(path), gaps)
    if format == "columns":
        if columns is None:
            raise InvalidInput("columns", None, "format 'columns' needs to be told which ones")
        return load_columns(path, columns, gaps)
    if prices is not None and format in ("sprout", "open-llm-leaderboard"):
        return _LOADERS[format](path, gaps, prices)
    return _LOADERS[format](path, gaps)


def available() -> list[Available]:
    """List the simulated zoo and what lies in the folder that ``FLOORLINE_DATA`` names.

    Examples
    --------
    >>> available()[0]
    Available(name='simulated', rows=10000, models=8, problem='')
    """
    found = [Available("simulated", 10_000, len(MODELS))]
    with quiet():
        for name, path in _names().items():
            try:
                table = load(path)
            except (DataError, InvalidInput, ImportError) as error:
                found.append(Available(name, 0, 0, str(error)))
            else:
                found.append(Available(name, len(table), len(table.models)))
    return found


def detect(path: Path) -> str:
    """Tell the format of a file, or of a folder by its first file of data.

    Raises
    ------
    DataError
        If it is none of ``FORMATS``.
    """
    if path.is_dir():
        files = [p for p in sorted(path.iterdir()) if p.is_file() and p.suffix in SUFFIXES]
        if not files:
            raise DataError(path, "no file of routing data in this folder")
        return detect(files[0])
    check_file(path)
    if path.suffix in (".pkl", ".pickle"):
        return "routerbench"
    if path.suffix == ".npy":
        return "open-llm-leaderboard"
    if path.suffix == ".jsonl":
        return "paretobandit"
    schema: dict[str, Any] = {}
    if path.suffix == ".parquet":
        try:
            if KEY in pl.read_parquet_metadata(path):
                return "floorline"
            schema = dict(pl.read_parquet_schema(path))
        except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise DataError(path, f"damaged Parquet file: {one_line(error)}") from error
    elif path.suffix == ".csv":
        try:
            with path.open(encoding="utf-8-sig", errors="replace") as stream:
                schema = dict.fromkeys(stream.readline().rstrip("\r\n").split(","))
        except OSError as error:
            raise DataError(path, one_line(error)) from error
    if any(str(name).strip('"').endswith(COST) for name in schema):
        return "routerbench"
    if any(str(name).strip('"').startswith(LABEL) for name in schema):
        return "messplus"
    if any(dtype is not None and is_answer(dtype) for dtype in schema.values()):
        return "sprout"
    raise DataError(path, "not a known layout; say which columns hold what (columns=...)")


def data_folder() -> Path | None:
    """Return the folder that ``FLOORLINE_DATA`` names, None if it names none."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named and Path(named).is_dir() else None


def _names() -> dict[str, Path]:
    root = data_folder()
    if root is None:
        return {}
    names = {}
    for folder in sorted(p for p in root.iterdir() if p.is_dir()):
        files = [p for p in sorted(folder.iterdir()) if p.is_file() and p.suffix in SUFFIXES]
        if files:
            names[folder.name] = folder
        for file in files:
            stem = file.stem.removesuffix("_train").removesuffix("_test")
            names.setdefault(f"{folder.name}/{stem}", file)
    return names


def _find(name: str) -> Path:
    names = _names()
    if name in names:
        return names[name]
    known = ", ".join(["simulated", *names])
    hint = "" if data_folder() else f"; set {FOLDER_VARIABLE} to a folder of data for more"
    raise InvalidInput("data set", name, f"no such file or name; known: {known}{hint}")
