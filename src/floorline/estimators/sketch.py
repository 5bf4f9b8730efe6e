"""A short stand-in for long features that keeps inner products, whatever the encoder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, SparseFeatures

Floats = NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier of Fibonacci hashing, whose top bit is the sign of an entry."""


class Sketch:
    """Count sketch: entry i of the features is added, with a fixed sign, to entry i mod k.

    Inner products of sketches are those of the features in expectation (Charikar, Chen,
    Farach-Colton 2002; Weinberger et al. 2009 for learning). Nothing is fitted or stored, so it
    serves from the first request on. Features no longer than k stay as they are.

    The last sketch is kept: a request's features are read when it is decided on, when that is
    counted and when its label comes.

    Parameters
    ----------
    dim
        Length d of the features.
    length
        k, at most.

    Examples
    --------
    >>> x = np.arange(6, dtype=np.float32)
    >>> Sketch(6, 8)(x).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    >>> Sketch(6, 2)(x).shape
    (2,)
    """

    def __init__(self, dim: int, length: int) -> None:
        self.dim = dim
        self.length = min(dim, length)
        rows = -(-dim // self.length)
        places = np.arange(dim, dtype=np.uint64) * _GOLDEN >> np.uint64(63)
        self._signs = np.ones(dim, dtype=np.float32)
        if dim > self.length:
            self._signs[places == 1] = -1.0
        # Filled up with zeros, so that the entries form a rectangle.
        self._shape = (rows, self.length)
        self._spare = rows * self.length - dim
        self._last: tuple[Features, Floats] | None = None

    def __call__(self, x: Features) -> Floats:
        """(k,) sketch of one request's features; not to be written to."""
        return self.with_one(x)[1:]

    def with_one(self, x: Features) -> Floats:
        """(k + 1,) a one, for an intercept, and the sketch; not to be written to."""
        last = self._last
        if last is not None and last[0] is x:
            return last[1]
        phi = np.empty(self.length + 1)
        phi[0] = 1.0
        if isinstance(x, SparseFeatures):
            signed = x.values * self._signs[x.indices]
            phi[1:] = np.bincount(x.indices % self.length, signed, minlength=self.length)
            return phi
        signed = x * self._signs
        if self._spare:
            signed = np.concatenate([signed, np.zeros(self._spare, np.float32)])
        phi[1:] = np.add.reduce(signed.reshape(self._shape), axis=0)
        # Only of what nobody can change: the same object holds the same numbers then.
        if not x.flags.writeable:
            self._last = x, phi
        return phi

    def many(self, x: NDArray[np.float32]) -> Floats:
        """(n, k) sketches of features (n, d)."""
        signed = np.zeros((len(x), self.dim + self._spare), dtype=np.float32)
        signed[:, : self.dim] = x * self._signs
        return np.asarray(signed.reshape(len(x), *self._shape).sum(axis=1), dtype=np.float64)
