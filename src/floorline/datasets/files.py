"""Files and folders before they are read: do they exist, and what do they hold."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from floorline.errors import DataError, system_reason

_KINDS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npy": "npy",
    ".pkl": "pickle",
    ".pickle": "pickle",
}
SPLITS = {"train": "train", "val": "train", "validation": "train", "test": "test"}
"""Split of a table by the name that data sets give it; what models are tuned on is "train"."""
_PACKED = (".gz", ".bz2", ".xz")
SUFFIXES = tuple(_KINDS)
"""Suffixes of files that can hold routing data, in any case; texts may also be packed."""

_OPENERS = (
    # First bytes of the file, and what unpacks it.
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)
_OTHER_PACKING = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook: unpack it, or save the sheet as CSV",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it first",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: save the sheet as CSV",
}
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError)
"""What the unpackers raise for a damaged file, beside OSError."""


def one_line(error: BaseException) -> str:
    """Return an error's text on one line of at most 160 characters."""
    return " ".join(str(error).split())[:160] or type(error).__name__


def check_file(path: Path) -> None:
    """Check that ``path`` is a file of at least one byte.

    Raises
    ------
    DataError
        If it is not.
    """
    try:
        folder, file = path.is_dir(), path.is_file()
        size = path.stat().st_size if file else 0
    except OSError as error:
        raise DataError(path, system_reason(error)) from error
    except ValueError as error:
        raise DataError(path, "not the name of a file") from error
    if folder:
        raise DataError(path, "a folder, where a file belongs")
    if not file:
        raise DataError(path, "no such file")
    if size == 0:
        raise DataError(path, "the file is empty")


def kind_of(path: Path) -> str:
    """Return "csv", "json", "parquet", "npy" or "pickle" by a file's name; "" for another name.

    Examples
    --------
    >>> kind_of(Path("a.CSV")), kind_of(Path("a.jsonl.gz")), kind_of(Path("a.txt"))
    ('csv', 'json', '')
    """
    suffix = _unpacked(path).suffix.lower()
    kind = _KINDS.get(suffix, "")
    return kind if kind in ("csv", "json") or _unpacked(path) == path else ""


@contextmanager
def open_unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, which may be packed by gzip, bzip2 or xz, whatever its name is.

    Raises
    ------
    DataError
        If it is missing, empty, damaged, or packed in another way.
    """
    check_file(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
        for mark, problem in _OTHER_PACKING.items():
            if start.startswith(mark):
                raise DataError(path, problem)
        opener = next((opener for mark, opener in _OPENERS if start.startswith(mark)), None)
        if opener is None:
            with path.open("rb") as plain:
                yield plain
        else:
            with opener(path, "rb") as unpacked:
                yield cast(IO[bytes], unpacked)
    except DAMAGED as error:
        raise DataError(path, "a damaged or cut off archive: pack or copy it again") from error
    except OSError as error:
        raise DataError(path, system_reason(error)) from error


def data_files(folder: Path) -> list[Path]:
    """Return the files of a folder that can hold routing data, sorted by name.

    Files ending in .json are left out: in a folder they are mostly descriptions of the others.
    """
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.is_file() and kind_of(path) and _unpacked(path).suffix.lower() != ".json"
        )
    except OSError as error:
        raise DataError(folder, system_reason(error)) from error


def data_name(path: Path) -> str:
    """Return the name of a file's data set: without its suffixes, "_train" and "_test".

    Examples
    --------
    >>> data_name(Path("routerbench/mbpp_train.csv")), data_name(Path("my.csv.gz"))
    ('mbpp', 'my')
    """
    return _unpacked(path).stem.removesuffix("_train").removesuffix("_test")


def split_of(path: Path) -> str:
    """Return "train" or "test" if a file's name says so, else ""; validation rows are "train".

    Examples
    --------
    >>> split_of(Path("default_routing_test_data.jsonl")), split_of(Path("val.csv"))
    ('test', 'train')
    """
    words = re.split(r"[^a-z]+", _unpacked(path).stem.lower())
    found = {SPLITS[word] for word in words if word in SPLITS}
    return found.pop() if len(found) == 1 else ""


def _unpacked(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower() in _PACKED else path
