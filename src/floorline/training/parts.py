"""Rows to learn from, rows to tune on and rows that nobody sees before the test."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from floorline.datasets import RoutingTable
from floorline.errors import InvalidInput


class Parts(NamedTuple):
    """Three tables that share no prompt; ``dropped`` counts the rows that are in none of them."""

    train: RoutingTable
    validation: RoutingTable
    test: RoutingTable
    dropped: int


def split_parts(
    table: RoutingTable, *, test: float = 0.25, validation: float = 0.3, seed: int = 0
) -> Parts:
    """Divide a table at random, each task in the same proportion.

    Rows with gaps are left out, as are rows whose prompt is also in a later part. Where the table
    names test rows itself, those are the test part.

    Parameters
    ----------
    test
        Share of the rows for the test.
    validation
        Share of the remaining rows for validation.

    Raises
    ------
    InvalidInput
        If that leaves a part without rows.
    """
    whole, gaps = table.complete()
    named = np.array([part == "test" for part in whole.split])
    if named.any() and not named.all():
        rest, held_out = whole.take(~named), whole.take(named)
    else:
        rest, held_out = whole.split_rows(1.0 - test, seed)
    train, tuning = rest.split_rows(1.0 - validation, seed + 1)
    seen = set(held_out.prompts)
    tuning_only = _without(tuning, seen)
    train_only = _without(train, seen | set(tuning.prompts))
    dropped = gaps + len(tuning) - len(tuning_only) + len(train) - len(train_only)
    return Parts(train_only, tuning_only, held_out, dropped)


def _without(table: RoutingTable, prompts: set[str]) -> RoutingTable:
    kept = np.array([prompt not in prompts for prompt in table.prompts])
    if not kept.any():
        raise InvalidInput("data", table.name, "give more rows: a part has no prompt of its own")
    return table if kept.all() else table.take(kept)
