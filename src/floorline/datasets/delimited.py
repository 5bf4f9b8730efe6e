"""Delimited text: CSV and TSV as spreadsheets, databases and data frames write them."""

from __future__ import annotations

import csv
import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import polars as pl

from floorline._bounded import encoding_of
from floorline.datasets.files import open_unpacked
from floorline.errors import DataError

log = logging.getLogger("floorline.datasets")

_START = 65_536
"""Bytes by which a file's encoding and delimiter are told."""
_LEGACY = "cp1252"
"""Encoding of Excel's plain CSV files in Western Europe and America."""


def read_csv(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> pl.DataFrame:
    """Read the wanted columns of a CSV file as texts; an empty cell is null.

    The delimiter is the comma, semicolon, tab or bar that the header has most of. The text is
    UTF-8, UTF-16 with a byte order mark, or else Windows-1252, which is logged. Columns without a
    name are left out, and so are rows and ends of rows that are empty.

    Raises
    ------
    DataError
        If the file is missing, empty, no text, ends within a quoted cell, names a column twice, or
        has a row of another length than its header.
    """
    start = _start(path)
    encoding = encoding_of(start)
    if b"\0" in start and encoding != "utf-16":
        raise DataError(path, "no text: it has bytes of zeros; give a CSV file in UTF-8")
    try:
        return _read(path, encoding, wanted)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise DataError(path, "not a text file in UTF-16, as which it begins") from error
    try:
        frame = _read(path, _LEGACY, wanted)
    except UnicodeDecodeError as error:
        raise DataError(path, "not a text file in UTF-8") from error
    log.warning("%s: not in UTF-8; read as Windows-1252, as Excel writes it", path)
    return frame


def header_of(path: Path) -> list[str]:
    """Return the names of the columns of a CSV file, as far as its start can be read."""
    start = _start(path)
    text = start.decode(encoding_of(start), errors="replace")
    reader = csv.reader(io.StringIO(_without_directive(text)), delimiter=delimiter_of(path, text))
    return [name.strip(" \t\r\n\ufeff") for name in next(reader, [])]


def delimiter_of(path: Path, text: str) -> str:
    """Tell the delimiter from the first line of a text.

    Examples
    --------
    >>> delimiter_of(Path("a.csv"), "prompt;small,ok;usd"), delimiter_of(Path("a.csv"), "a|b")
    (';', '|')
    """
    line = text.lstrip("\ufeff").partition("\n")[0].rstrip("\r")
    if _directive(line):
        return line[4]
    # What is in quotes is part of a name.
    bare = "".join(line.split('"')[::2])
    counts = {sign: bare.count(sign) for sign in ",;\t"}
    best = max(counts, key=lambda sign: counts[sign])
    if counts[best]:
        return best
    return "|" if "|" in bare else ","


def _read(path: Path, encoding: str, wanted: Callable[[str], bool]) -> pl.DataFrame:
    with _long_cells(), _text(path, encoding) as stream:
        first = stream.readline()
        delimiter = delimiter_of(path, first)
        lines = stream if _directive(first.rstrip("\r\n")) else _with_first(first, stream)
        return _frame(path, csv.reader(lines, delimiter=delimiter, strict=True), wanted)


def _frame(path: Path, reader: Iterator[list[str]], wanted: Callable[[str], bool]) -> pl.DataFrame:
    row = 0
    try:
        header = [name.strip(" \t\r\n\ufeff") for name in next(reader, [])]
        picks = [(i, name) for i, name in enumerate(header) if name and wanted(name)]
        names = [name for _, name in picks]
        for name in names:
            if names.count(name) > 1:
                raise DataError(path, f"its header names a column twice ({name!r})")
        cells: list[list[str | None]] = [[] for _ in picks]
        for line in reader:
            if not any(line):
                continue
            row += 1
            if len(line) < len(header) or any(line[len(header) :]):
                problem = f"{len(line)} cells where the header has {len(header)}"
                raise DataError(path, problem, row=row)
            for column, (i, _) in zip(cells, picks, strict=True):
                column.append(line[i] or None)
    except csv.Error as error:
        problem = (
            "damaged CSV: a quote is not closed, or text follows it; write a quote that is part of "
            "a cell twice"
        )
        raise DataError(path, problem, row=row + 1) from error
    if not header:
        raise DataError(path, "it has no header: name the columns in the first line")
    if not row:
        raise DataError(path, "it has a header but no rows")
    return pl.DataFrame(
        {
            name: pl.Series(column, dtype=pl.String)
            for name, column in zip(names, cells, strict=True)
        }
    )


def _start(path: Path) -> bytes:
    with open_unpacked(path) as stream:
        return stream.read(_START)


@contextmanager
def _text(path: Path, encoding: str) -> Iterator[IO[str]]:
    with open_unpacked(path) as stream:
        yield io.TextIOWrapper(stream, encoding=encoding, newline="")


@contextmanager
def _long_cells() -> Iterator[None]:
    """Read cells of any length within this block."""
    limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _with_first(first: str, rest: IO[str]) -> Iterator[str]:
    yield first
    yield from rest


def _directive(line: str) -> bool:
    """Whether a line is Excel's own, which names the delimiter, as in ``sep=;``."""
    return len(line) == 5 and line[:4].lower() == "sep="


def _without_directive(text: str) -> str:
    text = text.lstrip("\ufeff")
    line, _, rest = text.partition("\n")
    return rest if _directive(line.rstrip("\r")) else text
