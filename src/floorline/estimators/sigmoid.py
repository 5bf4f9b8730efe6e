"""The logistic function."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def sigmoid(logit: NDArray[Any] | float) -> NDArray[Any]:
    """1 / (1 + e⁻ˣ), without overflow; exact to 1e-16.

    SciPy's ``expit`` does the same, and takes longer to import than a server takes to start.

    Examples
    --------
    >>> sigmoid(np.array([-800.0, 0.0, 800.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return np.asarray(0.5 * np.tanh(0.5 * logit) + 0.5)
