"""Recovery of a router: the last snapshot, then the events of the log after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from floorline.errors import SnapshotMismatch
from floorline.events import Decision, Event
from floorline.stores.reading import LogReader


class Recoverable(Protocol):
    """The methods of ``Router`` that recovery needs."""

    def restore(self, snapshot: bytes, find: Callable[[list[str]], dict[str, Decision]]) -> None:
        """Restore a snapshot; ``find`` returns the decisions that it refers to by id."""
        ...

    def apply(self, events: Iterable[Event]) -> None:
        """Fold events into the state."""
        ...


def recover(router: Recoverable, store: LogReader) -> int:
    """Restore the last snapshot, if there is one, and fold the events after it.

    Returns
    -------
    Number of events in the state

    Raises
    ------
    SnapshotMismatch
        If the snapshot belongs to a router with other parameters, or to another log.
    """
    last = store.last_snapshot()
    end = store.end()
    position = 0
    if last is not None:
        position, body = last
        if position > end:
            raise SnapshotMismatch(
                f"the snapshot is of {position} events, but the log has only {end}: "
                "restore the whole store from one backup"
            )
        router.restore(body, store.decisions)
    router.apply(store.read(position))
    return end
