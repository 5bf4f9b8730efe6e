"""Moves SQLite's write-ahead log into the database beside the commits instead of within them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

_EVERY = 0.5


class Checkpointer:
    """A thread that checkpoints now and then, if anything was committed since.

    By default SQLite does so within every thousandth page's commit, and syncs the disk there: all
    who wait for that commit wait for the disk.

    Parameters
    ----------
    engine
        Of a store in SQLite.
    committed
        Tells how much is committed.
    """

    def __init__(self, engine: sa.Engine, committed: Callable[[], int]) -> None:
        self._engine = engine
        self._committed = committed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="floorline-checkpoint", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; SQLite checkpoints by itself when the last connection closes."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        done = self._committed()
        while not self._stop.wait(_EVERY):
            now = self._committed()
            if now != done:
                done = now
                self._checkpoint()

    def _checkpoint(self) -> None:
        try:
            with self._engine.connect() as connection:
                # PASSIVE waits for nobody and nobody waits for it.
                driver = connection.connection.driver_connection
                assert driver is not None
                driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except (SQLAlchemyError, sqlite3.Error):
            # A disk that is full or gone: commits say so, and this is tried again.
            return
