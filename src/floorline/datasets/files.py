"""Files and folders before they are read: do they exist, and what do they hold."""

from __future__ import annotations

from pathlib import Path

from floorline.errors import DataError

SUFFIXES = (".csv", ".parquet", ".jsonl", ".npy", ".pkl", ".pickle")
"""Suffixes of files that can hold routing data."""


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
    if not path.is_file():
        raise DataError(path, "no such file")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(path, one_line(error)) from error
    if size == 0:
        raise DataError(path, "the file is empty")


def data_files(folder: Path) -> list[Path]:
    """Return the files of a folder that can hold routing data, sorted by name."""
    return sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in SUFFIXES)


def data_name(path: Path) -> str:
    """Return the name of a file's data set: its stem without "_train" or "_test".

    Examples
    --------
    >>> data_name(Path("routerbench/mbpp_train.csv"))
    'mbpp'
    """
    return path.stem.removesuffix("_train").removesuffix("_test")
