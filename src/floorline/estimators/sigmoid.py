"""The logistic function, without SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def sigmoid(logit: NDArray[Any] | float) -> NDArray[Any]:
    """Compute 1 / (1 + e⁻ˣ) without overflow; the error is below 1e-16.

    SciPy's ``expit`` computes the same, but importing it takes longer than the start of a server.

    Parameters
    ----------
    logit
        x, an array of any shape.

    Examples
    --------
    >>> sigmoid(np.array([-800.0, 0.0, 800.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return np.asarray(0.5 * np.tanh(0.5 * logit) + 0.5)
