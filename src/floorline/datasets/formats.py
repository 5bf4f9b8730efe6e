"""The formats of routing data: tell which one a file has, and read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from floorline.datasets import embedllm, fusionbench, llmrouter
from floorline.datasets.columns import load_columns
from floorline.datasets.delimited import header_of
from floorline.datasets.embedllm import load_embedllm
from floorline.datasets.files import check_file, kind_of
from floorline.datasets.folders import json_format
from floorline.datasets.fusionbench import load_fusionbench
from floorline.datasets.gaps import Gaps, settle_gaps
from floorline.datasets.json_lines import first_row
from floorline.datasets.llmrouter import load_llmrouter
from floorline.datasets.llmrouterbench import load_llmrouterbench
from floorline.datasets.messplus import LABEL, load_messplus
from floorline.datasets.mixinstruct import load_mixinstruct
from floorline.datasets.open_llm_leaderboard import load_open_llm_leaderboard
from floorline.datasets.paretobandit import load_paretobandit
from floorline.datasets.pickles import is_pickled_frame
from floorline.datasets.routerarena import load_routerarena
from floorline.datasets.routerbench import COST, load_routerbench
from floorline.datasets.routereval import load_routereval
from floorline.datasets.sprout import is_answer, load_sprout
from floorline.datasets.table import RoutingTable
from floorline.datasets.table_file import KEY
from floorline.errors import DataError, InvalidInput, check_one_of, system_reason


class _Loader(NamedTuple):
    """A loader, and which of the arguments ``prices`` and ``variant`` it has."""

    load: Callable[..., RoutingTable]
    priced: bool = False
    variants: bool = False


_LOADERS = {
    "embedllm": _Loader(load_embedllm, priced=True),
    "fusionbench": _Loader(load_fusionbench, priced=True),
    "llmrouter": _Loader(load_llmrouter, priced=True),
    "llmrouterbench": _Loader(load_llmrouterbench, priced=True),
    "messplus": _Loader(load_messplus),
    "mixinstruct": _Loader(load_mixinstruct, priced=True, variants=True),
    "open-llm-leaderboard": _Loader(load_open_llm_leaderboard, priced=True),
    "paretobandit": _Loader(load_paretobandit),
    "routerarena": _Loader(load_routerarena),
    "routerbench": _Loader(load_routerbench),
    "routereval": _Loader(load_routereval, priced=True, variants=True),
    "sprout": _Loader(load_sprout, priced=True),
}

_LONG = {
    # Columns by which a layout with one row for each answer is told.
    "fusionbench": fusionbench.COLUMNS,
    "llmrouter": llmrouter.COLUMNS,
    "embedllm": embedllm.COLUMNS,
}

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
    """Read one file, or a folder of a format of ``FOLDER_FORMATS``.

    The parameters are those of ``floorline.datasets.load``.

    Raises
    ------
    InvalidInput
        If there is no such format or column mapping.
    DataError
        If the file is damaged or of no known format, and no columns can be guessed.
    """
    if format is None:
        format = "columns" if columns is not None else detect(path)
    name, _, variant = format.partition(":")
    check_one_of("format", name, FORMATS)
    loader = _LOADERS.get(name, _Loader(load_columns))
    if prices is not None and not loader.priced:
        fix = f"{path} has the format {name}, which has its own costs: leave the prices out"
        raise InvalidInput("prices", sorted(prices), fix)
    if variant and not loader.variants:
        raise InvalidInput("format", format, f"write {name} without what follows the colon")
    if name == "floorline":
        return settle_gaps(path, RoutingTable.load(path), gaps)
    if name == "columns":
        return load_columns(path, columns, gaps)
    arguments: dict[str, Any] = {"prices": prices} if loader.priced else {}
    if loader.variants:
        arguments["variant"] = variant
    return loader.load(path, gaps, **arguments)


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
        return "routerbench" if is_pickled_frame(path) else "routereval"
    if kind == "npy":
        return "open-llm-leaderboard"
    schema: dict[str, Any] = {}
    if kind == "json":
        return json_format(path) or _json_lines_format(first_row(path))
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
    return _long_format(schema)


def _json_lines_format(row: Mapping[str, Any]) -> str:
    if isinstance(row.get("arms"), dict):
        return "paretobandit"
    if isinstance(row.get("candidates"), list) and "instruction" in row:
        return "mixinstruct"
    return _long_format(row)


def _long_format(names: Mapping[str, Any]) -> str:
    return next((name for name, columns in _LONG.items() if columns <= set(names)), "columns")
