"""Checks of a routing table; each error names the row and the column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from floorline.errors import DataError, InvalidInput


def as_array(
    field: str, value: ArrayLike, dtype: DTypeLike, shape: tuple[int, ...]
) -> NDArray[Any]:
    """Copy ``value`` into a read-only array of this type and shape.

    Raises
    ------
    InvalidInput
        If it does not consist of numbers or has another shape.
    """
    try:
        with np.errstate(over="ignore"):
            array = np.array(value, dtype=dtype, order="C")
    except (TypeError, ValueError) as error:
        raise InvalidInput(field, type(value).__name__, "give an array of numbers") from error
    if array.shape != shape:
        raise InvalidInput(f"{field} shape", array.shape, f"give an array of shape {shape}")
    array.setflags(write=False)
    return array


def check_models(models: Sequence[str]) -> tuple[str, ...]:
    """Return the model names as a tuple: at least one, none empty, none twice.

    Raises
    ------
    InvalidInput
        If a name is missing, empty or repeated.
    """
    if isinstance(models, str) or not all(isinstance(name, str) and name for name in models):
        raise InvalidInput("RoutingTable.models", models, "give a sequence of model names")
    if len(models) == 0:
        raise InvalidInput("RoutingTable.models", list(models), "a table needs at least one model")
    twice = [name for name, count in Counter(models).items() if count > 1]
    if twice:
        raise InvalidInput("RoutingTable.models", twice[0], "name every model once")
    return tuple(models)


def check_texts(field: str, texts: Sequence[str], rows: int) -> list[str]:
    """Return the texts as a list of ``rows`` strings that UTF-8 can encode.

    Raises
    ------
    InvalidInput
        If the number of texts differs from ``rows``.
    DataError
        If an entry is not a string or holds half a surrogate pair.
    """
    if isinstance(texts, str) or len(texts) != rows:
        given = "one string" if isinstance(texts, str) else len(texts)
        raise InvalidInput(f"RoutingTable.{field} length", given, f"give {rows} strings")
    out = list(texts)
    for row, text in enumerate(out, start=1):
        if not isinstance(text, str):
            raise DataError(
                "routing table",
                f"{type(text).__name__} where a text belongs",
                row=row,
                column=field,
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                "routing table", "text that is not valid Unicode", row=row, column=field
            ) from error
    return out


def check_cells(
    path: str,
    values: NDArray[Any],
    columns: Sequence[str],
    *,
    high: float = np.inf,
    what: str,
    gaps: NDArray[np.bool_] | bool = True,
) -> None:
    """Check a (N, M) array cell by cell: finite, in [0, high], NaN only where ``gaps`` allows it.

    Parameters
    ----------
    path
        File or table name for the error text.
    columns
        M column names for the error text.
    what
        What the numbers are, as in "score" or "cost in USD".
    gaps
        Where NaN may stand: everywhere, nowhere or a (N, M) mask.

    Raises
    ------
    DataError
        At the first cell that breaks a rule; the error names its row and column.
    """
    holes = np.isnan(values)
    checks = [
        (holes & ~np.asarray(gaps), f"{what} is missing"),
        (np.isinf(values), f"{what} is infinite"),
        (values < 0, f"{what} is negative"),
        (values > high, f"{what} is above {high:g}"),
    ]
    for bad, problem in checks:
        if bad.any():
            row, column = np.argwhere(bad)[0]
            shown = "" if holes[row, column] else f" ({values[row, column]:g})"
            raise DataError(path, problem + shown, row=int(row) + 1, column=columns[column])
