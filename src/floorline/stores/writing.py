"""The writer of a store's log: it inserts batches of events and prompts."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from floorline.errors import FloorlineError, InvalidInput, StoreUnavailable
from floorline.events import (
    Decision,
    Event,
    Feedback,
    Judgement,
    Outcome,
    Recall,
    Tombstone,
    WarmStart,
    check_readable,
    decode_event,
    encode_event,
)
from floorline.stores import marks
from floorline.stores.commit import Refused
from floorline.stores.engine import (
    database_message,
    store_errors,
    url_without_password,
    write_error,
)
from floorline.stores.integrity import (
    column_number,
    column_text,
    event_checksum,
    genesis,
    next_link,
    row_checksum,
)
from floorline.stores.lock import Lock, WriterLock
from floorline.stores.marks import Mark
from floorline.stores.packing import pack_body
from floorline.stores.schema import ARTEFACT, documents, events, prompts
from floorline.stores.schema import marks as marks_table
from floorline.stores.witness import Witness


class LogConflict(FloorlineError):
    """Another process wrote to the log, so this process cannot continue."""


class Prepared(NamedTuple):
    """An event whose serialised form is known, so that its encoding cannot fail any more.

    Parameters
    ----------
    kind, at, decision, model, completion, tenant, key, cost
        Columns of its row.
    body
        Its serialised form.
    sync
        Whether to sync the disk, because the event is acknowledged after its commit.
    artefact
        History of a warm start; None for other events.
    source
        Where the event waits until it is in the log; None if it comes from this process.
    """

    kind: str
    at: float
    decision: str | None
    model: str | None
    completion: str | None
    tenant: str | None
    key: str | None
    cost: float | None
    body: bytes
    sync: bool
    artefact: bytes | None = None
    source: Any = None


class Prompt(NamedTuple):
    """The prompt of a decision."""

    decision: str
    body: bytes


_COLUMNS = (
    events.c.position,
    events.c.kind,
    events.c.at,
    events.c.decision,
    events.c.model,
    events.c.completion,
    events.c.tenant,
    events.c.key,
    events.c.cost,
    events.c.body,
    events.c.checksum,
    events.c.link,
)
MAX_EVENT_BYTES = 2**28
"""Largest event in bytes. Databases refuse values of 2^30 bytes and above."""
_MAX_REASON = 200
"""Longest reason of a tombstone in characters."""
_ITEM_SQLSTATES = ("22", "23", "54")
"""Classes of PostgreSQL's errors that one item causes: data, constraints, limits of a value."""


class _Batch(NamedTuple):
    """Rows to commit.

    Parameters
    ----------
    events, prompts
        The rows.
    artefacts
        Histories of warm starts by digest.
    sync
        Whether to sync the disk.
    end
        End of the log after the batch.
    sources
        Where the events waited, of those that came from other processes.
    """

    events: list[tuple[Any, ...]]
    prompts: list[dict[str, Any]]
    artefacts: dict[str, bytes]
    sync: bool
    end: Mark
    sources: Sequence[Any] = ()


_NOT_ACKNOWLEDGED = ("decision", "outcome")
"""Kinds of events whose commit does not sync the disk."""


@cache
def _kind(event: type[Event]) -> str:
    return str(event.__struct_config__.tag)


def prepare(event: Event) -> Prepared:
    """Serialise an event and compute the columns of its row.

    Raises
    ------
    InvalidInput
        If it cannot be serialised or stored.
    """
    history: bytes | None = None
    decision = model = completion = tenant = key = cost = None
    if isinstance(event, Decision):
        decision, model = event.id, event.model
        tenant, key = event.tenant or None, event.key or None
        completion = event.session or None
    elif isinstance(event, Outcome):
        decision, model = event.decision, event.model
        completion, cost = event.completion, event.cost
        tenant, key = event.tenant or None, event.key or None
    elif isinstance(event, Feedback | Judgement):
        decision, model, cost = event.decision, event.model, event.cost
    elif isinstance(event, Recall):
        recalled = event.decision
        decision, model = recalled.id, recalled.model
        tenant, key = recalled.tenant or None, recalled.key or None
    elif isinstance(event, WarmStart):
        # In the same transaction as the event, but not in its row: readers of rows would load
        # megabytes.
        key, history = event.digest, event.history
        event = msgspec.structs.replace(event, history=b"")
    kind = _kind(type(event))
    try:
        body = encode_event(event)
        # Else an event that was accepted could stop the next start.
        check_readable(event, body)
        at = column_number(event.at) or 0.0
        made = Prepared(
            kind,
            at,
            # Most columns are empty, and a call takes as long as the test.
            decision and column_text(decision),
            model and column_text(model),
            completion and column_text(completion),
            tenant and column_text(tenant),
            key and column_text(key),
            column_number(cost),
            body,
            kind not in _NOT_ACKNOWLEDGED,
            history,
        )
    except (ValueError, TypeError, OverflowError, RecursionError, NotImplementedError) as error:
        fix = "give values that can be stored"
        raise InvalidInput(f"event {kind!r}", str(error)[:_MAX_REASON], fix) from error
    if not math.isfinite(at):
        raise InvalidInput(f"{kind}.at", at, "give a finite number of seconds")
    size = max(len(body), len(history or b""))
    if size > MAX_EVENT_BYTES:
        raise InvalidInput(f"event {kind!r}", f"{size} bytes", f"give at most {MAX_EVENT_BYTES}")
    return made


