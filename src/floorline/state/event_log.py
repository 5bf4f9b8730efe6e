"""The event log: its protocol, and the log in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Protocol, runtime_checkable

from floorline.core.features import SparseFeatures
from floorline.errors import InvalidInput
from floorline.events import Decision, Event, Recall, WarmStart

_EVENT_BYTES = 400
_DECISION_BYTES = 900
_EXPLAINED_BYTES = 350
"""Bytes that CPython 3.11 to 3.14 allocates for an outcome, for a decision without the contents of
its arrays, and more for one with multipliers; measured with ``tracemalloc``."""


@runtime_checkable
class HistoryLog(Protocol):
    """An event log that finds the events of one decision faster than by reading all of them."""

    def decision_history(self, id: str) -> list[Event]:
        """Return the events of a decision, as ``state.explaining.decision_history`` does."""
        ...


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
    max_bytes
        Most memory of the events in bytes, as ``event_bytes`` estimates it. Above it the oldest
        events are dropped, so that a process that runs for long does not grow without bound. None
        keeps all events.

    Examples
    --------
    >>> from floorline.events import Outcome
    >>> log = MemoryLog(max_bytes=1000)
    >>> for name in "abc":
    ...     log.append(Outcome(decision=name, model="small", cost=1.0))
    >>> len(log), [event.decision for event in log.read(start=1)]
    (3, ['b', 'c'])
    """

    def __init__(self, max_bytes: int | None = None) -> None:
        if max_bytes is not None and max_bytes < 0:
            raise InvalidInput("max_bytes", max_bytes, "give a number of bytes of 0 or more")
        self._max_bytes = max_bytes
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._appended = 0

    def append(self, event: Event) -> None:
        """Add an event at the end, and drop the oldest ones above the limit."""
        self._events.append(event)
        self._appended += 1
        if self._max_bytes is None:
            return
        self._bytes += event_bytes(event)
        while self._bytes > self._max_bytes:
            self._bytes -= event_bytes(self._events.popleft())

    def read(self, start: int = 0) -> Iterator[Event]:
        """Yield events from position ``start`` on.

        Raises
        ------
        InvalidInput
            If events from there on were dropped.
        """
        dropped = self.first
        if start < dropped:
            raise InvalidInput("start", start, f"read from {dropped} on; older events are dropped")
        return islice(self._events, start - dropped, None)

    @property
    def first(self) -> int:
        """Position of the oldest event that is kept."""
        return self._appended - len(self._events)

    def __len__(self) -> int:
        return self._appended


def event_bytes(event: Event) -> int:
    """Estimate the memory of an event in bytes: its arrays, and what Python adds to them."""
    if isinstance(event, Decision):
        features = event.features
        if isinstance(features, SparseFeatures):
            size = features.indices.nbytes + features.values.nbytes
        else:
            size = features.nbytes
        size += _EXPLAINED_BYTES if event.multipliers else 0
        return int(_DECISION_BYTES + size + 5 * event.propensities.nbytes)
    if isinstance(event, WarmStart):
        return _EVENT_BYTES + len(event.history)
    if isinstance(event, Recall):
        return _EVENT_BYTES + event_bytes(event.decision)
    return _EVENT_BYTES
