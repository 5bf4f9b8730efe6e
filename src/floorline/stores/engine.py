"""Connections to SQLite and PostgreSQL with durable commits, and translation of their errors."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DataError,
    OperationalError,
    SQLAlchemyError,
)

from floorline._extras import needs
from floorline._files import create_private
from floorline.errors import FloorlineError, InvalidInput, StoreDamaged, StoreUnavailable
from floorline.stores.time_limit import limit_time
from floorline.stores.urls import normal_url

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
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
"""Primary codes of SQLite's errors that mean that the file is damaged."""
_DAMAGED_TEXTS = ("could not decode to utf-8", "no such column", "no such table", "short read")
"""Parts of the messages of other errors that mean it, since the version of the tables fits."""

_PASSING_SQLSTATES = ("08", "40", "53", "55", "57", "58")
"""Classes of PostgreSQL's errors that may pass: connections, deadlocks, resources, locks, operators
and the system."""
_REFUSED = re.compile(
    "authentication failed|no password supplied|no pg_hba.conf entry|"
    'FATAL: +(role|database) ".*" does not exist|permission denied for database'
)
"""Parts of the messages with which PostgreSQL refuses a connection for good."""


def open_engine(
    url: str, *, read_only: bool = False, create: bool = True, seconds: float | None = None
) -> sa.Engine:
    """Return an engine for the URL of a store; it connects when it is first used.

    Parameters
    ----------
    url
        URL of the store.
    read_only
        Whether nothing may be written, and no file created.
    create
        Whether to create the file of a SQLite store if it does not exist.
    seconds
        Time within which PostgreSQL must execute a statement. By default a statement may take as
        long as it needs, while the server answers at all.

    Raises
    ------
    InvalidInput
        If the URL is not that of a SQLite file or of a PostgreSQL database.
    MissingExtra
        If the driver of PostgreSQL is not installed.
    StoreUnavailable
        If the file does not exist and is not to be created, or it has several names.
    """
    try:
        parsed = sa.make_url(normal_url(url))
    except (ArgumentError, ValueError):
        raise InvalidInput("store.url", url, _FORMS) from None
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        create = create and not read_only
        parsed = _with_real_path(parsed, create=create)
        return _sqlite(parsed, read_only=read_only, create=create)
    if kind != "postgresql":
        raise InvalidInput("store.url", url_without_password(parsed), _FORMS)
    with needs("postgres", "a store in PostgreSQL"):
        engine = sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
        limit_time(engine, seconds)
    if read_only:

        @sa.event.listens_for(engine, "connect")
        def set_up(connection: Any, _: Any) -> None:
            connection.read_only = True

    return engine


def _with_real_path(url: sa.URL, *, create: bool) -> sa.URL:
    """Return the URL of a SQLite file under its one path: absolute and without links.

    So the lock and the files beside the database are the same, whichever name it is opened by.
    """
    shown = url_without_password(url)
    name = url.database
    if not name or name == ":memory:" or name.startswith("file:"):
        raise InvalidInput("store.url", shown, "name a file: sqlite:///path/to/file.db")
    path = Path(os.path.realpath(name))
    if create and not path.parent.is_dir():
        raise InvalidInput("store.url", shown, f"create the folder {str(path.parent)!r} first")
    if path.is_dir():
        raise InvalidInput("store.url", shown, "name a file, not a folder")
    if path.exists() and path.stat().st_nlink > 1:
        raise StoreUnavailable(
            f"the file of the store {shown} has {path.stat().st_nlink} names (hard links), so two "
            "processes could write to it unseen: keep one name, or use symbolic links"
        )
    return url.set(database=str(path))


def _sqlite(url: sa.URL, *, read_only: bool, create: bool) -> sa.Engine:
    assert url.database is not None
    path = Path(url.database)
    if not create and not path.is_file():
        raise StoreUnavailable(
            f"the store {url_without_password(url)} cannot be opened: no such file: check the path"
        )
    if read_only:
        engine = _read_only_sqlite(url, path)
    else:
        _create_file(url, path)
        engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        # By default Python's driver begins transactions late and excludes changes of tables.
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout=1000")
        # Pages are checked when they are read, so that damage raises an error.
        connection.execute("PRAGMA cell_size_check=ON")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
            return
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


