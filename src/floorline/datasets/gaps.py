"""Rows with missing scores: keep them with a mask, or drop them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from floorline.datasets.table import RoutingTable
from floorline.errors import DataError, check_one_of

Gaps = Literal["mask", "drop"]
"""Keep rows in which a score is missing, as gaps, or drop them."""

_log = logging.getLogger("floorline.datasets")


def settle_gaps(path: Path, table: RoutingTable, gaps: Gaps) -> RoutingTable:
    """Mask or drop the rows with missing scores, and log their number as a warning.

    Raises
    ------
    InvalidInput
        If ``gaps`` is neither "mask" nor "drop".
    DataError
        If every row has a gap and ``gaps`` is "drop".
    """
    check_one_of("gaps", gaps, ("mask", "drop"))
    holes = int((~table.mask.all(axis=1)).sum())
    if holes == 0:
        return table
    done = "dropped" if gaps == "drop" else "kept, their missing scores masked"
    note = f"{holes:,} of {len(table):,} rows have missing scores: {done}"
    _log.warning("%s: %s", path, note)
    if gaps == "mask":
        return table
    if holes == len(table):
        raise DataError(path, "every row has a missing score; no row is left after dropping them")
    return table.complete()[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Do not log gaps within this block, where tables are only counted."""
    previous = _log.level
    _log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        _log.setLevel(previous)
