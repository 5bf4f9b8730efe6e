"""Search graph over the distinct directions of a history, for nearest neighbours by cosine."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from floorline._extras import needs

_DECIMALS = 5
"""Decimals of unit vectors that are compared. Directions that agree in them have a cosine of 1 in
float32."""
_MAX_EQUAL = 2000
"""Largest number of rows of one direction that a search returns, the most recent ones; bounds the
time of a search."""


class NeighbourIndex:
    """Rows of a history by direction, and a graph of the distinct directions.

    Requests with equal features have equal distances to everything. As separate points of the graph
    they would link to each other only: with 1,000 copies of one of 2,000 points the search finds
    40 % of the true neighbours, with 5,000 copies none. So the graph holds each direction once, and
    a direction leads to all of its rows.

    Parameters
    ----------
    dim
        Length of the features.
    exact
        Compare with every direction instead of searching the graph.

    Examples
    --------
    >>> index = NeighbourIndex(2, exact=False)
    >>> index.add(np.array([[1, 0], [0, 1], [2, 0]], np.float32))
    >>> index.search(np.array([1, 0], np.float32), 1).tolist()
    [0, 2]
    """

    def __init__(self, dim: int, *, exact: bool) -> None:
        # Vowpal Wabbit cannot read the numbers among its options once usearch is loaded, because
        # both bring a C++ library of their own. In this order both work.
        with suppress(ModuleNotFoundError):
            import pylibvw  # noqa: F401
        with needs("offline", "searching nearest neighbours"):
            from usearch.index import Index

        self.exact = exact
        self._graph: Any = Index(ndim=dim, metric="cos", dtype="f32")
        self._count = 0
        self._rows: list[list[int]] = []
        self._directions: dict[bytes, int] = {}

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Add rows (n, dim), which get the next positions."""
        new = []
        for position, key in enumerate(_keys(vectors)):
            known = self._directions.setdefault(key, len(self._rows))
            if known == len(self._rows):
                self._rows.append([])
                new.append(position)
            self._rows[known].append(self._count + position)
        self._count += len(vectors)
        if new:
            first = len(self._rows) - len(new)
            keys = np.arange(first, len(self._rows), dtype=np.uint64)
            # One thread, because the graph depends on the order of insertion.
            self._graph.add(keys, vectors[new], threads=1)

    def search(self, vector: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        """Return the rows of the nearest directions, nearest first, until they are ``count``.

        There may be more, because all rows of one direction are equally near.
        """
        if not self._rows:
            return np.zeros(0, dtype=np.int64)
        wanted = min(count, len(self._rows))
        found = self._graph.search(vector, wanted, threads=1, exact=self.exact).keys
        if len(self._rows) == self._count:
            return np.asarray(found, dtype=np.int64)
        rows: list[int] = []
        for direction in found.tolist():
            rows += self._rows[direction][-_MAX_EQUAL:]
            if len(rows) >= count:
                break
        return np.array(rows, dtype=np.int64)

    def equal(self, vector: NDArray[np.float32]) -> list[int]:
        """Return the rows with this direction, oldest first."""
        (key,) = _keys(vector[None, :])
        known = self._directions.get(key)
        return [] if known is None else self._rows[known]


def _keys(vectors: NDArray[np.float32]) -> list[bytes]:
    """Digest of each direction; 16 bytes, because the features of a long history are large."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0.0)
    # Adding 0 makes −0 equal to 0.
    units = units.round(_DECIMALS) + np.float32(0.0)
    return [hashlib.blake2b(unit.tobytes(), digest_size=16).digest() for unit in units]
