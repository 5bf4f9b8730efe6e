"""The lock that allows only one writer per store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from floorline._files import create_private
from floorline.errors import StoreUnavailable
from floorline.stores.engine import store_errors, url_without_password


class Lock(Protocol):
    """Keeps other processes from writing a log."""

    def hold(self, connection: sa.Connection) -> None:
        """Allow a connection to write.

        Raises
        ------
        StoreUnavailable
            If another process writes.
        """
        ...

    def release(self) -> None:
        """Let other processes write, once the connection is closed."""
        ...


class FileLock:
    """Lock on a file of its own, which ends with the process.

    Parameters
    ----------
    path
        The file; created if it is missing, and left there.
    purpose
        What the lock is of, for messages.
    """

    def __init__(self, path: Path, purpose: str) -> None:
        self._path = path
        self._purpose = purpose
        self._file: sqlite3.Connection | None = None

    def take(self) -> bool:
        """Take the lock; return False if another process or another object holds it.

        Raises
        ------
        StoreUnavailable
            If the file cannot be created.
        """
        try:
            create_private(self._path)
        except OSError as error:
            raise StoreUnavailable(
                f"the lock {self._path} {self._purpose} cannot be created: {error.strerror}: check "
                "the permissions of its folder"
            ) from error
        # SQLite locks files correctly on every operating system.
        file = sqlite3.connect(
            self._path, timeout=0.0, isolation_level=None, check_same_thread=False
        )
        try:
            file.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Let others take the lock; without effect if it is not held."""
        if self._file is not None:
            self._file.close()
            self._file = None


class WriterLock:
    """Exclusive lock of the writer of a store; it is released when the process ends.

    For SQLite it is a lock on a file next to the database. For PostgreSQL it is an advisory lock
    of the writing connection, so that no write is possible without it.

    Parameters
    ----------
    engine
        Engine of the store.

    Raises
    ------
    StoreUnavailable
        If another process holds the lock of a SQLite store.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._store = url_without_password(engine.url)
        self._file: FileLock | None = None
        if engine.dialect.name == "sqlite":
            path = Path(f"{engine.url.database}.lock")
            self._file = FileLock(path, "of the store")
            if not self._file.take():
                raise self._refusal()

    def hold(self, connection: sa.Connection) -> None:
        """Take the lock for a connection; without effect for SQLite, whose lock is taken already.

        Raises
        ------
        StoreUnavailable
            If another connection holds the lock.
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
        """Release the lock of SQLite; that of PostgreSQL is released by closing its connection."""
        if self._file is not None:
            self._file.release()

    def _refusal(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"another process writes to the store {self._store}: stop it, or use another store "
            "for this process"
        )


@contextmanager
def writer_lock(engine: sa.Engine) -> Iterator[None]:
    """Hold the writer's lock in this block.

    Raises
    ------
    StoreUnavailable
        If another process holds the lock, or the database raises an error.
    """
    lock = WriterLock(engine)
    try:
        with store_errors(engine), engine.connect() as connection:
            lock.hold(connection)
            yield
            # The lock of PostgreSQL ends with its connection, which must not return to the pool.
            connection.invalidate()
    finally:
        lock.release()
