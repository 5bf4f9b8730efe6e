"""Count sketch: compression of features that preserves inner products in expectation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, SparseFeatures

Floats = NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier of Fibonacci hashing, whose top bit is the sign of an entry."""


class Sketch:
    """Count sketch: entry i of the features is added, with a fixed sign, to entry i mod k.

    The inner product of two sketches equals that of the features in expectation [1]_ [2]_. Nothing
    is fitted, so the sketch works from the first request on. Features of length k or less are not
    changed.

    Parameters
    ----------
    dim
        Length d of the features.
    length
        Maximum length of the sketch; k is the smaller of both.

    References
    ----------
    .. [1] Charikar, Chen, Farach-Colton: Finding Frequent Items in Data Streams. ICALP 2002.
    .. [2] Weinberger, Dasgupta, Langford, Smola, Attenberg: Feature Hashing for Large Scale
       Multitask Learning. ICML 2009, arXiv:0902.2206.

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
        sign_bits = np.arange(dim, dtype=np.uint64) * _GOLDEN >> np.uint64(63)
        self._signs = np.ones(dim, dtype=np.float32)
        if dim > self.length:
            self._signs[sign_bits == 1] = -1.0
        # The features are padded with zeros to a (rows, k) matrix, whose columns are summed.
        self._shape = (rows, self.length)
        self._padding = rows * self.length - dim

    def __call__(self, x: Features) -> Floats:
        """Return the (k,) sketch of one request's features."""
        return self.with_one(x)[1:]

    def with_one(self, x: Features) -> Floats:
        """Return (k + 1,): the number 1, for an intercept, and the sketch."""
        phi = np.empty(self.length + 1)
        phi[0] = 1.0
        if isinstance(x, SparseFeatures):
            signed = x.values * self._signs[x.indices]
            phi[1:] = np.bincount(x.indices % self.length, signed, minlength=self.length)
            return phi
        signed = x * self._signs
        if self._padding:
            signed = np.concatenate([signed, np.zeros(self._padding, np.float32)])
        phi[1:] = np.add.reduce(signed.reshape(self._shape), axis=0)
        return phi

    def many(self, x: NDArray[np.float32]) -> Floats:
        """Return the (n, k) sketches of (n, d) features."""
        signed = np.zeros((len(x), self.dim + self._padding), dtype=np.float32)
        signed[:, : self.dim] = x * self._signs
        return np.asarray(signed.reshape(len(x), *self._shape).sum(axis=1), dtype=np.float64)
