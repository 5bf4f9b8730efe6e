"""Deletes what a store need not keep any longer."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from floorline.stores.engine import reported
from floorline.stores.schema import events, prompts, snapshots

_AT_ONCE = 5000
_PAGES_AT_ONCE = 2000


class Deleted(NamedTuple):
    """How much was deleted; ``kept`` is the position of the oldest event still there."""

    events: int
    prompts: int
    kept: int


def vacuum(engine: sa.Engine, before: float) -> Deleted:
    """Delete events and prompts that are older than a Unix time.

    Of the log the oldest part goes, up to the first event that is not older, but nothing that
    recovery needs: neither what follows the last snapshot nor what that refers to. Works beside
    the process that writes the store, in pieces between which that can commit.

    Raises
    ------
    StoreUnavailable
        If the database does not work.
    """
    with reported(engine):
        with engine.connect() as connection:
            start = connection.scalar(sa.select(sa.func.min(events.c.position))) or 0
            end = _end(connection, start, before)
        for position in range(start, end, _AT_ONCE):
            with engine.begin() as connection:
                stop = min(end, position + _AT_ONCE)
                connection.execute(events.delete().where(events.c.position < stop))
        with engine.begin() as connection:
            gone = connection.execute(prompts.delete().where(prompts.c.at < before)).rowcount
        if engine.dialect.name == "sqlite":
            _give_back(engine)
    return Deleted(max(0, end - start), gone, max(start, end))


def _end(connection: sa.Connection, start: int, before: float) -> int:
    """Position of the first event that stays."""
    needed = connection.scalar(
        sa.select(snapshots.c.oldest).order_by(snapshots.c.position.desc()).limit(1)
    )
    if needed is None:
        return start
    young = connection.scalar(
        sa.select(sa.func.min(events.c.position)).where(events.c.at >= before)
    )
    # The last event stays in any case: it says how long the log is.
    last = connection.scalar(sa.select(sa.func.max(events.c.position))) or 0
    return int(min(needed, last if young is None else young, last))


def _give_back(engine: sa.Engine) -> None:
    """Shrink SQLite's file by its free pages, a few at a time."""
    with engine.connect() as connection:
        free = connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0
    for _ in range(0, free, _PAGES_AT_ONCE):
        with engine.begin() as connection:
            # It goes on page by page as its result is read, of which SQLAlchemy sees nothing.
            driver: Any = connection.connection.driver_connection
            driver.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
