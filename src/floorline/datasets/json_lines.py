"""Rows of JSON: one object on each line, or one list of objects."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from floorline._bounded import encoding_of, parse_json
from floorline.datasets.files import open_unpacked
from floorline.errors import DataError

_MAX_DEPTH = 4
"""Objects inside each other that become columns, as in models.small.score.value."""


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read one JSON object per line, or a list of objects; blank lines do not count.

    Raises
    ------
    DataError
        If the file is missing, empty, no text, or a row is not a JSON object.
    """
    rows: list[dict[str, Any]] = []
    try:
        with open_unpacked(path) as stream:
            start = stream.read(4)
            stream.seek(0)
            lines = io.TextIOWrapper(stream, encoding=encoding_of(start))
            for line in lines:
                if not line.strip():
                    continue
                if not rows and line.lstrip().startswith("["):
                    return _list(path, line + lines.read())
                rows.append(_object(path, line, len(rows) + 1))
    except UnicodeError as error:
        raise DataError(path, "not a UTF-8 text file") from error
    if not rows:
        raise DataError(path, "the file has no rows")
    return rows


def first_row(path: Path) -> dict[str, Any]:
    """Return the first row of a file; errors as for ``read_json_lines``."""
    try:
        with open_unpacked(path) as stream:
            start = stream.read(4)
            stream.seek(0)
            lines = io.TextIOWrapper(stream, encoding=encoding_of(start))
            line = next((line for line in lines if line.strip()), "")
    except UnicodeError as error:
        raise DataError(path, "not a UTF-8 text file") from error
    if not line:
        raise DataError(path, "the file has no rows")
    return read_json_lines(path)[0] if line.lstrip().startswith("[") else _object(path, line, 1)


def read_json_frame(path: Path) -> pl.DataFrame:
    """Read rows of JSON as columns; a field inside an object has a name such as ``small.score``.

    True is 1 and false is 0. A list of chat messages is the text of its turns; any other list is
    left out.

    Raises
    ------
    DataError
        As ``read_json_lines``.
    """
    return frame_of(read_json_lines(path))


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Make columns of the fields of JSON objects, as ``read_json_frame`` does."""
    columns: dict[str, list[Any]] = {}
    for number, row in enumerate(rows):
        for name, value in _fields(row, "", _MAX_DEPTH):
            column = columns.setdefault(name, [None] * number)
            column.append(value)
        for column in columns.values():
            if len(column) <= number:
                column.append(None)
    return pl.DataFrame([_series(name, values) for name, values in columns.items()])


def _object(path: Path, line: str, row: int) -> dict[str, Any]:
    try:
        value = parse_json(line)
    except ValueError as error:
        raise DataError(path, "not JSON: write one object on each line", row=row) from error
    if not isinstance(value, dict):
        raise DataError(path, "not a JSON object", row=row)
    return value


def _list(path: Path, text: str) -> list[dict[str, Any]]:
    try:
        values = parse_json(text)
    except ValueError as error:
        problem = "not JSON: write one object on each line, or one list of objects"
        raise DataError(path, problem, row=1) from error
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict):
            raise DataError(path, "not a JSON object", row=number)
    if not values:
        raise DataError(path, "the file has no rows")
    return list(values)


def _fields(row: Mapping[str, Any], prefix: str, depth: int) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in row.items():
        if isinstance(value, dict):
            if depth:
                found += _fields(value, f"{prefix}{name}.", depth - 1)
        elif isinstance(value, list):
            text = _turns(value)
            if text is not None:
                found.append((prefix + name, text))
        else:
            found.append((prefix + name, value))
    return found


def _turns(messages: list[Any]) -> str | None:
    """Return the texts of chat messages, one after the other; None if they are none."""
    texts = []
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            parts = [part.get("text") for part in content if isinstance(part, dict)]
            content = "\n".join(part for part in parts if isinstance(part, str))
        if not isinstance(content, str):
            return None
        texts.append(content)
    return "\n".join(texts) if texts else None


def _series(name: str, values: list[Any]) -> pl.Series:
    known = {type(value) for value in values if value is not None}
    if known <= {bool, int, float} and known:
        return pl.Series(name, [None if v is None else float(v) for v in values], dtype=pl.Float64)
    texts = [
        value if value is None or isinstance(value, str) else _plain(value) for value in values
    ]
    return pl.Series(name, texts, dtype=pl.String)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
