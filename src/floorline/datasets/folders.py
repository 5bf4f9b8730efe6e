"""Folders whose files are the parts of one table: one file for each model, or a tree of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from floorline.datasets.files import data_files, kind_of, open_unpacked
from floorline.errors import DataError

FOLDER_FORMATS = ("llmrouterbench", "routerarena")
"""Formats of which a whole folder is one table."""

_START = 65_536
"""Bytes at the start of a file by which its format is told."""
_DEPTH = 5
"""Folders inside each other that are looked into: results/bench/data set/split/model."""


def json_format(path: Path) -> str:
    """Tell by its start whether a JSON file is a part of a table; return its format or "".

    Raises
    ------
    DataError
        If the file is missing, empty or damaged.
    """
    with open_unpacked(path) as stream:
        start = stream.read(_START)
    if b'"records"' in start and b'"origin_query"' in start:
        return "llmrouterbench"
    first = start.lstrip().partition(b"\n")[0]
    if b'"global_index"' in first or b'"global index"' in first:
        return "routerarena" if b'"evaluation_result"' in first or len(first) == _START else ""
    return ""


def folder_format(folder: Path) -> str:
    """Tell by its first file whether a folder is one table; return its format or ""."""
    try:
        direct = data_files(folder)
        first = direct[0] if direct else _first_file(folder)
        return json_format(first) if first is not None and kind_of(first) == "json" else ""
    except DataError:
        return ""


def format_of(path: Path) -> str:
    """Return the format of a file or folder that is a part of a table or all of it, or ""."""
    if path.is_dir():
        return folder_format(path)
    return json_format(path) if kind_of(path) == "json" else ""


def tree_files(folder: Path) -> list[Path]:
    """Return the JSON files of a folder and of the folders inside, sorted by path."""
    return [
        path
        for inside, names in _walk(folder)
        for path in (Path(inside) / name for name in names)
        if kind_of(path) == "json"
    ]


def named_parts(folder: Path, format: str) -> dict[str, Path]:
    """Return the parts of a folder that are tables too, by name: LLMRouterBench's data sets."""
    first = _first_file(folder) if format == "llmrouterbench" else None
    bench = None if first is None or len(first.parents) < 4 else first.parents[3]
    if bench is None or not bench.is_relative_to(folder):
        return {}
    return {path.name: path for path in sorted(bench.iterdir()) if path.is_dir()}


def _first_file(folder: Path) -> Path | None:
    for inside, names in _walk(folder):
        for name in names:
            if kind_of(Path(name)):
                return Path(inside) / name
    return None


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Walk down at most ``_DEPTH`` folders, in the order of names."""
    for inside, folders, names in os.walk(folder):
        depth = len(Path(inside).relative_to(folder).parts)
        folders[:] = sorted(folders) if depth < _DEPTH else []
        yield inside, sorted(names)
