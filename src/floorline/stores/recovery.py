"""Recovery of a router: the newest snapshot that can be used, then the events after it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from floorline.errors import FloorlineError, SnapshotMismatch, StoreDamaged
from floorline.events import Decision, Event
from floorline.stores.reading import LogReader

_log = logging.getLogger("floorline.store")


class RecoveryStopped(FloorlineError):
    """The process was asked to end while it folded the log."""


def until_stopped(events: Iterable[Event], stop: threading.Event) -> Iterator[Event]:
    """Yield events until the process is asked to end.

    Raises
    ------
    RecoveryStopped
        If it is.
    """
    for event in events:
        if stop.is_set():
            raise RecoveryStopped("the process was asked to end while it folded the log")
        yield event


class Recoverable(Protocol):
    """The methods of ``Router`` that recovery needs."""

    def restore(
        self, snapshot: bytes, find: Callable[[list[str]], Mapping[str, Decision | None]]
    ) -> None:
        """Restore a snapshot; ``find`` returns the decisions that it refers to by id."""
        ...

    def apply(self, events: Iterable[Event]) -> None:
        """Fold events into the state."""
        ...


_R = TypeVar("_R", bound=Recoverable)


def recover(build: Callable[[], _R], store: LogReader) -> _R:
    """Restore the newest snapshot that can be used, and fold the events after it.

    A damaged snapshot is passed over with a warning of ``store``, and the one before it is
    used. A snapshot of another policy is passed over too. Without a usable snapshot, the whole log
    is folded.

    Parameters
    ----------
    build
        Makes a new router in its initial state.
    store
        The log and the snapshots.

    Returns
    -------
    The router

    Raises
    ------
    SnapshotMismatch
        If the snapshots are of a router with other parameters, and old events were deleted.
    StoreDamaged
        If the state cannot be proved: an event that it needs is damaged or missing.
    """
    problem: SnapshotMismatch | StoreDamaged | None = None
    for position in store.snapshots():
        router = build()
        try:
            router.restore(store.snapshot(position), lambda ids: _find(store, ids))
        except StoreDamaged as error:
            problem = error
            store.warn(f"an older snapshot was used than the newest one: {error}")
            continue
        except SnapshotMismatch as error:
            problem = error
            _log.warning("the snapshot at position %d was passed over: %s", position, error)
            continue
        router.apply(store.read(position))
        store.recovered_from = position
        return router
    if problem is not None and store.first() > 0:
        raise problem
    router = build()
    router.apply(store.read())
    store.recovered_from = 0
    return router


def _find(store: LogReader, ids: list[str]) -> dict[str, Decision | None]:
    """Return decisions of the log by id; None for those that it lost."""
    found: dict[str, Decision | None] = {**store.decisions(ids)}
    missing = [id for id in ids if id not in found]
    lost = store.lost(missing) if missing else set()
    if len(lost) < len(missing):
        raise store.damaged(
            f"{len(missing) - len(lost)} decisions that a snapshot needs are missing"
        )
    return {**found, **dict.fromkeys(lost)}
