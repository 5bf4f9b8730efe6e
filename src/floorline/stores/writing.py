"""Writes events and prompts to the tables."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from floorline.errors import FloorlineError, StoreUnavailable
from floorline.events import Decision, Event, Feedback, Outcome, Recall
from floorline.stores.engine import reason, reported, shown
from floorline.stores.lock import WriterLock
from floorline.stores.packing import pack_event
from floorline.stores.schema import events, prompts


class Prompt(NamedTuple):
    """The prompt of a decision."""

    decision: str
    body: bytes


class LogConflict(FloorlineError):
    """Somebody else wrote to the log; this process cannot go on."""


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
    """Rows to commit; ``vital`` if some of them are acknowledged once they are durable."""

    events: list[_Row]
    prompts: list[dict[str, Any]]
    vital: bool


class EventWriter:
    """Sink of a group commit: one connection that alone writes the log."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = WriterLock(engine)
        self._connection: sa.Connection | None = None
        # Whether the last commit may have happened although it failed.
        self._in_doubt = False
        # Compiled once and given tuples, which halves what each row takes.
        make: Any = type(engine.dialect)
        dialect = make(paramstyle="qmark" if engine.dialect.name == "sqlite" else "format")
        names = [column.name for column in _COLUMNS]
        self._insertion = str(events.insert().compile(dialect=dialect, column_keys=names))
        self._vital: bool | None = None

    def open(self) -> None:
        """Become the writer.

        Raises
        ------
        StoreUnavailable
            If there is another one or the database does not work.
        """
        with reported(self._engine):
            self._connected()

    def encode(self, position: int, items: Sequence[Event | Prompt]) -> _Batch:
        """Make rows; see ``Sink``."""
        rows: list[_Row] = []
        latest = {}
        vital = False
        for item in items:
            if isinstance(item, Prompt):
                latest[item.decision] = item.body
            else:
                rows.append(_row(position + len(rows), item))
                vital = vital or not isinstance(item, Decision | Outcome)
        now = time.time()
        prompts = [{"decision": name, "at": now, "body": body} for name, body in latest.items()]
        return _Batch(rows, prompts, vital)

    def write(self, batch: _Batch) -> None:
        """Commit rows; see ``Sink``.

        Raises
        ------
        LogConflict
            If the log holds other events at these positions.
        """
        try:
            connection = self._connected()
            self._sync(connection, batch.vital)
            with connection.begin():
                if not (self._in_doubt and self._is_there(connection, batch.events)):
                    self._insert(connection, batch)
        except IntegrityError as error:
            raise self._conflict() from error
        except (SQLAlchemyError, StoreUnavailable) as error:
            self._in_doubt = True
            self._disconnect()
            raise StoreUnavailable(
                f"the store {shown(self._engine.url)} cannot be written: {reason(error)}"
            ) from error
        self._in_doubt = False

    def close(self) -> None:
        """Be the writer no more."""
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

    def _sync(self, connection: sa.Connection, vital: bool) -> None:
        """Let SQLite sync the disk for what is acknowledged, and leave the rest to the system.

        A decision survives the end of the process either way; syncing it for the case that the
        machine loses power would hold every answer up by milliseconds.
        """
        if connection.dialect.name == "sqlite" and vital != self._vital:
            # On the driver's own connection, as it cannot be changed inside a transaction.
            driver: Any = connection.connection.driver_connection
            driver.execute(f"PRAGMA synchronous={'FULL' if vital else 'NORMAL'}")
            self._vital = vital

    def _disconnect(self) -> None:
        if self._connection is not None:
            # Never back into the pool: PostgreSQL's lock ends with the connection.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
            self._vital = None

    def _insert(self, connection: sa.Connection, batch: _Batch) -> None:
        if batch.events:
            connection.exec_driver_sql(self._insertion, batch.events)
        if batch.prompts:
            names = [{"name": row["decision"]} for row in batch.prompts]
            connection.execute(
                prompts.delete().where(prompts.c.decision == sa.bindparam("name")), names
            )
            connection.execute(prompts.insert(), batch.prompts)

    def _is_there(self, connection: sa.Connection, rows: list[_Row]) -> bool:
        """Whether a batch was committed already, as far as anybody could not tell."""
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
            f"another process wrote to the log in {shown(self._engine.url)}: "
            "keep one of the two and restart it"
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
    return position, kind, float(event.at), decision, model, completion, key, cost, body
