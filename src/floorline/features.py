"""What a request looks like to a policy: a feature vector, dense or sparse."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class SparseFeatures(NamedTuple):
    """Features given by their non-zero entries.

    ``indices`` (nnz,) int32, strictly increasing; ``values`` (nnz,) float32; ``dim`` the length of
    the vector they belong to.
    """

    indices: NDArray[np.int32]
    values: NDArray[np.float32]
    dim: int


Features = NDArray[np.float32] | SparseFeatures
"""Features of one request: a dense (dim,) float32 vector or its sparse form."""


def length(features: Features) -> int:
    """Length of the vector."""
    return features.dim if isinstance(features, SparseFeatures) else len(features)


def is_finite(features: Features) -> bool:
    """Whether no entry is NaN or infinite (or so large that its square is)."""
    values = features.values if isinstance(features, SparseFeatures) else features
    return bool(np.isfinite(values.dot(values)))
