"""Turns in which pages read the log, so that they leave threads to the requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from floorline.gateway.errors import ApiError

MOST_READS = 3
"""Most reads of the log at a time. They take up to some seconds each and share the threads with
feedback on old decisions, snapshots and the look for revoked keys: Python has five at least."""
MOST_WAITING = 60
"""Most reads of one key that wait or run: more than one for each page that may be live by
default."""
_RETRY_SECONDS = 5.0


class ReadingTurns:
    """Lets pages read the log: each key one at a time, all keys together a few.

    A key that asks for a hundred pages at once waits for itself, and no other viewer waits long.
    """

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(MOST_READS)
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait for the turn of a key, and hold it in this block.

        Parameters
        ----------
        key
            Id of the key of the viewer; "" without keys.

        Raises
        ------
        ApiError
            503 if too many reads of this key wait.
        """
        waiting = self._waiting.get(key, 0)
        if waiting >= MOST_WAITING:
            raise ApiError(
                503,
                f"{waiting} pages of this key are waiting for the log already: load this page "
                "again in some seconds",
                code="too_many_reads",
                retry_after=_RETRY_SECONDS,
            )
        self._waiting[key] = waiting + 1
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with lock, self._all:
                yield
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key], self._locks[key]
