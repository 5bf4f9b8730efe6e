"""One writer per store: a second one is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from floorline.errors import StoreUnavailable
from floorline.stores.engine import reported, shown


class WriterLock:
    """What the only writer of a store holds; the operating system lets go of it if it dies.

    For SQLite it is a lock on a file beside the database, for PostgreSQL one that the writing
    connection holds, so that nobody writes without it.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._store = shown(engine.url)
        self._file: sqlite3.Connection | None = None
        if engine.dialect.name == "sqlite":
            # SQLite itself knows how to lock a file on every system.
            self._file = sqlite3.connect(
                f"{engine.url.database}.lock",
                timeout=0.0,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._file.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                self._file.close()
                raise self._refusal() from error

    def hold(self, connection: sa.Connection) -> None:
        """Let only this connection write.

        Raises
        ------
        StoreUnavailable
            If another one does.
        """
        if self._file is not None:
            return
        key = sa.func.hashtextextended(
            sa.literal("floorline:").concat(sa.func.current_schema()), sa.literal(0)
        )
        with connection.begin():
            if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key))):
                raise self._refusal()

    def release(self) -> None:
        """Let another writer take over; a connection to PostgreSQL does so by closing."""
        if self._file is not None:
            self._file.close()

    def _refusal(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"another process writes to the store {self._store}: stop it, or give this one "
            "another store"
        )


@contextmanager
def writer_lock(engine: sa.Engine) -> Iterator[None]:
    """Be the only writer for a while; errors as for ``WriterLock``."""
    lock = WriterLock(engine)
    try:
        with reported(engine), engine.connect() as connection:
            lock.hold(connection)
            yield
            # PostgreSQL's lock ends with the connection, so that must not return to the pool.
            connection.invalidate()
    finally:
        lock.release()
