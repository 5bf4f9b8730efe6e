"""The writer of a store's log: it inserts batches of events and prompts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from floorline.errors import FloorlineError, StoreUnavailable
from floorline.events import Decision, Event, Feedback, Outcome, Recall, WarmStart
from floorline.stores.engine import database_message, store_errors, url_without_password
from floorline.stores.lock import WriterLock
from floorline.stores.packing import pack_event
from floorline.stores.schema import ARTEFACT, documents, events, prompts


class Prompt(NamedTuple):
    """The prompt of a decision."""

    decision: str
    body: bytes


class LogConflict(FloorlineError):
    """Another process wrote to the log, so this process cannot continue."""


_COLUMNS = (
    events.c.position,
    events.c.kind,
    events.c.at,
    events.c.decision,
    events.c.model,
    events.c.completion,
    events.c.key,
    events.c.cost,
    events.c.body,
)
_Row = tuple[int, str, float, str | None, str | None, str | None, str | None, float | None, bytes]


class _Batch(NamedTuple):
    """Rows to commit.

    Parameters
    ----------
    events, prompts
        The rows.
    artefacts
        Histories of warm starts by digest.
    sync
        Whether to sync the disk, because an event is acknowledged after the commit.
    """

    events: list[_Row]
    prompts: list[dict[str, Any]]
    artefacts: dict[str, bytes]
    sync: bool


class EventWriter:
    """Sink of a group commit: the only connection that writes the log.

    Parameters
    ----------
    engine
        Engine of the store.

    Raises
    ------
    StoreUnavailable
        If another process holds the writer's lock of a SQLite store.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = WriterLock(engine)
        self._connection: sa.Connection | None = None
        # Whether the last commit is in doubt: it raised an error but may have been executed.
        self._in_doubt = False
        # The statement is compiled once and executed with tuples, which halves the time per row.
        make: Any = type(engine.dialect)
        dialect = make(paramstyle="qmark" if engine.dialect.name == "sqlite" else "format")
        names = [column.name for column in _COLUMNS]
        self._insertion = str(events.insert().compile(dialect=dialect, column_keys=names))
        self._sync_enabled: bool | None = None

    def open(self) -> None:
        """Connect and take the writer's lock.

        Raises
        ------
        StoreUnavailable
            If another process holds the lock, or the database raises an error.
        """
        with store_errors(self._engine):
            self._connected()

    def encode(self, position: int, items: Sequence[Event | Prompt]) -> _Batch:
        """Convert items into rows; see ``Sink``."""
        rows: list[_Row] = []
        latest = {}
        artefacts = {}
        sync = False
        for item in items:
            if isinstance(item, Prompt):
                latest[item.decision] = item.body
            else:
                if isinstance(item, WarmStart):
                    # In the same transaction as the event, but not in its row: readers of rows
                    # would load megabytes.
                    artefacts[item.digest] = item.history
                    item = msgspec.structs.replace(item, history=b"")
                rows.append(_row(position + len(rows), item))
                sync = sync or not isinstance(item, Decision | Outcome)
        now = time.time()
        prompts = [{"decision": name, "at": now, "body": body} for name, body in latest.items()]
        return _Batch(rows, prompts, artefacts, sync)

    def write(self, batch: _Batch) -> None:
        """Commit rows; see ``Sink``.

        Raises
        ------
        LogConflict
            If the log contains other events at these positions.
        StoreUnavailable
            If the database raises an error.
        """
        try:
            connection = self._connected()
            self._set_sync(connection, batch.sync)
            with connection.begin():
                if not (self._in_doubt and self._is_there(connection, batch.events)):
                    self._insert(connection, batch)
        except IntegrityError as error:
            raise self._conflict() from error
        except (SQLAlchemyError, StoreUnavailable) as error:
            self._in_doubt = True
            self._disconnect()
            store = url_without_password(self._engine.url)
            message = database_message(error)
            raise StoreUnavailable(f"the store {store} cannot be written: {message}") from error
        self._in_doubt = False

    def close(self) -> None:
        """Close the connection and release the writer's lock."""
        self._disconnect()
        self._lock.release()

    def _connected(self) -> sa.Connection:
        if self._connection is None:
            connection = self._engine.connect()
            try:
                self._lock.hold(connection)
            except BaseException:
                connection.invalidate()
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _set_sync(self, connection: sa.Connection, sync: bool) -> None:
        """Make SQLite sync the disk for a batch, or leave that to the operating system.

        Decisions and outcomes survive the end of the process in both cases. Syncing them, for the
        case that the machine loses power, would delay every answer by milliseconds.
        """
        if connection.dialect.name == "sqlite" and sync != self._sync_enabled:
            # On the driver's connection, because the setting cannot change in a transaction.
            driver: Any = connection.connection.driver_connection
            driver.execute(f"PRAGMA synchronous={'FULL' if sync else 'NORMAL'}")
            self._sync_enabled = sync

    def _disconnect(self) -> None:
        if self._connection is not None:
            # The lock of PostgreSQL ends with its connection, which must not return to the pool.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
            self._sync_enabled = None

    def _insert(self, connection: sa.Connection, batch: _Batch) -> None:
        if batch.events:
            connection.exec_driver_sql(self._insertion, batch.events)
        if batch.prompts:
            names = [{"name": row["decision"]} for row in batch.prompts]
            connection.execute(
                prompts.delete().where(prompts.c.decision == sa.bindparam("name")), names
            )
            connection.execute(prompts.insert(), batch.prompts)
        for digest, body in batch.artefacts.items():
            row = {"kind": ARTEFACT, "name": digest, "body": body}
            connection.execute(documents.delete().filter_by(kind=ARTEFACT, name=digest))
            connection.execute(documents.insert(), row)

    def _is_there(self, connection: sa.Connection, rows: list[_Row]) -> bool:
        """Return whether a batch whose commit is in doubt was committed.

        Raises
        ------
        LogConflict
            If the log contains other events at these positions.
        """
        if not rows:
            return False
        stored = connection.execute(
            sa.select(events.c.position, events.c.body)
            .where(events.c.position >= rows[0][0])
            .order_by(events.c.position)
        ).all()
        if not stored:
            return False
        if [tuple(row) for row in stored] != [(row[0], row[-1]) for row in rows]:
            raise self._conflict()
        return True

    def _conflict(self) -> LogConflict:
        return LogConflict(
            f"another process wrote to the log in {url_without_password(self._engine.url)}: "
            "stop one of the two processes and restart the other"
        )


def _row(position: int, event: Event) -> _Row:
    kind, body = str(event.__struct_config__.tag), pack_event(event)
    decision = model = completion = key = cost = None
    if isinstance(event, Decision):
        decision, model, key = event.id, event.model, event.key or None
    elif isinstance(event, Outcome):
        decision, model = event.decision, event.model
        completion, cost = event.completion, float(event.cost)
    elif isinstance(event, Feedback):
        decision, model, cost = event.decision, event.model, float(event.cost)
    elif isinstance(event, Recall):
        decision, model = event.decision.id, event.decision.model
    elif isinstance(event, WarmStart):
        key = event.digest
    return position, kind, float(event.at), decision, model, completion, key, cost, body