class EventWriter:
    """Sink of a group commit: the only connection that writes the log.

    Parameters
    ----------
    engine
        Engine of the store.
    lock
        Keeps other writers away; the writer's lock of the store by default.

    Raises
    ------
    StoreUnavailable
        If another process holds the writer's lock of a SQLite store.
    """

    def __init__(self, engine: sa.Engine, lock: Lock | None = None) -> None:
        self._engine = engine
        self._lock: Lock = WriterLock(engine) if lock is None else lock
        self._connection: sa.Connection | None = None
        self._witness: Witness | None = None
        self._end = Mark(0, genesis(None))
        # Whether the last commit is in doubt: it raised an error but may have been executed.
        self._in_doubt = False
        # The statement is compiled once and executed with tuples, which halves the time per row.
        make: Any = type(engine.dialect)
        dialect = make(paramstyle="qmark" if engine.dialect.name == "sqlite" else "format")
        names = [column.name for column in _COLUMNS]
        self._insertion = str(events.insert().compile(dialect=dialect, column_keys=names))
        new: dict[str, Any] = {
            name: sa.bindparam(f"new_{name}") for name in ("position", "link", "checksum")
        }
        end = marks_table.update().where(marks_table.c.name == sa.text(f"'{marks.END}'"))
        self._end_update = str(end.values(new).compile(dialect=dialect))
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

    def begin(self, end: Mark, witness: Witness | None) -> None:
        """Write from this end of the log on, and tell the witness about every commit."""
        self._end, self._witness = end, witness

    def restart(self, end: Mark) -> None:
        """Write from another end of the log on, before the first event of a new log."""
        self._end = end
        if self._witness is not None:
            self._witness.note(end, synced=True)

    def encode(self, position: int, items: Sequence[Prepared | Prompt]) -> _Batch:
        """Convert items into rows; see ``Sink``."""
        rows: list[tuple[Any, ...]] = []
        latest = {}
        artefacts: dict[str, bytes] = {}
        sync = False
        link = self._end.link
        for item in items:
            if isinstance(item, Prompt):
                latest[item.decision] = item.body
                continue
            if item.artefact is not None and item.key is not None:
                artefacts[item.key] = item.artefact
            columns = (position + len(rows), *item[:8], pack_body(item.body))
            checksum = event_checksum(columns)
            link = next_link(link, checksum)
            rows.append((*columns, checksum, link))
            sync = sync or item.sync
        texts = [prompt_row(name, body) for name, body in latest.items()]
        sources = [s for item in items if (s := getattr(item, "source", None)) is not None]
        end = Mark(position + len(rows), link)
        return _Batch(rows, texts, artefacts, sync, end, sources)

    def write(self, batch: _Batch) -> None:
        """Commit rows; see ``Sink``.

        Raises
        ------
        LogConflict
            If the log contains other events at these positions.
        Refused
            If the database refuses one of the rows, whenever it is tried.
        StoreUnavailable
            If the database raises another error.
        """
        try:
            connection = self._connected()
            self._set_sync(connection, batch.sync)
            with connection.begin():
                if not (self._in_doubt and self._is_there(connection, batch.events)):
                    self._insert(connection, batch)
        except (SQLAlchemyError, StoreUnavailable) as error:
            if one_item_causes(error):
                self._check_conflict(batch)
                raise Refused(database_message(error)) from error
            self._in_doubt = True
            self._disconnect()
            raise write_error(self._engine, error) from error
        except (ValueError, TypeError, OverflowError) as error:
            # The driver cannot convert a value.
            raise Refused(str(error)) from error
        self._in_doubt = False
        self._end = batch.end
        if self._witness is not None:
            self._witness.note(batch.end, synced=batch.sync)

    def replace(self, item: Prepared | Prompt, why: str) -> Prepared | None:
        """Return a tombstone for a refused event; None for a prompt, which is dropped.

        Raises
        ------
        FloorlineError
            If the item is a tombstone itself: the database refuses everything.
        """
        if isinstance(item, Prompt):
            return None
        return tombstone_for(item, why)

    def close(self) -> None:
        """Close the connection and the witness, and release the writer's lock."""
        self._disconnect()
        if self._witness is not None:
            self._witness.close()
            self._witness = None
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
            row = marks.row(marks.END, batch.end)
            connection.exec_driver_sql(
                self._end_update, (row["position"], row["link"], row["checksum"])
            )
        if batch.prompts:
            names = [{"name": row["decision"]} for row in batch.prompts]
            connection.execute(
                prompts.delete().where(prompts.c.decision == sa.bindparam("name")), names
            )
            connection.execute(prompts.insert(), batch.prompts)
        for digest, body in batch.artefacts.items():
            put_document(connection, ARTEFACT, digest, body)
        if batch.sources:
            self._settle(connection, batch.sources)

    def _settle(self, connection: sa.Connection, sources: Sequence[Any]) -> None:
        """Take what is in the log now from where it waited, in the same transaction."""
        raise NotImplementedError

    def _is_there(self, connection: sa.Connection, rows: list[tuple[Any, ...]]) -> bool:
        """Return whether a batch whose commit is in doubt was committed.

        Raises
        ------
        LogConflict
            If the log contains other events at these positions.
        """
        if not rows:
            return False
        stored = connection.execute(
            sa.select(events.c.position, events.c.link)
            .where(events.c.position >= rows[0][0])
            .order_by(events.c.position)
        ).all()
        if not stored:
            return False
        if [tuple(row) for row in stored] != [(row[0], row[-1]) for row in rows]:
            raise self._conflict()
        return True

    def _check_conflict(self, batch: _Batch) -> None:
        """Raise LogConflict if the database refused the rows because others are in their place."""
        if not batch.events:
            return
        query = sa.select(sa.func.max(events.c.position))
        with store_errors(self._engine), self._engine.connect() as connection:
            last = connection.scalar(query)
        if last is not None and last >= batch.events[0][0]:
            raise self._conflict()

    def _conflict(self) -> LogConflict:
        return LogConflict(
            f"another process wrote to the log in {url_without_password(self._engine.url)}: "
            "stop one of the two processes and restart the other"
        )


