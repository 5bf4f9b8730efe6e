"""Randomness without state: the generator of decision t depends on the seed and t alone."""

from __future__ import annotations

import numpy as np

_MASK = (1 << 64) - 1


class CounterRng:
    """A generator that can be put at any decision.

    Counter-based (Philox), so that a router that is restored, or rebuilt from its log, draws what
    it would have drawn without anybody having saved the generator.

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
        self._key = np.array([seed & _MASK, 0], dtype=np.uint64)
        self._buffer = np.zeros(4, dtype=np.uint64)

    def at(self, t: int) -> np.random.Generator:
        """Generator for decision t; valid until the next call."""
        # The low word of the counter counts the draws of one decision.
        self._bits.state = {
            "bit_generator": "Philox",
            "state": {"counter": np.array([0, t, 0, 0], dtype=np.uint64), "key": self._key},
            "buffer": self._buffer,
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }
        return self._generator
