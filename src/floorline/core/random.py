"""Random numbers without state: the generator of decision t depends on the seed and t only."""

from __future__ import annotations

from typing import Any

import numpy as np

_MASK = (1 << 64) - 1


class CounterRng:
    """Random generator that can be set to any decision.

    It is based on a counter (Philox). A router that is restored, or rebuilt from its log, draws
    the same numbers, although no state of a generator is saved.

    Parameters
    ----------
    seed
        Seed; two generators with the same seed draw the same numbers.

    References
    ----------
    Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Examples
    --------
    >>> rng = CounterRng(seed=1)
    >>> first = rng.at(7).random()
    >>> _ = rng.at(8).random(100)
    >>> rng.at(7).random() == first
    True
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.Philox(key=seed & _MASK)
        self._generator = np.random.Generator(self._bits)
        self._counter = np.zeros(4, dtype=np.uint64)
        # The generator copies what is assigned to its state.
        self._state: Any = {
            "bit_generator": "Philox",
            "state": {
                "counter": self._counter,
                "key": np.array([seed & _MASK, 0], dtype=np.uint64),
            },
            "buffer": np.zeros(4, dtype=np.uint64),
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }

    def at(self, t: int) -> np.random.Generator:
        """Return the generator of decision ``t``; it is valid until the next call."""
        # The lowest word of the counter counts the draws within one decision.
        self._counter[1] = t
        self._bits.state = self._state
        return self._generator