_TOMBSTONE = str(Tombstone.__struct_config__.tag)


def tombstone_for(item: Prepared, why: str) -> Prepared:
    """Return a tombstone in place of an event that the database refuses.

    Raises
    ------
    FloorlineError
        If the item is a tombstone itself: the database refuses everything.
    """
    if item.kind == _TOMBSTONE:
        raise FloorlineError(f"the database refuses every event: {why}")
    event = decode_event(item.body)
    made = event.decision if isinstance(event, Recall) else event
    tombstone = Tombstone(
        lost=item.kind,
        reason=why.encode("ascii", "replace").decode()[:_MAX_REASON],
        decision=made.id if isinstance(made, Decision) else "",
        at=item.at,
    )
    return prepare(tombstone)._replace(sync=item.sync)


def put_document(connection: sa.Connection, kind: str, name: str, body: bytes) -> None:
    """Write a document in the caller's transaction; it replaces an older one of the same name."""
    row = {"kind": kind, "name": name, "body": body}
    connection.execute(documents.delete().filter_by(kind=kind, name=name))
    connection.execute(documents.insert(), {**row, "checksum": row_checksum(documents, row)})
    marks.seal(connection, "documents")


def prompt_row(decision: str, body: bytes) -> dict[str, Any]:
    """Return the row of a decision's prompt."""
    row = {"decision": column_text(decision), "at": time.time(), "body": body}
    return {**row, "checksum": row_checksum(prompts, row)}


def one_item_causes(error: Exception) -> bool:
    """Return whether the database will refuse the same rows again, because of one of them."""
    if isinstance(error, DataError | IntegrityError):
        return True
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.InterfaceError | sqlite3.ProgrammingError):
        # The driver cannot bind a value.
        return True
    return str(getattr(cause, "sqlstate", None) or "")[:2] in _ITEM_SQLSTATES
