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


class _Batch(NamedTuple):
    events: list[dict[str, Any]]
    prompts: list[dict[str, Any]]


class EventWriter:
    """Sink of a group commit: one connection that alone writes the log."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = WriterLock(engine)
        self._connection: sa.Connection | None = None
        # Whether the last commit may have happened although it failed.
        self._in_doubt = False

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
        batch = _Batch([], [])
        latest = {}
        for item in items:
            if isinstance(item, Prompt):
                latest[item.decision] = item.body
            else:
                batch.events.append(_row(position + len(batch.events), item))
        now = time.time()
        batch.prompts.extend(
            {"decision": name, "at": now, "body": body} for name, body in latest.items()
        )
        return batch

    def write(self, batch: _Batch) -> None:
        """Commit rows; see ``Sink``.

        Raises
        ------
        LogConflict
            If the log holds other events at these positions.
        """
        try:
            connection = self._connected()
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

    def _disconnect(self) -> None:
        if self._connection is not None:
            # Never back into the pool: PostgreSQL's lock ends with the connection.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _insert(self, connection: sa.Connection, batch: _Batch) -> None:
        if batch.events:
            connection.execute(events.insert(), batch.events)
        if batch.prompts:
            names = [{"name": row["decision"]} for row in batch.prompts]
            connection.execute(
                prompts.delete().where(prompts.c.decision == sa.bindparam("name")), names
            )
            connection.execute(prompts.insert(), batch.prompts)

    def _is_there(self, connection: sa.Connection, rows: list[dict[str, Any]]) -> bool:
        """Whether a batch was committed already, as far as anybody could not tell."""
        if not rows:
            return False
        stored = connection.execute(
            sa.select(events.c.position, events.c.body)
            .where(events.c.position >= rows[0]["position"])
            .order_by(events.c.position)
        ).all()
        if not stored:
            return False
        if [tuple(row) for row in stored] != [(row["position"], row["body"]) for row in rows]:
            raise self._conflict()
        return True

    def _conflict(self) -> LogConflict:
        return LogConflict(
            f"another process wrote to the log in {shown(self._engine.url)}: "
            "keep one of the two and restart it"
        )


def _row(position: int, event: Event) -> dict[str, Any]:
    row = {
        "position": position,
        "kind": event.__struct_config__.tag,
        "at": event.at,
        "decision": None,
        "model": None,
        "completion": None,
        "key": None,
        "cost": None,
        "body": pack_event(event),
    }
    if isinstance(event, Decision):
        row.update(decision=event.id, model=event.model, key=event.key or None)
    elif isinstance(event, Outcome):
        row.update(
            decision=event.decision,
            model=event.model,
            completion=event.completion,
            cost=event.cost,
        )
    elif isinstance(event, Feedback):
        row.update(decision=event.decision, model=event.model, cost=event.cost)
    elif isinstance(event, Recall):
        row.update(decision=event.decision.id, model=event.decision.model)
    return row
