"""Wakes the learner when events are committed to the inbox."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

from floorline.errors import StoreUnavailable
from floorline.replication.tables import INBOX_CHANNEL
from floorline.stores.engine import store_errors, url_without_password

_SQLITE_POLL_SECONDS = 0.02
"""Pause between two looks into an inbox in SQLite, which cannot wake other processes."""


class InboxSignal:
    """Wakes the learner when a replica commits events; for SQLite it only waits.

    Used as a context manager, in one thread.

    Parameters
    ----------
    engine
        Engine of the store.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._connection: sa.Connection | None = None

    def __enter__(self) -> InboxSignal:
        if self._engine.dialect.name == "postgresql":
            with store_errors(self._engine):
                self._connection = self._engine.connect()
                self._connection = self._connection.execution_options(isolation_level="AUTOCOMMIT")
                self._connection.exec_driver_sql(f"LISTEN {INBOX_CHANNEL}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def wait(self, seconds: float) -> None:
        """Wait until events are committed, at most some seconds.

        Raises
        ------
        StoreUnavailable
            If the connection is lost.
        """
        if self._connection is None:
            time.sleep(min(seconds, _SQLITE_POLL_SECONDS))
            return
        driver: Any = self._connection.connection.driver_connection
        try:
            for _ in driver.notifies(timeout=seconds, stop_after=1):
                pass
        except Exception as error:
            store = url_without_password(self._engine.url)
            raise StoreUnavailable(f"the store {store} failed: {error}") from error
