"""Context windows that the gateway learns from requests that were too long for a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

_SECONDS = 3600.0
"""Time for which a window is believed: a model that was deployed anew with a larger one, or one
request whose tokens were estimated badly, costs one refused call an hour."""


class _Window(NamedTuple):
    tokens: int | None
    refused: int
    until: float


class LearnedWindows:
    """The windows of models that refused a request as too long, in this process's memory.

    Parameters
    ----------
    clock
        Returns seconds that never go back.

    Examples
    --------
    >>> windows = LearnedWindows(lambda: 0.0)
    >>> windows.learn("small", 9000, 8192)
    >>> windows.refused_by(8500), windows.refused_by(8000), windows.tokens("small")
    (['small'], [], 8192)
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def learn(self, model: str, needed: int, tokens: int | None) -> None:
        """Learn from a request that a model refused as too long.

        Parameters
        ----------
        model
            The zoo's name. A model has one window, so the number of models bounds the memory.
        needed
            Tokens of the request and of its answer, as the gateway estimates them.
        tokens
            The window that the provider named, if it did. The provider's tokenizer can count more
            than the gateway's estimate, so requests of the estimated size are refused as well.
        """
        known = self._known(model)
        if known is not None:
            tokens = known.tokens if tokens is None else tokens
            needed = min(needed, known.refused)
        self._windows[model] = _Window(tokens, max(1, needed), self._clock() + _SECONDS)

    def tokens(self, model: str) -> int | None:
        """Window that a model's provider named; None if it named none of late."""
        known = self._known(model)
        return None if known is None else known.tokens

    def refused_by(self, needed: int) -> list[str]:
        """Models that would refuse a request of so many tokens."""
        if not self._windows:
            return []
        return [name for name in list(self._windows) if self._refuses(name, needed)]

    def _refuses(self, model: str, needed: int) -> bool:
        known = self._known(model)
        if known is None:
            return False
        return needed >= known.refused or (known.tokens is not None and needed > known.tokens)

    def forget(self, model: str) -> None:
        """Forget a model's window, because its settings changed."""
        self._windows.pop(model, None)

    def _known(self, model: str) -> _Window | None:
        known = self._windows.get(model)
        if known is not None and known.until <= self._clock():
            del self._windows[model]
            return None
        return known
