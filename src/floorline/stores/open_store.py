"""Opening of durable stores; the database library is imported only then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from floorline._extras import needs
from floorline.errors import StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from floorline.stores.sql import SqlStore


def open_store(url: str, *, max_pending: int = 20_000, patience: float = 5.0) -> SqlStore:
    """Open a store as its only writer.

    Parameters
    ----------
    url, max_pending, patience
        As in ``SqlStore``.

    Raises
    ------
    MissingExtra
        If the extra of the database library is not installed.
    InvalidInput, StoreUnavailable
        As for ``SqlStore``.
    """
    with needs("gateway", "a durable store"):
        from floorline.stores.sql import SqlStore
    return SqlStore(url, max_pending=max_pending, patience=patience)


@contextmanager
def open_beside(url: str, *, ready: bool = False, create: bool = False) -> Iterator[Engine]:
    """Open a store for changes beside its log; another process may be writing to it.

    Parameters
    ----------
    url
        URL of the store.
    ready
        Whether to check the version of its tables first, and to upgrade those of SQLite.
    create
        Whether to create the file of a SQLite store if it does not exist.

    Raises
    ------
    MissingExtra
        If the extra of the database library is not installed.
    StoreUnavailable
        If the file does not exist and is not to be created, the database raises an error, or its
        tables are of another version.
    """
    with needs("gateway", "a durable store"):
        from floorline.stores.engine import open_engine
        from floorline.stores.lock import writer_lock
        from floorline.stores.upgrade import check, is_current
    engine = open_engine(url, create=create)
    try:
        if ready and not is_current(engine):
            with writer_lock(engine):
                check(engine)
        yield engine
    finally:
        engine.dispose()


@contextmanager
def open_read_only(url: str, *, ready: bool = True) -> Iterator[Engine]:
    """Open a store to read it, without any change to it; another process may be writing to it.

    No file, table or lock is created.

    Parameters
    ----------
    url
        URL of the store.
    ready
        Whether its tables must have the version of this Floorline.

    Raises
    ------
    MissingExtra
        If the extra of the database library is not installed.
    StoreUnavailable
        If the file does not exist, the database raises an error, its tables are of another version,
        or a server opened the store meanwhile in a way that disturbs the reading.
    """
    with needs("gateway", "a durable store"):
        from floorline.stores.engine import is_in_use, open_engine, url_without_password
        from floorline.stores.upgrade import require_current
    engine = open_engine(url, read_only=True)
    in_use = is_in_use(engine)
    try:
        if ready:
            require_current(engine)
        yield engine
    except StoreUnavailable as error:
        if is_in_use(engine) == in_use:
            raise
        raise StoreUnavailable(
            f"a server opened or closed the store {url_without_password(engine.url)} while it was "
            "read: run the command again"
        ) from error
    finally:
        engine.dispose()


@contextmanager
def open_for_repair(url: str) -> Iterator[Engine]:
    """Open a store whose tables may be damaged, as its only writer.

    A SQLite file is opened to read only: it is repaired by a copy that takes its place.

    Raises
    ------
    MissingExtra
        If the extra of the database library is not installed.
    StoreUnavailable
        If the file does not exist, another process writes to the store, or the database raises an
        error.
    """
    with needs("gateway", "a durable store"):
        from floorline.stores.engine import open_engine
        from floorline.stores.lock import WriterLock, writer_lock
    engine = open_engine(url, read_only=url.startswith("sqlite"), create=False)
    try:
        if engine.dialect.name != "sqlite":
            with writer_lock(engine):
                yield engine
            return
        lock = WriterLock(engine)
        try:
            yield engine
        finally:
            lock.release()
    finally:
        engine.dispose()
