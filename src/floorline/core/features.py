"""Feature vectors of requests, dense or sparse."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.errors import InvalidInput

_MAX_SQUARES = 1e20
"""Largest sum of squares of features that counts as finite. Times the largest weight of a label it
still fits into a float32."""


class SparseFeatures(NamedTuple):
    """Features given by their entries that are not zero.

    Attributes
    ----------
    indices : ndarray (nnz,) of int32
        Positions of the entries, strictly increasing.
    values : ndarray (nnz,) of float32
        The entries.
    dim : int
        Length of the vector.
    """

    indices: NDArray[np.int32]
    values: NDArray[np.float32]
    dim: int


Features = NDArray[np.float32] | SparseFeatures
"""Features of one request: a dense (dim,) float32 vector or its sparse form."""


@lru_cache(maxsize=16)
def no_features(dim: int) -> SparseFeatures:
    """Return features of length ``dim`` without an entry, for requests that no policy sees.

    Examples
    --------
    >>> no_features(8).dim, is_empty(no_features(8))
    (8, True)
    """
    none = SparseFeatures(np.zeros(0, np.int32), np.zeros(0, np.float32), dim)
    for part in (none.indices, none.values):
        part.flags.writeable = False
    return none


def is_empty(features: Features) -> bool:
    """Whether features are given by their entries, and there is none."""
    return isinstance(features, SparseFeatures) and len(features.indices) == 0


def length(features: Features) -> int:
    """Length of the vector."""
    return features.dim if isinstance(features, SparseFeatures) else len(features)


def freeze(features: Features) -> Features:
    """Return features as read-only float32; only writeable arrays are copied.

    Raises
    ------
    InvalidInput
        If they are no vector of numbers, or the indices are not strictly increasing and below the
        length.
    """
    if not isinstance(features, SparseFeatures):
        return _frozen(features, np.float32)
    values = _frozen(features.values, np.float32)
    indices = _frozen(features.indices, np.int32)
    inside = len(indices) == 0 or (indices[0] >= 0 and indices[-1] < features.dim)
    if len(indices) != len(values) or not inside or not (np.diff(indices) > 0).all():
        fix = "give as many indices as values, strictly increasing and below dim"
        raise InvalidInput("features.indices", indices.tolist(), fix)
    return SparseFeatures(indices, values, int(features.dim))


def _frozen(values: Any, kind: type[Any]) -> NDArray[Any]:
    if isinstance(values, np.ndarray) and values.dtype == kind and not values.flags.writeable:
        frozen = values
    else:
        try:
            # A number that does not fit into a float32 becomes infinite, and is refused later.
            with np.errstate(over="ignore"):
                frozen = np.array(values, dtype=kind)
        except (TypeError, ValueError) as error:
            raise InvalidInput("features", values, "give a vector of numbers") from error
        frozen.flags.writeable = False
    if frozen.ndim != 1:
        raise InvalidInput("features", f"of shape {frozen.shape}", "give a vector of numbers")
    return frozen


def is_finite(features: Features) -> bool:
    """Whether all entries are finite, and the sum of their squares is at most 1e20."""
    values = features.values if isinstance(features, SparseFeatures) else features
    if len(values) == 0:
        return True
    # np.dot warns when it overflows, and suppressing the warning takes longer than this function.
    # The comparison is false for NaN.
    return bool(np.einsum("i,i->", values, values) <= _MAX_SQUARES)


def dense(features: Features) -> NDArray[np.float32]:
    """(dim,) dense vector of features."""
    if not isinstance(features, SparseFeatures):
        return features
    vector = np.zeros(features.dim, dtype=np.float32)
    vector[features.indices] = features.values
    return vector


def stacked(features: Sequence[Features]) -> NDArray[np.float32]:
    """(n, dim) matrix of the features of n requests."""
    return np.array([dense(x) for x in features], dtype=np.float32).reshape(len(features), -1)


def as_matrix(features: Sequence[Features] | NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, dim) matrix of requests' features, which may be one already."""
    if isinstance(features, np.ndarray):
        return np.asarray(features, dtype=np.float32)
    return stacked(features)
