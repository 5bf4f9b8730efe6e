"""The lease of the learner: one holder at a time, and an epoch that fences off the earlier ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from floorline.errors import FloorlineError, StoreUnavailable, check_number
from floorline.replication.tables import EPOCH, LEARNER, OLD_EPOCH, insert, lease, now
from floorline.stores.engine import store_errors

_LEAST_IDLE_SECONDS = 1.0
"""Shortest time after which PostgreSQL ends a connection of the learner that does nothing within a
transaction: a busy machine pauses a process for some tenths of a second."""
_RELEASED_SECONDS = 1.0
"""How long ago a lease ended that is released: a clock may not have moved when it is taken next."""
_PAUSE_SECONDS = 10.0
"""Longest time without a renewal after which learners still count as at work. It is shorter than
the time without a sign of life after which a replica is taken for gone: a replica that could not
reach the database for so long has time left to say that it lives."""
_RENEW_SECONDS = 5.0
"""Longest pause between two renewals, well within that."""


class LeaseLost(FloorlineError):
    """Another process holds the lease, so this one must stop to write the log."""


class Lease:
    """The learner's lease, as one process sees it.

    The database's clock decides when a lease ends, so steps of the clocks of other machines do
    nothing. A holder whose lease ended goes on until another one takes it: then its epoch is old,
    and the database refuses its writes.

    Parameters
    ----------
    engine
        Engine of the store.
    holder
        Name of this process, for operators.
    seconds
        Time for which the lease holds without being renewed: the longest time without a learner
        after one was killed.

    Attributes
    ----------
    epoch : int
        Number of the lease that this process took last; 0 before the first.
    renew_seconds : float
        Pause between two renewals.
    """

    def __init__(self, engine: sa.Engine, holder: str, *, seconds: float = 5.0) -> None:
        self._engine = engine
        self.holder = holder
        self.seconds = check_number("lease.seconds", seconds, low=0.05, fix="give 0.05 or more")
        self.renew_seconds = min(self.seconds / 4, _RENEW_SECONDS)
        self.epoch = 0
        self._renewal = threading.Lock()
        self._ended = threading.Event()

    def take(self) -> bool:
        """Take the lease if no one holds it; return whether this process holds it now.

        Raises
        ------
        StoreUnavailable
            If the database raises an error.
        """
        present = now(self._engine)
        until = present + self.seconds
        first = insert(self._engine, lease).values(
            name=LEARNER, epoch=1, holder=self.holder, expires=until, since=present
        )
        again = first.on_conflict_do_update(
            index_elements=[lease.c.name],
            set_={
                "epoch": lease.c.epoch + 1,
                "holder": self.holder,
                "expires": until,
                "since": self._since(present),
            },
            where=lease.c.expires < present,
        ).returning(lease.c.epoch)
        with store_errors(self._engine), self._engine.begin() as connection:
            epoch = connection.scalar(again)
        if epoch is None:
            return False
        self.epoch = epoch
        return True

    def renew(self) -> None:
        """Hold the lease for its whole time again.

        Raises
        ------
        LeaseLost
            If another process took it.
        StoreUnavailable
            If the database raises an error.
        """
        present = now(self._engine)
        if not self._update(expires=present + self.seconds, since=self._since(present)):
            raise LeaseLost(f"the lease of epoch {self.epoch} went to another learner")

    def at_work_seconds(self) -> float:
        """Return for how long learners have been at work without a long pause; 0 without a lease.

        While they are, the database can be reached, so a replica that lives can say so. It counts
        on when the lease goes from one learner to the next.

        Raises
        ------
        StoreUnavailable
            If the database raises an error.
        """
        present = now(self._engine)
        held = sa.select(present - lease.c.since).where(
            lease.c.name == LEARNER, lease.c.epoch == self.epoch, lease.c.expires >= present
        )
        with store_errors(self._engine), self._engine.connect() as connection:
            return float(connection.scalar(held) or 0.0)

    def _since(self, present: sa.ColumnElement[float]) -> sa.ColumnElement[float]:
        """Since when learners are at work, if this one renews the lease now."""
        goes_on = present - lease.c.expires < _PAUSE_SECONDS - self.seconds
        return sa.case((goes_on, sa.func.coalesce(lease.c.since, present)), else_=present)

    @contextmanager
    def renewing(self) -> Iterator[None]:
        """Renew the lease in a thread while the block runs, however long a step in it takes.

        A learner that starts folds the log for longer than the lease holds. The thread stops with
        the process, and at a lease that is lost; the database refuses the block's writes then.
        """
        ended = self._ended = threading.Event()

        def renew() -> None:
            while not ended.wait(self.renew_seconds):
                with self._renewal:
                    if ended.is_set():
                        return
                    try:
                        self.renew()
                    except LeaseLost:
                        return
                    except StoreUnavailable:
                        continue

        threading.Thread(target=renew, name="floorline-lease", daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    def release(self) -> None:
        """End the lease, so that another process can take it at once; without effect if lost."""
        self._ended.set()
        # A renewal that is being made must not come after the end. If the database does not answer
        # it, the release is not answered, too.
        with self._renewal:
            self._update(expires=now(self._engine) - _RELEASED_SECONDS)

    def fence(self, engine: sa.Engine) -> None:
        """Let PostgreSQL compare this epoch in each write of an engine's new connections.

        It ends such a connection that waits within a transaction for longer than the lease holds,
        because another process could not take the lease until then.
        """
        if engine.dialect.name != "postgresql":
            return
        # A holder that is stopped or cut off within a transaction holds the lease's row.
        limit = round(1000 * max(self.seconds, _LEAST_IDLE_SECONDS))
        statement = (
            f"SELECT set_config('{EPOCH}', '{self.epoch}', false), "
            f"set_config('idle_in_transaction_session_timeout', '{limit}', false)"
        )

        @sa.event.listens_for(engine, "connect")
        def set_up(connection: Any, _: Any) -> None:
            connection.execute(statement)
            connection.commit()

    def _update(self, **values: sa.ColumnElement[float]) -> bool:
        mine = lease.update().where(lease.c.name == LEARNER, lease.c.epoch == self.epoch)
        with store_errors(self._engine), self._engine.begin() as connection:
            return bool(connection.execute(mine.values(**values)).rowcount)


def is_fenced_off(error: BaseException | None) -> bool:
    """Return whether an error of the database says that the writer's epoch is old."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == OLD_EPOCH
