"""Connections to SQLite and PostgreSQL, set up so that what is committed stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from floorline._extras import needs
from floorline.errors import InvalidInput, StoreUnavailable

_FORMS = "give sqlite:///path/to/file.db or postgresql://user@host/database"

_PRAGMAS = (
    "journal_mode=WAL",
    # Sync the log on every commit: what was acknowledged survives the loss of power.
    "synchronous=FULL",
    "fullfsync=ON",
    # Commits leave that to a thread of its own, unless it cannot keep up.
    "wal_autocheckpoint=16000",
)


def open_engine(url: str) -> sa.Engine:
    """Make connections for a URL; nothing is opened yet.

    Raises
    ------
    InvalidInput
        If the URL is not one of a database that can be a store.
    MissingExtra
        If the driver of PostgreSQL is not installed.
    """
    try:
        parsed = sa.make_url(url)
    except ArgumentError:
        raise InvalidInput("store.url", url, _FORMS) from None
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        return _sqlite(parsed)
    if kind != "postgresql":
        raise InvalidInput("store.url", shown(parsed), _FORMS)
    with needs("postgres", "a store in PostgreSQL"):
        return sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)


def _sqlite(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise InvalidInput("store.url", shown(url), "name a file: sqlite:///path/to/file.db")
    folder = Path(url.database).parent
    if not folder.is_dir():
        raise InvalidInput("store.url", shown(url), f"create the folder {str(folder)!r} first")
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        # Python's driver would begin transactions late and leave changes of tables out of them.
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout=1000")
        if connection.execute("PRAGMA page_count").fetchone() == (0,):
            # Space of deleted events can then be given back piece by piece. Writes to the file, so
            # for a new one only: reading must work while the disk is full or somebody writes.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def shown(url: sa.URL) -> str:
    """URL for people, without its password."""
    return url.render_as_string(hide_password=True)


def reason(error: Exception) -> str:
    """What a database said, on one line."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


@contextmanager
def reported(engine: sa.Engine) -> Iterator[None]:
    """Turn errors of the database into StoreUnavailable."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreUnavailable(
            f"the store {shown(engine.url)} does not work: {reason(error)}; "
            "check that it is there, writeable and not full"
        ) from error
