"""Brings a router back to where its log ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from floorline.errors import SnapshotMismatch
from floorline.events import Decision, Event
from floorline.stores.reading import LogReader


class Recoverable(Protocol):
    """What a router can do to get back; see ``Router``."""

    def restore(self, snapshot: bytes, find: Callable[[list[str]], dict[str, Decision]]) -> None:
        """Take over a state; ``find`` looks decisions up that it only names."""
        ...

    def apply(self, events: Iterable[Event]) -> None:
        """Fold events."""
        ...


def recover(router: Recoverable, store: LogReader) -> int:
    """Restore the last snapshot, if there is one, and fold the log from there on.

    Returns the number of events that the state is now a fold of.

    Raises
    ------
    SnapshotMismatch
        If the snapshot is one of a router built otherwise, or not of this log.
    """
    last = store.last_snapshot()
    end = store.end()
    position = 0
    if last is not None:
        position, body = last
        if position > end:
            raise SnapshotMismatch(
                f"the snapshot is of {position} events, the log has {end}: "
                "restore the whole store from one backup"
            )
        router.restore(body, store.decisions)
    router.apply(store.read(position))
    return end
