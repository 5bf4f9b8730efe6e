"""Bounds the time that a process waits for PostgreSQL, also if no packet comes back any more."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from typing import Any

import sqlalchemy as sa

_CONNECT_SECONDS = 5
"""Time to connect in whole seconds, of which PostgreSQL's library takes 2 at least."""
_QUICK_CONNECT_SECONDS = 2
"""The same where a batch must be committed in a time that is as short."""
_ANSWER_SECONDS = 15.0
"""Time after which it is asked whether the server still answers at all."""
_NETWORK = {
    # Ends a connection that the network lost, of which the server and its machine may know nothing.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def limit_time(engine: sa.Engine, seconds: float | None = None) -> None:
    """Let an engine's transactions fail if PostgreSQL does not answer.

    A timeout of the server does not help if the server is stopped or the network between the two
    is gone, and the system notices that after minutes only. After the error the connection is
    closed, and it is not known whether the transaction was committed.

    Parameters
    ----------
    engine
        Engine of PostgreSQL, which has no connection yet.
    seconds
        Time within which the server must answer everything from the beginning of a transaction to
        its end. By default it may take as long as it needs, while the server accepts another
        connection every 15 s.
    """
    import psycopg

    quick = seconds is not None
    limit = seconds or _ANSWER_SECONDS

    class Limited(psycopg.Connection[Any]):
        deadline = math.inf
        answers: Callable[[], bool] | None = None

        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            deadline = min(self.deadline, time.monotonic() + limit)
            return super().wait(_limited(self, gen, deadline, limit), *args, **kwargs)

    @sa.event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, given: Any, named: dict[str, Any]) -> Any:
        times = {"connect_timeout": _QUICK_CONNECT_SECONDS if quick else _CONNECT_SECONDS}
        options = {**times, **_NETWORK, **named}

        def answers() -> bool:
            try:
                psycopg.connect(*given, **options).close()
            except psycopg.Error:
                return False
            return True

        made = Limited.connect(*given, **options)
        if not quick:
            made.answers = answers
        return made

    if not quick:
        return

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.deadline = time.monotonic() + limit

    @sa.event.listens_for(engine, "checkin")
    def end(driver: Any, _record: Any) -> None:
        if driver is not None:
            driver.deadline = math.inf


def _limited(
    connection: Any, work: Any, deadline: float, seconds: float
) -> Generator[Any, Any, Any]:
    """Do what a driver's generator does, until the time is over and the server does not answer."""
    import psycopg

    try:
        waits_for = next(work)
        while True:
            # The driver resumes this generator several times a second, with or without an answer.
            ready = yield waits_for
            if not ready and time.monotonic() >= deadline:
                if connection.answers is None or not connection.answers():
                    connection.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer within {seconds:g} s")
                deadline = time.monotonic() + seconds
            waits_for = work.send(ready)
    except StopIteration as end:
        return end.value
