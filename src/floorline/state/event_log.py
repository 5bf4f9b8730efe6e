"""The event log: its protocol, and the log in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from floorline.errors import InvalidInput
from floorline.events import Event


class EventLog(Protocol):
    """Keeps events in the order in which they happened."""

    def append(self, event: Event) -> None:
        """Add an event at the end."""
        ...

    def read(self, start: int = 0) -> Iterator[Event]:
        """Yield events from position ``start`` on."""
        ...

    def __len__(self) -> int:
        """Return the number of events ever appended."""
        ...


class MemoryLog:
    """Event log in memory.

    Parameters
    ----------
    capacity
        Most events kept; the oldest are dropped, so that a long-lived process does not grow
        without bound. None keeps all.

    Examples
    --------
    >>> from floorline.events import Outcome
    >>> log = MemoryLog(capacity=2)
    >>> for name in "abc":
    ...     log.append(Outcome(decision=name, model="small", cost=1.0))
    >>> len(log), [event.decision for event in log.read(start=1)]
    (3, ['b', 'c'])
    """

    def __init__(self, capacity: int | None = None) -> None:
        self._events: deque[Event] = deque(maxlen=capacity)
        self._appended = 0

    def append(self, event: Event) -> None:
        """Add an event at the end."""
        self._events.append(event)
        self._appended += 1

    def read(self, start: int = 0) -> Iterator[Event]:
        """Yield events from position ``start`` on.

        Raises
        ------
        InvalidInput
            If events from there on were dropped.
        """
        dropped = self._appended - len(self._events)
        if start < dropped:
            raise InvalidInput("start", start, f"read from {dropped} on; older events are gone")
        return islice(self._events, start - dropped, None)

    def __len__(self) -> int:
        return self._appended
