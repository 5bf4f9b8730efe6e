"""What share of a prompt's known prefix each provider really reads from its cache, and writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.estimators.base import carry_over

_HIT_PRIOR = 0.9
"""Share of the expected tokens that a provider is taken to read, before it has reported any: caches
work in blocks of some hundred tokens, and a request may reach another server."""
_WRITE_PRIOR = 1.0
"""Share of the tokens not read that a provider is taken to write, before it has reported any."""
_PRIOR_CALLS = 4.0
"""Calls that the priors count as."""
_MAX_CALLS = 200.0
"""Calls that a mean covers, so that a provider whose caching changed is priced right after some
hundred calls."""


class CacheRates(Stateful):
    """Shares of tokens read from and written to caches, by model, from what providers report.

    Each share is a mean over calls of a ratio from 0 to 1, so that one wrong report moves it by no
    more than one call's weight. It is shrunk to its prior.

    Parameters
    ----------
    models
        Names of the M models.

    Attributes
    ----------
    read_, written_
        (M,) expected shares: of the tokens that the cache should have those that are read, and of
        the tokens that are not read those that are written.
    read_calls_, written_calls_
        (M,) calls that they are means of, the prior's included.

    Examples
    --------
    >>> rates = CacheRates(["honest", "forgetful"])
    >>> for _ in range(100):
    ...     rates.learn_read(1, expected=2000.0, read=0.0)
    >>> rates.read_.round(2).tolist()
    [0.9, 0.03]
    """

    def __init__(self, models: Sequence[str]) -> None:
        self.models_ = list(models)
        self.read_ = np.full(len(models), _HIT_PRIOR)
        self.written_ = np.full(len(models), _WRITE_PRIOR)
        self.read_calls_ = np.full(len(models), _PRIOR_CALLS)
        self.written_calls_ = np.full(len(models), _PRIOR_CALLS)

    def learn_read(self, model: int, *, expected: float, read: float) -> None:
        """Learn from a call of which ``expected`` tokens should have been in the cache."""
        _learn(self.read_, self.read_calls_, model, read / expected)

    def learn_written(self, model: int, *, possible: float, written: float) -> None:
        """Learn from a call of which ``possible`` tokens were not read from the cache."""
        _learn(self.written_, self.written_calls_, model, written / possible)

    def set_models(self, names: Sequence[str]) -> None:
        """Keep what is known of models that stay."""
        for field, fresh in (
            ("read_", _HIT_PRIOR),
            ("written_", _WRITE_PRIOR),
            ("read_calls_", _PRIOR_CALLS),
            ("written_calls_", _PRIOR_CALLS),
        ):
            setattr(self, field, carry_over(self.models_, names, getattr(self, field), fresh))
        self.models_ = list(names)


def _learn(mean: NDArray[np.float64], calls: NDArray[np.float64], model: int, ratio: float) -> None:
    calls[model] = min(calls[model] + 1.0, _MAX_CALLS)
    mean[model] += (min(1.0, max(0.0, ratio)) - mean[model]) / calls[model]
