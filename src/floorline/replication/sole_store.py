"""The store of a server that is alone, also on a log that several replicas wrote before."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from floorline.errors import StoreUnavailable
from floorline.events import Event
from floorline.replication.lease import Lease
from floorline.replication.tables import inbox, lease
from floorline.stores.engine import store_errors, url_without_password
from floorline.stores.recovery import until_stopped
from floorline.stores.sql import SqlStore
from floorline.stores.writing import EventWriter

_LEASE_SECONDS = 10.0
"""Time after which a learner may take a log whose single server was killed."""


@contextlib.contextmanager
def writing_alone(engine: sa.Engine, holder: str, beside: str = "") -> Iterator[None]:
    """Let an engine write the log in this block, also of a store that replicas share.

    It holds the learner's lease then, so that no learner writes meanwhile. Where no replicas
    shared the store, and in SQLite, it does nothing.

    Parameters
    ----------
    engine
        Engine of the store.
    holder
        Name of this process, for operators.
    beside
        What can be done while a learner runs, as a clause that ends in ", or ".

    Raises
    ------
    StoreUnavailable
        If a learner writes the log, or the database raises an error.
    """
    with store_errors(engine):
        shared = sa.inspect(engine).has_table(lease.name)
    if not shared or engine.dialect.name == "sqlite":
        yield
        return
    mine = _taken(engine, holder, f"{beside}stop every 'floorline learn' first")
    try:
        with mine.renewing():
            yield
    finally:
        mine.release()


def _taken(engine: sa.Engine, holder: str, fix: str) -> Lease:
    """Take the learner's lease for an engine; raise StoreUnavailable if a learner holds it."""
    mine = Lease(engine, holder, seconds=_LEASE_SECONDS)
    if not mine.take():
        store = url_without_password(engine.url)
        raise StoreUnavailable(f"a learner writes to the store {store}: {fix}")
    mine.fence(engine)
    # Connections that were made before have no epoch.
    engine.dispose()
    return mine


class SoleStore(SqlStore):
    """Store with one writer, which holds the learner's lease if replicas shared the log before.

    Parameters
    ----------
    url, kwargs
        As for ``SqlStore``.
    stop
        Set to end a reading of the log, which then raises RecoveryStopped.

    Raises
    ------
    StoreUnavailable
        If a learner writes the log, or events of replicas wait for one.
    """

    def __init__(self, url: str, *, stop: threading.Event | None = None, **kwargs: Any) -> None:
        self._stop = stop or threading.Event()
        self._lease: Lease | None = None
        self._renewing = contextlib.ExitStack()
        try:
            super().__init__(url, **kwargs)
        except BaseException:
            if self._lease is not None:
                with contextlib.suppress(StoreUnavailable):
                    self._lease.release()
            self.engine.dispose()
            raise
        if self._lease is not None:
            self._renewing.enter_context(self._lease.renewing())

    def _make_writer(self) -> EventWriter:
        with store_errors(self.engine):
            shared = sa.inspect(self.engine).has_table(lease.name)
        if shared:
            self._take_over()
        return super()._make_writer()

    def _take_over(self) -> None:
        """Hold the lease, so that the database takes this server's writes and no learner's."""
        store = url_without_password(self.engine.url)
        with store_errors(self.engine), self.engine.connect() as connection:
            waiting = connection.scalar(sa.select(sa.func.count()).select_from(inbox))
        if waiting:
            raise StoreUnavailable(
                f"{waiting:,} events of replicas wait in the store {store}: run 'floorline learn' "
                "until they are in the log, or set replicas.enabled: true"
            )
        if self.engine.dialect.name == "sqlite":
            # The lock of its file keeps learners away.
            return
        self._lease = _taken(
            self.engine,
            "floorline serve",
            "set replicas.enabled: true to serve beside it, or stop every 'floorline learn' first",
        )

    def read(self, start: int = 0) -> Iterator[Event]:
        """Yield the events from a position on, until the process is asked to end."""
        return until_stopped(super().read(start), self._stop)

    def close(self) -> None:
        """Commit all events, and let learners take the log; errors as for ``SqlStore``."""
        self._renewing.close()
        try:
            if self._lease is not None:
                self.flush()
                self._lease.release()
        finally:
            super().close()
