"""What prices and names say of models before the first label: ranks, and who is like whom."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_WORD = re.compile(r"[a-z]{2,}")
"""A word of a name. Single letters say nothing of who made a model: "v" of a version, "b" of
billions of parameters."""


def relative_ranks(price: Floats) -> Floats:
    """(M,) ranks of prices (M,) from 0, the lowest, to 1, the highest; equal prices share one.

    Examples
    --------
    >>> relative_ranks(np.array([5.0, 1.0, 5.0, 900.0])).round(2).tolist()
    [0.5, 0.0, 0.5, 1.0]
    """
    below = (price[None, :] < price[:, None]).sum(axis=1)
    not_above = (price[None, :] <= price[:, None]).sum(axis=1)
    highest = max(1, len(price) - 1)
    return np.asarray((below + not_above - 1) / (2.0 * highest))


def name_similarity(names: Sequence[str]) -> Floats:
    """(M, M) shares of the words of two names that both have (Jaccard); 1 on the diagonal.

    Models of one maker or one family mostly share a word, such as ``llama``. The matrix is positive
    semidefinite, as that of a covariance has to be (Gower 1971).

    Examples
    --------
    >>> name_similarity(["meta/llama-3-8b", "meta/llama-3-70b", "meta/opt", "gpt-4"])[0].round(2)
    array([1.  , 1.  , 0.33, 0.  ])
    """
    words = [frozenset(_WORD.findall(name.lower())) for name in names]
    similarity = np.eye(len(words))
    for i, one in enumerate(words):
        for j, other in enumerate(words[:i]):
            if one & other:
                similarity[i, j] = similarity[j, i] = len(one & other) / len(one | other)
    return similarity