def _create_file(url: sa.URL, path: Path) -> None:
    witness = witness_path(path)
    if witness.exists() and not path.exists():
        raise StoreUnavailable(
            f"the file of the store {url_without_password(url)} is missing, but {witness.name} "
            "beside it says that it had events: restore the file from a backup, or delete "
            f"{witness} to begin a new log"
        )
    # Files that SQLite creates beside the database get its permissions.
    try:
        create_private(path)
    except OSError as error:
        raise StoreUnavailable(
            f"the store {url_without_password(url)} cannot be created: {error.strerror}: check the "
            "path and its permissions"
        ) from error


def _read_only_sqlite(url: sa.URL, path: Path) -> sa.Engine:
    # Without a write-ahead log no process has the store open. SQLite would then create one, and
    # could not remove it.
    mode = "mode=ro" if wal_of(path).exists() else "immutable=1"
    name = f"file:{quote(str(path))}?{mode}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(name, uri=True, check_same_thread=False)

    return sa.create_engine(url, creator=connect)


def is_in_use(engine: sa.Engine) -> bool:
    """Return whether a SQLite store has a write-ahead log, as while a process has it open."""
    return engine.dialect.name == "sqlite" and wal_of(Path(engine.url.database or "")).exists()


def wal_of(path: Path) -> Path:
    """Return the path of the write-ahead log of a SQLite file."""
    return path.with_name(f"{path.name}-wal")


def witness_path(database: str | Path) -> Path:
    """Return the path of the witness of a SQLite file."""
    return Path(f"{database}.witness")


def url_without_password(url: sa.URL) -> str:
    """Return the text of a URL without its query and with its password replaced by asterisks."""
    return url.set(query={}).render_as_string(hide_password=True)


def database_message(error: BaseException) -> str:
    """Return the database's own error message on one line."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def means_damage(error: BaseException) -> bool:
    """Return whether an error of the database means that the file of the store is damaged."""
    cause = getattr(error, "orig", None)
    if not isinstance(error, DatabaseError) or not isinstance(cause, sqlite3.Error):
        return False
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None and (code & 0xFF in _DAMAGED or code == sqlite3.SQLITE_IOERR_SHORT_READ):
        return True
    text = str(cause).lower()
    return any(part in text for part in _DAMAGED_TEXTS)


def may_pass(error: FloorlineError) -> bool:
    """Return whether an error of a store in PostgreSQL may pass without any change to the store.

    So are a server that cannot be reached, that starts or ends, or has no connection left. A wrong
    password, and a user or database that does not exist, are not.
    """
    cause = error.__cause__
    if isinstance(error, StoreDamaged) or not isinstance(cause, OperationalError):
        return False
    if isinstance(cause.orig, sqlite3.Error):
        return False
    state = getattr(cause.orig, "sqlstate", None)
    if state is not None:
        return str(state)[:2] in _PASSING_SQLSTATES
    # The driver does not tell the code of an error that comes before the connection is made.
    return not _REFUSED.search(str(cause.orig))


def write_error(engine: sa.Engine, error: BaseException) -> StoreUnavailable:
    """Return the error of a store that an error of its database keeps from being written."""
    store, message = url_without_password(engine.url), database_message(error)
    if means_damage(error):
        return StoreDamaged(store, message)
    return StoreUnavailable(f"the store {store} cannot be written: {message}")


@contextmanager
def store_errors(engine: sa.Engine) -> Iterator[None]:
    """Translate errors of the database in this block.

    Raises
    ------
    InvalidInput
        If the database cannot hold a value that was given.
    StoreDamaged
        If the database finds its file damaged.
    StoreUnavailable
        If the database raises another error.
    """
    try:
        yield
    except (SQLAlchemyError, UnicodeEncodeError) as error:
        store, message = url_without_password(engine.url), database_message(error)
        if isinstance(error, DataError | UnicodeEncodeError):
            fix = "give texts and numbers that the database can hold"
            raise InvalidInput("value for the store", message, fix) from error
        if means_damage(error):
            raise StoreDamaged(store, message) from error
        raise StoreUnavailable(
            f"the store {store} failed: {message}; check that it exists, is writable and is not "
            "full"
        ) from error
