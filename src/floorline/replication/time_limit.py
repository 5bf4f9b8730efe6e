"""Bounds the time that a process waits for PostgreSQL, also if no packet comes back any more."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from typing import Any

import sqlalchemy as sa

_CONNECT_SECONDS = 2
"""Time to connect in whole seconds, of which PostgreSQL's library takes 2 at least."""


def limit_time(engine: sa.Engine, seconds: float) -> None:
    """Let an engine's transactions fail that take longer; without effect for SQLite.

    A timeout of the server does not help if the network between the two is gone, and the system
    notices that after minutes only. After the error the connection is closed, and it is not known
    whether the transaction was committed.

    Parameters
    ----------
    engine
        Engine whose later connections have the limit.
    seconds
        Time within which the server must answer everything from the beginning of a transaction to
        its end.
    """
    if engine.dialect.name != "postgresql":
        return
    import psycopg

    class Limited(psycopg.Connection[Any]):
        deadline = math.inf

        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            deadline = min(self.deadline, time.monotonic() + seconds)
            return super().wait(_limited(self, gen, deadline, seconds), *args, **kwargs)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.deadline = time.monotonic() + seconds

    @sa.event.listens_for(engine, "checkin")
    def end(driver: Any, _record: Any) -> None:
        if driver is not None:
            driver.deadline = math.inf

    @sa.event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, given: Any, named: dict[str, Any]) -> Any:
        return Limited.connect(*given, **{"connect_timeout": _CONNECT_SECONDS, **named})


def _limited(
    connection: Any, work: Any, deadline: float, seconds: float
) -> Generator[Any, Any, Any]:
    """Do what a driver's generator does, until the time is over."""
    import psycopg

    try:
        waits_for = next(work)
        while True:
            # The driver resumes this generator several times a second, with or without an answer.
            ready = yield waits_for
            if not ready and time.monotonic() >= deadline:
                connection.pgconn.finish()
                raise psycopg.OperationalError(f"no answer within {seconds:g} s")
            waits_for = work.send(ready)
    except StopIteration as end:
        return end.value
