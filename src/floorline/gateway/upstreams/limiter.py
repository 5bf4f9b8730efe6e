"""Limit the calls of a model at a time, with a bounded queue for further calls."""

from __future__ import annotations

import asyncio
from collections import deque


class Saturated(Exception):
    """The queue is full, or no running call ended in time."""


class Limiter:
    """Counts the running calls of a model; further calls wait in order of arrival.

    Parameters
    ----------
    max_concurrency
        Number of calls that may run at a time.
    queue_length
        Number of calls that may wait.
    queue_wait
        Seconds that a call waits at most.
    """

    def __init__(self, max_concurrency: int, queue_length: int, queue_wait: float) -> None:
        self._running = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self.resize(max_concurrency, queue_length, queue_wait)

    def resize(self, max_concurrency: int, queue_length: int, queue_wait: float) -> None:
        """Change the limits; calls that run go on."""
        self._max_concurrency = max_concurrency
        self._queue_length = queue_length
        self._queue_wait = queue_wait
        self._admit_waiting()

    @property
    def running(self) -> int:
        """Number of calls that run."""
        return self._running

    @property
    def waiting(self) -> int:
        """Number of calls that wait."""
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Whether the next call would be refused at once."""
        return self._running >= self._max_concurrency and len(self._queue) >= self._queue_length

    async def acquire(self) -> None:
        """Count one more running call, after a wait in the queue if the limit is reached.

        Raises
        ------
        Saturated
            If the queue is full, or no running call ended in time.
        """
        if self._running < self._max_concurrency:
            self._running += 1
            return
        if self.full:
            raise Saturated
        loop = asyncio.get_running_loop()
        admitted = loop.create_future()
        self._queue.append(admitted)
        timer = loop.call_later(self._queue_wait, self._refuse, admitted)
        try:
            await admitted
        except asyncio.CancelledError:
            # The call may have been admitted in the same turn in which it was cancelled.
            if admitted.done() and not admitted.cancelled() and admitted.exception() is None:
                self.release()
            else:
                self._leave_queue(admitted)
            raise
        finally:
            timer.cancel()

    def release(self) -> None:
        """Count one running call less, and admit the call that has waited longest."""
        self._running -= 1
        self._admit_waiting()

    def _admit_waiting(self) -> None:
        while self._queue and self._running < self._max_concurrency:
            admitted = self._queue.popleft()
            if not admitted.done():
                self._running += 1
                admitted.set_result(None)

    def _refuse(self, admitted: asyncio.Future[None]) -> None:
        if not admitted.done():
            self._leave_queue(admitted)
            admitted.set_exception(Saturated())

    def _leave_queue(self, admitted: asyncio.Future[None]) -> None:
        if admitted in self._queue:
            self._queue.remove(admitted)
