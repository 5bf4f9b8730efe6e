"""The thread that moves SQLite's write-ahead log into the database, so that commits need not."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

_INTERVAL_SECONDS = 0.5
"""Time between two checkpoints; it bounds the size of the write-ahead log."""


class Checkpointer:
    """Thread that checkpoints the write-ahead log if there were commits since the last time.

    By default SQLite checkpoints in the commit of every thousandth page. That commit, and everyone
    who waits for it, then waits for a sync of the disk.

    Parameters
    ----------
    engine
        Engine of a SQLite store.
    committed
        Returns the number of committed events.
    """

    def __init__(self, engine: sa.Engine, committed: Callable[[], int]) -> None:
        self._engine = engine
        self._committed = committed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="floorline-checkpoint", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread. SQLite checkpoints when the last connection is closed."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        done = self._committed()
        while not self._stop.wait(_INTERVAL_SECONDS):
            now = self._committed()
            if now != done:
                done = now
                self._checkpoint()

    def _checkpoint(self) -> None:
        try:
            with self._engine.connect() as connection:
                # PASSIVE does not wait for readers and writers and does not block them.
                driver = connection.connection.driver_connection
                assert driver is not None
                driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except (SQLAlchemyError, sqlite3.Error):
            # If the disk is full or missing, the commits report it. The next checkpoint retries.
            return
