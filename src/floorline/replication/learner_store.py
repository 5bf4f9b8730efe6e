"""The store of the learner: its log takes the events of all replicas from the inbox."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import sqlalchemy as sa

from floorline.errors import StoreUnavailable
from floorline.events import Event
from floorline.replication import tables
from floorline.replication.damaged_rows import keep_damaged
from floorline.replication.inbox_reader import InboxReader, Waiting
from floorline.replication.lease import Lease, LeaseLost, is_fenced_off
from floorline.replication.tables import (
    STATE_CHANNEL,
    inbox,
    insert,
    members,
    notify,
    now,
    replicas,
    states,
)
from floorline.stores.engine import store_errors
from floorline.stores.integrity import row_checksum
from floorline.stores.lock import WriterLock
from floorline.stores.recovery import until_stopped
from floorline.stores.sql import SqlStore
from floorline.stores.writing import EventWriter, prepare

_CONFIRM_SECONDS = 0.7
"""Pause between two confirmations of a state that does not change. With the pause of 250 ms between
two looks of a replica, the age that it sees stays below a second."""


class _LeaseLock:
    """Lets the database refuse the writes of a connection once the lease is another's.

    In SQLite the lock of the file does so, which another process can take only after this one
    ended.
    """

    def __init__(self, engine: sa.Engine, lease: Lease) -> None:
        self._lease = lease
        self._file = WriterLock(engine) if engine.dialect.name == "sqlite" else None

    def hold(self, connection: sa.Connection) -> None:
        """Do nothing: the epoch of the connection is compared in each write."""

    def release(self) -> None:
        self._lease.release()
        if self._file is not None:
            self._file.release()


class _LeasedWriter(EventWriter):
    """Writer of the log that holds a lease, and empties the inbox in the same transactions.

    ``lost`` says whether another process took the lease.
    """

    lost = False

    def write(self, batch: Any) -> None:
        """Commit rows; see ``EventWriter``.

        Raises
        ------
        LeaseLost
            If another process holds the lease; it is final.
        """
        try:
            super().write(batch)
        except StoreUnavailable as error:
            if is_fenced_off(error.__cause__):
                self.lost = True
                raise LeaseLost("another learner writes the log") from error
            raise

    def _settle(self, connection: sa.Connection, sources: Sequence[Any]) -> None:
        waiting: Sequence[Waiting] = sources
        connection.execute(inbox.delete().where(inbox.c.id.in_([w.id for w in waiting])))
        latest = {w.replica: w.number for w in waiting}
        put = insert(self._engine, replicas)
        put = put.on_conflict_do_update(
            index_elements=[replicas.c.id],
            set_={"consumed": put.excluded.consumed, "seen": put.excluded.seen},
        )
        rows = [{"id": name, "consumed": number} for name, number in latest.items()]
        connection.execute(put.values(seen=now(self._engine)), rows)


class LearnerStore(SqlStore):
    """Store with the log's one writer, which holds the lease of the learner.

    Parameters
    ----------
    url
        URL of the store.
    lease
        The lease, which this process has taken.
    stop
        Set to end a reading of the log, which then raises RecoveryStopped.
    kwargs
        As for ``SqlStore``.

    Raises
    ------
    LeaseLost
        If another process holds the lease.
    """

    def __init__(
        self, url: str, lease: Lease, *, stop: threading.Event | None = None, **kwargs: Any
    ) -> None:
        self.lease = lease
        self._stop = stop or threading.Event()
        self._stated_at = -math.inf
        super().__init__(url, **kwargs)
        self.inbox = InboxReader(self.engine)

    def _make_writer(self) -> EventWriter:
        self.lease.fence(self.engine)
        tables.create(self.engine)
        return _LeasedWriter(self.engine, _LeaseLock(self.engine, self.lease))

    def read(self, start: int = 0) -> Iterator[Event]:
        """Yield the events from a position on, until the process is asked to end."""
        return until_stopped(super().read(start), self._stop)

    def flush(self, position: int | None = None, *, timeout: float | None = None) -> None:
        """Block until events are durable; see ``SqlStore``.

        Raises
        ------
        LeaseLost
            If another process holds the lease.
        """
        with self._lost_as_such():
            super().flush(position, timeout=timeout)

    def close(self) -> None:
        """Commit all events and release the lease.

        Events that a lost lease left over are not lost: they still wait in the inbox.
        """
        with suppress(LeaseLost), self._lost_as_such():
            super().close()

    @contextmanager
    def _lost_as_such(self) -> Iterator[None]:
        """Raise ``LeaseLost`` for what fails because the writer met another learner."""
        try:
            yield
        except StoreUnavailable as error:
            if isinstance(self._writer, _LeasedWriter) and self._writer.lost:
                raise LeaseLost("another learner writes the log") from error
            raise

    def append_waiting(self, event: Event, waiting: Waiting) -> None:
        """Queue an event from the inbox at the end of the log; its row there is deleted with it.

        Parameters
        ----------
        event
            The event as it is to be in the log.
        waiting
            Where it waited.

        Raises
        ------
        LeaseLost
            If another process holds the lease, and a write of this one has met it.
        InvalidInput, StoreUnavailable
            As for ``append``.
        """
        with self._lost_as_such():
            self._commits.append(prepare(event)._replace(source=waiting))

    def drop_repeated(self, ids: list[int]) -> None:
        """Delete rows of the inbox whose events are in the log already."""
        if ids:
            with store_errors(self.engine), self.engine.begin() as connection:
                connection.execute(inbox.delete().where(inbox.c.id.in_(ids)))

    def set_aside(self, damaged: list[int], misplaced: list[int]) -> None:
        """Keep damaged rows of the inbox as they are; delete those whose place is not known.

        Parameters
        ----------
        damaged
            Ids of the rows.
        misplaced
            Ids of those of them that nothing in the log takes the place of.

        Raises
        ------
        StoreUnavailable
            If the database raises an error.
        """
        if damaged:
            with store_errors(self.engine), self.engine.begin() as connection:
                keep_damaged(connection, damaged)
                connection.execute(inbox.delete().where(inbox.c.id.in_(misplaced)))

    def note_replica(self, id: str) -> None:
        """Keep in mind that a replica exists that is gone: its spool may be drained later.

        Raises
        ------
        LeaseLost
            If another process holds the lease.
        StoreUnavailable
            If the database raises an error.
        """
        row = insert(self.engine, replicas).values(id=id, consumed=0, seen=now(self.engine))
        with self._fenced() as connection:
            connection.execute(row.on_conflict_do_nothing(index_elements=[replicas.c.id]))

    def ended_replicas(self, seconds: float) -> set[str]:
        """Return the names of replicas that ended long ago, so that states need not name them.

        How far they were read stays in the database: a spool of theirs may be drained any time.

        Parameters
        ----------
        seconds
            Time without an event.

        Raises
        ------
        StoreUnavailable
            If the database raises an error.
        """
        old = sa.select(replicas.c.id).where(
            now(self.engine) - replicas.c.seen > seconds,
            replicas.c.id.not_in(sa.select(members.c.id)),
            replicas.c.id.not_in(sa.select(inbox.c.replica)),
        )
        return {row.id for row in self.rows(old)}

    def confirm(self) -> bool:
        """Say that the published state is still the present one; return whether there is one.

        It is written once in a while: the age of a state is shown in seconds.

        Raises
        ------
        LeaseLost
            If another process holds the lease.
        StoreUnavailable
            If the database raises an error.
        """
        if time.monotonic() - self._stated_at < _CONFIRM_SECONDS:
            return True
        mine = states.update().where(states.c.name == tables.LEARNER)
        return self._put_state(mine.values(at=now(self.engine)), "")

    def publish(self, position: int, consumed: dict[str, int], body: bytes) -> None:
        """Let the replicas take over a state, once its events are durable.

        Parameters
        ----------
        position
            Number of events in the state.
        consumed
            Number of the last event of each replica in it.
        body
            The state.

        Raises
        ------
        LeaseLost
            If another process holds the lease.
        StoreUnavailable
            If the database raises an error.
        """
        self.flush(position)
        row: dict[str, Any] = {
            "name": tables.LEARNER,
            "epoch": self.lease.epoch,
            "position": position,
            "consumed": msgspec.json.encode(consumed).decode(),
            "body": body,
        }
        row["checksum"] = row_checksum(states, row)
        put: Any = insert(self.engine, states)
        put = put.on_conflict_do_update(
            index_elements=[states.c.name],
            set_={column.name: put.excluded[column.name] for column in states.columns},
        )
        self._put_state(put.values(**row, at=now(self.engine)), str(position))

    def _put_state(self, statement: Any, notice: str) -> bool:
        """Write the row of the state; return whether there is one now."""
        began = time.monotonic()
        with self._fenced() as connection:
            found = connection.execute(statement).rowcount > 0
            if notice:
                notify(connection, STATE_CHANNEL, notice)
        self._stated_at = began
        return found

    @contextmanager
    def _fenced(self) -> Iterator[sa.Connection]:
        """Give a transaction; raise ``LeaseLost`` if it fails because of another learner."""
        try:
            with store_errors(self.engine), self.engine.begin() as connection:
                yield connection
        except StoreUnavailable as error:
            if is_fenced_off(error.__cause__):
                raise LeaseLost("another learner is at work") from error
            raise
