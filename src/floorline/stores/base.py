"""What an event log is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

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
