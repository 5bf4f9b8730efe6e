"""The durable store of a server: event log, snapshots, prompts, documents and API keys in SQL."""

from __future__ import annotations

import time
from collections.abc import Iterator

import sqlalchemy as sa

from floorline.events import Event
from floorline.stores.commit import GroupCommit
from floorline.stores.decision_history import decision_history
from floorline.stores.engine import open_engine, store_errors
from floorline.stores.integrity import column_text, genesis, row_checksum
from floorline.stores.marks import END, GENESIS, START, Mark
from floorline.stores.marks import put as put_mark
from floorline.stores.queued import QueuedStore
from floorline.stores.schema import INITIAL_STATE, events, snapshots
from floorline.stores.start_checks import (
    checked_end,
    heard_witness,
    keys_are_whole,
    witness_file,
)
from floorline.stores.upgrade import check
from floorline.stores.wal_checkpointer import Checkpointer
from floorline.stores.witness import Witness
from floorline.stores.writing import EventWriter, put_document

_SNAPSHOTS_KEPT = 2
"""Number of snapshots that are kept: the newest and the one before it."""


class SqlStore(QueuedStore):
    """Event log, snapshots, prompts, documents and API keys in a database with one writer.

    ``append`` queues an event and returns. One thread commits the queued events together. Queries
    return durable content only; ``read`` commits the queue first.

    Parameters
    ----------
    url
        ``sqlite:///path/to/file.db`` or ``postgresql://user@host/database``.
    max_pending
        Maximum number of events that wait for a commit.
    patience
        Default timeout of ``committed`` and ``flush``, in seconds.

    Raises
    ------
    InvalidInput
        If the URL is not that of a store.
    StoreUnavailable
        If the database raises an error, another process writes to it, or its tables belong to a
        newer Floorline. Methods raise it too, if the database raises an error later.

    Attributes
    ----------
    keys : KeyStore
        API keys.
    """

    def __init__(self, url: str, *, max_pending: int = 20_000, patience: float = 5.0) -> None:
        super().__init__(open_engine(url))
        self._writer = self._make_writer()
        try:
            check(self.engine)
            self._writer.open()
            end = checked_end(self)
            if not keys_are_whole(self):
                self.warn("API keys are missing or were changed by another program")
            self._writer.begin(end, self._open_witness(end))
            self._commits = GroupCommit(
                self._writer, durable=end.position, max_pending=max_pending, patience=patience
            )
        except BaseException:
            self._writer.close()
            self.engine.dispose()
            raise
        self._checkpoints: Checkpointer | None = None
        if self.engine.dialect.name == "sqlite":
            self._checkpoints = Checkpointer(self.engine, lambda: self.durable)

    def _make_writer(self) -> EventWriter:
        """Return the only writer of the log."""
        return EventWriter(self.engine)

    def _open_witness(self, end: Mark) -> Witness | None:
        """Compare the log with its witness, and open that for writing; None for PostgreSQL."""
        path = witness_file(self)
        if path is None:
            return None
        seen = heard_witness(self)
        return Witness(path, end, Mark(0, self.genesis()) if seen is None else seen.synced)

    def read(self, start: int = 0) -> Iterator[Event]:
        """Yield the events from position ``start`` on, after a ``flush``.

        Raises
        ------
        InvalidInput
            If the event at ``start`` was deleted.
        """
        self.flush()
        yield from super().read(start)

    def decision_history(self, id: str) -> list[Event]:
        """Return the events of a decision and of its fallbacks, after a ``flush``."""
        self.flush()
        return decision_history(self, id)

    def write_snapshot(self, position: int, body: bytes, oldest: str | None = None) -> None:
        """Write a snapshot after its events are durable.

        Parameters
        ----------
        position
            Number of events in the state.
        body
            The snapshot.
        oldest
            Id of the oldest decision in the router's memory, if any. Events from it on must not be
            deleted, because the snapshot can refer to them.
        """
        self.flush(position)
        needed = position
        if oldest is not None:
            query = sa.select(sa.func.max(events.c.position)).where(
                events.c.decision == column_text(oldest),
                events.c.kind.in_(("decision", "recall")),
                events.c.position < position,
            )
            with store_errors(self.engine), self.engine.connect() as connection:
                found = connection.scalar(query)
            needed = position if found is None else found
        row = {
            "position": position,
            "oldest": needed,
            "at": time.time(),
            "body": body,
            "link": self.link_before(position),
        }
        # Writes only: SQLite refuses at once to write after a read if another connection wrote
        # between the two.
        with store_errors(self.engine), self.engine.begin() as connection:
            # A position beyond this one can only be that of a damaged row.
            connection.execute(snapshots.delete().where(snapshots.c.position >= position))
            connection.execute(
                snapshots.insert(), {**row, "checksum": row_checksum(snapshots, row)}
            )
            kept = (
                sa.select(snapshots.c.position)
                .order_by(snapshots.c.position.desc())
                .limit(_SNAPSHOTS_KEPT)
            )
            connection.execute(snapshots.delete().where(snapshots.c.position.not_in(kept)))

    def begin(self, body: bytes) -> None:
        """Write durably what the log begins with; its first link stands for it.

        Raises
        ------
        StoreDamaged
            If the log has events already, whose beginning is missing.
        """
        if len(self):
            raise self.damaged("what the log began with is missing")
        first = Mark(0, genesis(body))
        with store_errors(self.engine), self.engine.begin() as connection:
            put_document(connection, *INITIAL_STATE, body)
            for name in (GENESIS, START, END):
                put_mark(connection, name, first)
        self._writer.restart(first)

    def close(self) -> None:
        """Commit all events and prompts, and release the writer's lock.

        Raises
        ------
        StoreUnavailable
            If an event or a prompt cannot be committed. It is lost; it was not acknowledged.
        """
        try:
            self._commits.close(None)
        finally:
            if self._checkpoints is not None:
                self._checkpoints.close()
            self._writer.close()
            self.engine.dispose()
