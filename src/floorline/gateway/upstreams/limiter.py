"""At most so many calls of a model at a time, and a short queue for the rest."""

from __future__ import annotations

import asyncio
from collections import deque


class Saturated(Exception):
    """No place became free in time, or the queue is full."""


class Limiter:
    """Places for calls, handed out first come first served.

    Parameters
    ----------
    places, queue_length
        Calls at a time and calls that may wait.
    queue_wait
        Seconds a call waits at most.
    """

    def __init__(self, places: int, queue_length: int, queue_wait: float) -> None:
        self._taken = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self.resize(places, queue_length, queue_wait)

    def resize(self, places: int, queue_length: int, queue_wait: float) -> None:
        """Change the limits; calls that have a place keep it."""
        self._places = places
        self._queue_length = queue_length
        self._queue_wait = queue_wait
        self._hand_on()

    @property
    def taken(self) -> int:
        """Calls that have a place."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Calls that wait for one."""
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Whether the next call would be turned away at once."""
        return self._taken >= self._places and len(self._queue) >= self._queue_length

    def take(self) -> bool:
        """Take a place if one is free."""
        if self._taken >= self._places:
            return False
        self._taken += 1
        return True

    async def wait(self) -> None:
        """Wait for a place and take it.

        Raises
        ------
        Saturated
            If none is to be had.
        """
        if self.full:
            raise Saturated
        loop = asyncio.get_running_loop()
        place = loop.create_future()
        self._queue.append(place)
        timer = loop.call_later(self._queue_wait, self._turn_away, place)
        try:
            await place
        except asyncio.CancelledError:
            # The place may have been handed over in the very moment of the cancellation.
            if place.done() and not place.cancelled() and place.exception() is None:
                self.release()
            else:
                self._drop(place)
            raise
        finally:
            timer.cancel()

    def release(self) -> None:
        """Give a place back, or on to the call that waits for longest."""
        self._taken -= 1
        self._hand_on()

    def _hand_on(self) -> None:
        while self._queue and self._taken < self._places:
            place = self._queue.popleft()
            if not place.done():
                self._taken += 1
                place.set_result(None)

    def _turn_away(self, place: asyncio.Future[None]) -> None:
        if not place.done():
            self._drop(place)
            place.set_exception(Saturated())

    def _drop(self, place: asyncio.Future[None]) -> None:
        if place in self._queue:
            self._queue.remove(place)
