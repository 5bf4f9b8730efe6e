"""Circuit breaker: stop calling a failing model and probe for its recovery."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from floorline.config import BreakerSettings
from floorline.gateway.upstreams.effects import BreakerEffect

_SLICES = 10
"""Parts of the window. Calls are forgotten one part at a time, so the window's length is exact
to a tenth."""

State = Literal["closed", "open", "half_open"]


class Breaker:
    """A circuit breaker on the failed calls in a sliding window.

    Each call takes a ticket by ``admit``, for all its attempts together. With it it reports to
    ``succeeded`` or ``failed``, or to ``abandoned`` if its end says nothing about the provider. A
    report does not count if the breaker opened or closed after its ticket was taken, because it is
    about an earlier state.

    Parameters
    ----------
    settings
        When to open and for how long.
    clock
        Returns seconds that never go back.

    Attributes
    ----------
    openings : int
        How often it opened.
    cause : str
        Why the last failed call failed; "" where that is not said.

    References
    ----------
    M. Nygard, "Release It!", 2nd edition, Pragmatic Bookshelf, 2018, chapter 5.

    Examples
    --------
    >>> now = 0.0
    >>> breaker = Breaker(BreakerSettings(failures=2, open_for=10.0), lambda: now)
    >>> for _ in range(2):
    ...     breaker.failed(breaker.admit())
    >>> breaker.state, breaker.admit()
    ('open', None)
    >>> now = 10.0
    >>> probe = breaker.admit()
    >>> breaker.state, breaker.admit()
    ('half_open', None)
    >>> breaker.succeeded(probe)
    >>> breaker.state
    'closed'
    """

    def __init__(self, settings: BreakerSettings, clock: Callable[[], float]) -> None:
        self.settings = settings
        self._clock = clock
        self._slice_seconds = settings.window_seconds / _SLICES
        # Per slice of the window: its number, successes and failures.
        self._counts: list[list[int]] = []
        self._opened: float | None = None
        self._probing = 0
        self._passed = 0
        self._epoch = 0
        self._suspected_until = -math.inf
        self.openings = 0
        self.cause = ""
        self._reset(None)

    @property
    def state(self) -> State:
        """``closed``: calls pass; ``open``: none passes; ``half_open``: only probes pass."""
        if self._opened is None:
            return "closed"
        return "open" if self.wait() else "half_open"

    @property
    def suspected(self) -> bool:
        """Whether it is closed, another replica's is open, and no call here has ended since."""
        return self._opened is None and self._clock() < self._suspected_until

    def suspect(self, seconds: float) -> None:
        """Take note that the breaker of another replica is open for so many seconds.

        Calls still pass. The first one that ends decides: a success ends the suspicion, a failure
        opens the breaker at once, as that of a probe does. Without calls it ends by itself, after
        the time for which a breaker of these settings opens at the latest.
        """
        if self._opened is None:
            self._suspected_until = self._clock() + min(seconds, self.settings.open_for)

    def wait(self) -> float:
        """Seconds until probes pass; 0 unless it is open."""
        if self._opened is None:
            return 0.0
        return max(0.0, self._opened + self.settings.open_for - self._clock())

    def would_admit(self) -> bool:
        """Whether a call would pass now."""
        if self._opened is None:
            return True
        return self._probing < self.settings.probes and not self.wait()

    def admit(self) -> int | None:
        """Return the ticket with which a call reports its end; None if it must not be made."""
        if self._opened is None:
            return self._epoch
        if not self.would_admit():
            return None
        self._probing += 1
        return self._epoch

    def may_retry(self, ticket: int) -> bool:
        """Whether a call may be attempted again: not once it opened, and not as a probe."""
        return ticket == self._epoch and self._opened is None

    def ended(self, ticket: int, effect: BreakerEffect, cause: str = "") -> None:
        """Report a call that failed, by what its failure says about the provider, and why."""
        if effect == "ignored":
            self.succeeded(ticket)
        else:
            self.cause = cause
            self.failed(ticket, opens=effect == "opens")

    def succeeded(self, ticket: int) -> None:
        """Report that a call was answered."""
        if ticket != self._epoch:
            return
        if self._opened is None:
            self._suspected_until = -math.inf
            self._current()[1] += 1
            return
        self._probing -= 1
        self._passed += 1
        if self._passed >= self.settings.probes:
            self._reset(None)

    def failed(self, ticket: int, *, opens: bool = False) -> None:
        """Report that a call failed, and that the provider caused it.

        Parameters
        ----------
        ticket
            The call's.
        opens
            Whether every call would fail, so that the breaker need not wait for more failures.
        """
        if ticket != self._epoch:
            return
        if opens or self._opened is not None or self.suspected:
            self._reset(self._clock())
            return
        self._current()[2] += 1
        oldest = self._number() - _SLICES
        recent = [count for count in self._counts if count[0] > oldest]
        failed = sum(count[2] for count in recent)
        calls = failed + sum(count[1] for count in recent)
        if failed >= self.settings.failures and failed >= self.settings.rate * calls:
            self._reset(self._clock())

    def abandoned(self, ticket: int) -> None:
        """Report that a call ended for another reason, such as the client's disconnect."""
        if ticket == self._epoch and self._opened is not None:
            self._probing -= 1

    def _reset(self, opened: float | None) -> None:
        self._opened = opened
        self._epoch += 1
        self.openings += opened is not None
        self._suspected_until = -math.inf
        self._probing = self._passed = 0
        self._counts = [[-1, 0, 0] for _ in range(_SLICES)]

    def _number(self) -> int:
        return int(self._clock() / self._slice_seconds)

    def _current(self) -> list[int]:
        number = self._number()
        count = self._counts[number % _SLICES]
        if count[0] != number:
            count[:] = (number, 0, 0)
        return count
