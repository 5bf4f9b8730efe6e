"""Division of a routing table into training, validation and test rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from floorline.datasets import RoutingTable
from floorline.errors import InvalidInput


class Parts(NamedTuple):
    """Three tables without common prompts.

    Parameters
    ----------
    train, validation, test
        The tables.
    dropped
        Number of rows that are in none of them.
    """

    train: RoutingTable
    validation: RoutingTable
    test: RoutingTable
    dropped: int


def split_parts(
    table: RoutingTable, *, test: float = 0.25, validation: float = 0.3, seed: int = 0
) -> Parts:
    """Divide a table at random, each task in the same proportion.

    Rows with missing scores are dropped. A row whose prompt is also in a later part is dropped from
    the earlier one. If the table marks test rows, these are the test part.

    Parameters
    ----------
    table
        The table to divide.
    test
        Share of the rows for the test.
    validation
        Share of the remaining rows for validation.
    seed
        Seed of the random division.

    Raises
    ------
    InvalidInput
        If a part has no rows.
    """
    complete, gaps = table.complete()
    marked = np.array([part == "test" for part in complete.split])
    if marked.any() and not marked.all():
        rest, held_out = complete.take(~marked), complete.take(marked)
    else:
        rest, held_out = complete.split_rows(1.0 - test, seed)
    train, tuning = rest.split_rows(1.0 - validation, seed + 1)
    test_prompts = set(held_out.prompts)
    tuning_only = _without(tuning, test_prompts)
    train_only = _without(train, test_prompts | set(tuning.prompts))
    dropped = gaps + len(tuning) - len(tuning_only) + len(train) - len(train_only)
    return Parts(train_only, tuning_only, held_out, dropped)


def _without(table: RoutingTable, prompts: set[str]) -> RoutingTable:
    """Return the rows whose prompt is not among ``prompts``."""
    kept = np.array([prompt not in prompts for prompt in table.prompts])
    if not kept.any():
        fix = "give more rows: all prompts of a part are also in another part"
        raise InvalidInput("data", table.name, fix)
    return table if kept.all() else table.take(kept)
