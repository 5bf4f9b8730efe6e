"""Deletion of old events and prompts from a store."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from floorline.errors import StoreDamaged
from floorline.stores import marks
from floorline.stores.engine import store_errors, url_without_password
from floorline.stores.integrity import next_link, row_checksum
from floorline.stores.schema import ARTEFACT, documents, events, prompts, snapshots

_EVENTS_PER_TRANSACTION = 5000
"""Number of events deleted in one transaction, so that the writer can commit between two."""
_PAGES_PER_TRANSACTION = 2000
"""Number of free pages returned in one transaction, for the same reason."""


class Deleted(NamedTuple):
    """Result of a deletion.

    Parameters
    ----------
    events, prompts
        Numbers of deleted events and prompts.
    kept
        Position of the oldest event that is not deleted.
    """

    events: int
    prompts: int
    kept: int


def vacuum(engine: sa.Engine, before: float) -> Deleted:
    """Delete events and prompts that are older than a Unix time.

    The oldest events are deleted, up to the first one that is not older. Events that recovery needs
    stay: those after the last snapshot and those that it refers to. Another process may write the
    store meanwhile; the deletion consists of small transactions. Histories of warm starts are
    deleted with the last event that names them.

    Parameters
    ----------
    engine
        Engine of the store.
    before
        Unix time in seconds.

    Raises
    ------
    StoreDamaged
        If the events around the new beginning of the log do not prove each other.
    StoreUnavailable
        If the database raises an error.
    """
    with store_errors(engine):
        with engine.connect() as connection:
            start = connection.scalar(sa.select(sa.func.min(events.c.position))) or 0
            end = _end(connection, start, before)
        for position in range(start, end, _EVENTS_PER_TRANSACTION):
            stop = min(end, position + _EVENTS_PER_TRANSACTION)
            with engine.connect() as connection:
                link = _link_before(connection, stop)
            # Writes only, as for a snapshot: SQLite refuses at once to write after a read if
            # another connection wrote between the two.
            with engine.begin() as connection:
                connection.execute(events.delete().where(events.c.position < stop))
                # So the deletion is told apart from a loss, and the chain goes on from here.
                marks.put(connection, marks.START, marks.Mark(stop, link))
        with engine.begin() as connection:
            old_prompts = prompts.delete().where(prompts.c.at < before)
            deleted_prompts = connection.execute(old_prompts).rowcount
            # One statement, so that a history is not deleted while its event is being committed.
            used = sa.select(events.c.key).where(events.c.kind == "warm_start")
            connection.execute(
                documents.delete().where(
                    documents.c.kind == ARTEFACT, documents.c.name.not_in(used)
                )
            )
            marks.seal(connection, "documents")
        if engine.dialect.name == "sqlite":
            _return_free_pages(engine)
    return Deleted(max(0, end - start), deleted_prompts, max(start, end))


def _end(connection: sa.Connection, start: int, before: float) -> int:
    """Return the position of the first event that stays."""
    # Of all whole snapshots, because a start falls back to the one before a damaged one.
    rows = connection.execute(sa.select(*map(marks.raw, snapshots.columns))).all()
    names = [str(column.name) for column in snapshots.columns]
    found = [dict(zip(names, row, strict=True)) for row in rows]
    whole = [row["oldest"] for row in found if row_checksum(snapshots, row) == row["checksum"]]
    needed = min(whole, default=None)
    if needed is None:
        return start
    young = connection.scalar(
        sa.select(sa.func.min(events.c.position)).where(events.c.at >= before)
    )
    # The last event always stays, because its position is the length of the log.
    last = connection.scalar(sa.select(sa.func.max(events.c.position))) or 0
    return int(min(needed, last if young is None else young, last))


def _link_before(connection: sa.Connection, position: int) -> bytes:
    """Return the link before an event, once the event follows it."""
    query = sa.select(events.c.position, events.c.checksum, events.c.link).where(
        events.c.position.in_((position - 1, position))
    )
    rows = {row.position: row for row in connection.execute(query)}
    store = url_without_password(connection.engine.url)
    if position - 1 not in rows or position not in rows:
        raise StoreDamaged(
            store, f"the event at position {position:,} or the one before is missing"
        )
    link, after = rows[position - 1].link, rows[position]
    if next_link(link, after.checksum) != after.link:
        raise StoreDamaged(store, f"the event at position {position:,} does not follow the others")
    return bytes(link)


def _return_free_pages(engine: sa.Engine) -> None:
    """Shrink the SQLite file by its free pages, in small transactions."""
    with engine.connect() as connection:
        free = connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0
    for _ in range(0, free, _PAGES_PER_TRANSACTION):
        with engine.begin() as connection:
            # SQLite frees one page for each row of the result, which SQLAlchemy does not fetch.
            driver: Any = connection.connection.driver_connection
            driver.execute(f"PRAGMA incremental_vacuum({_PAGES_PER_TRANSACTION})").fetchall()
