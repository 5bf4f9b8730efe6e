"""Connections to SQLite and PostgreSQL with durable commits, and translation of their errors."""

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
    # Sync the write-ahead log on every commit, so that commits survive a loss of power.
    "synchronous=FULL",
    "fullfsync=ON",
    # A thread checkpoints twice a second (``Checkpointer``). A commit checkpoints only if that is
    # too slow and the write-ahead log reaches 16,000 pages (64 MB at 4 KB per page).
    "wal_autocheckpoint=16000",
)


def open_engine(url: str) -> sa.Engine:
    """Return an engine for the URL of a store; it connects when it is first used.

    Raises
    ------
    InvalidInput
        If the URL is not that of a SQLite file or of a PostgreSQL database.
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
        raise InvalidInput("store.url", url_without_password(parsed), _FORMS)
    with needs("postgres", "a store in PostgreSQL"):
        return sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)


def _sqlite(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise InvalidInput(
            "store.url", url_without_password(url), "name a file: sqlite:///path/to/file.db"
        )
    folder = Path(url.database).parent
    if not folder.is_dir():
        raise InvalidInput(
            "store.url", url_without_password(url), f"create the folder {str(folder)!r} first"
        )
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        # By default Python's driver begins transactions late and excludes changes of tables.
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout=1000")
        if connection.execute("PRAGMA page_count").fetchone() == (0,):
            # With it, space of deleted events can be returned in small pieces. The setting writes
            # to the file, so it is made for a new file only: reading must work while the disk is
            # full or another process writes.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def url_without_password(url: sa.URL) -> str:
    """Return the text of a URL with its password replaced by asterisks."""
    return url.render_as_string(hide_password=True)


def database_message(error: Exception) -> str:
    """Return the database's own error message on one line."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


@contextmanager
def store_errors(engine: sa.Engine) -> Iterator[None]:
    """Translate errors of the database in this block.

    Raises
    ------
    StoreUnavailable
        If the database raises an error.
    """
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreUnavailable(
            f"the store {url_without_password(engine.url)} failed: {database_message(error)}; "
            "check that it exists, is writable and is not full"
        ) from error
