"""Group commit: one thread makes durable what others append, as much at once as has piled up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from floorline.errors import InvalidInput, StoreUnavailable

_Item = TypeVar("_Item", contravariant=True)
_T = TypeVar("_T")

_MOST_AT_ONCE = 2000
_FIRST_RETRY, _LAST_RETRY = 0.01, 1.0
_LATER = 0.005
"""Seconds that what is not urgent waits for something that is."""


class Sink(Protocol[_Item]):
    """Where items end up."""

    def encode(self, position: int, items: Sequence[_Item]) -> Any:
        """Make a batch of items; ``position`` is that of the first one that has any."""
        ...

    def write(self, batch: Any) -> None:
        """Commit a batch, wholly or not at all; a batch that is there already is left alone.

        Raises
        ------
        StoreUnavailable
            If it cannot be done now, though perhaps later. Any other error is final.
        """
        ...


class GroupCommit(Generic[_T]):
    """Queue in front of a sink, with the thread that empties it.

    A batch that fails is tried again, ever less often, until it succeeds or the process ends.
    Items that are *numbered* have a position, which others wait for.

    Parameters
    ----------
    sink
        Used by the thread only.
    durable
        Number of numbered items that are in the sink already.
    max_pending
        Most items that wait.
    patience
        Seconds for which a caller waits by default.
    """

    def __init__(self, sink: Sink[_T], *, durable: int, max_pending: int, patience: float) -> None:
        self.appended = durable
        self.durable = durable
        self.failure: str | None = None
        self._sink = sink
        self._max_pending = max_pending
        self._patience = patience
        self._failing_since = 0.0
        self._final = False
        self._closed = False
        self._queue: list[tuple[_T, bool]] = []
        self._pending = 0
        self._idle = False
        self._later: tuple[asyncio.AbstractEventLoop, asyncio.TimerHandle] | None = None
        self._rousing: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._advanced = threading.Condition(self._lock)
        self._give_up = threading.Event()
        self._waiters: dict[asyncio.AbstractEventLoop, _Waiters] = {}
        self._thread = threading.Thread(target=self._run, name="floorline-store", daemon=True)
        self._thread.start()

    def append(self, item: _T, *, numbered: bool = True, urgent: bool = True) -> None:
        """Queue an item; one that is not urgent may wait a moment for others to go with it."""
        with self._lock:
            if self._final or self._closed:
                raise StoreUnavailable(self.failure or "the store is closed")
            if self._pending >= self._max_pending:
                raise StoreUnavailable(
                    f"{self._pending} events wait to be stored, which is the most allowed: "
                    + (self.failure or "the store is slower than the requests come")
                )
            self._queue.append((item, numbered))
            self._pending += 1
            self.appended += numbered
            if not self._idle:
                return
            loop = asyncio._get_running_loop()
            if loop is None:
                self._wake.notify()
            elif not urgent:
                if self._later is None or self._later[0] is not loop:
                    self._later = loop, loop.call_later(_LATER, self._rouse)
            elif self._rousing is not loop:
                # At the end of the loop's turn, so that one commit takes all that came in it.
                self._rousing = loop
                loop.call_soon(self._rouse)

    def _rouse(self) -> None:
        with self._lock:
            self._rousing = None
            if self._later is not None:
                self._later[1].cancel()
                self._later = None
            self._wake.notify()

    async def committed(self, number: int | None, timeout: float | None) -> None:
        """Wait until the first ``number`` numbered items are durable, or all."""
        target = self._target(number)
        if self.durable >= target:
            return
        loop = asyncio.get_running_loop()
        waiters = self._waiters.get(loop)
        if waiters is None:
            waiters = _Waiters()
            with self._lock:
                self._waiters[loop] = waiters
        if self._later is not None:
            self._rouse()
        seconds = self._seconds(timeout)
        future = waiters.add(target, loop)
        # The thread may have advanced before it could see that somebody waits.
        waiters.wake(self.durable, self._refusal())
        if future.done():
            future.result()
            return
        timer = loop.call_later(seconds, self._expire, future)
        try:
            await future
        finally:
            timer.cancel()

    def _expire(self, future: asyncio.Future[None]) -> None:
        if not future.done():
            future.set_exception(self._unavailable())

    def flush(self, number: int | None, timeout: float | None) -> None:
        """Block until the first ``number`` numbered items are durable, or all items."""
        target = self._target(number)

        def done() -> bool:
            return self.durable >= target if number is not None else not self._pending

        with self._lock:
            # The loop's turn may be waiting for this very call.
            self._wake.notify()
            self._advanced.wait_for(lambda: done() or self._final, self._seconds(timeout))
            if not done():
                raise self._unavailable()

    def close(self, timeout: float | None) -> None:
        """Make everything durable and end the thread, whether that succeeds or not."""
        try:
            self.flush(None, timeout)
        finally:
            with self._lock:
                self._closed = True
                self._wake.notify()
            self._give_up.set()
            self._thread.join()

    def _target(self, number: int | None) -> int:
        if number is None:
            return self.appended
        if number > self.appended:
            raise InvalidInput("position", number, f"only {self.appended} events were appended")
        return number

    def _seconds(self, timeout: float | None) -> float:
        """How long to wait; not again for a store that has failed that long already."""
        seconds = self._patience if timeout is None else timeout
        if self.failure is None:
            return seconds
        return max(0.0, min(seconds, self._failing_since + seconds - time.monotonic()))

    def _unavailable(self) -> StoreUnavailable:
        why = self.failure or "the store is slow"
        return StoreUnavailable(f"{self._pending} events are not stored yet: {why}")

    def _refusal(self) -> StoreUnavailable | None:
        """What those hear who wait for what will never be."""
        return self._unavailable() if self._final else None

    def _run(self) -> None:
        while batch := self._take():
            try:
                items = [item for item, _ in batch]
                committed = self._commit(self._sink.encode(self.durable, items))
            except Exception as error:
                # Whatever else goes wrong would go wrong again.
                self._fail(f"the store gave up: {error}", final=True)
                return
            if not committed:
                return
            with self._lock:
                self.failure = None
                self.durable += sum(numbered for _, numbered in batch)
                self._pending -= len(batch)
                self._advanced.notify_all()
            self._tell()

    def _take(self) -> list[tuple[_T, bool]]:
        with self._lock:
            while not self._queue and not self._closed:
                self._idle = True
                self._wake.wait()
            self._idle = False
            batch = self._queue[:_MOST_AT_ONCE]
            del self._queue[:_MOST_AT_ONCE]
            return batch

    def _commit(self, batch: Any) -> bool:
        """Write until it succeeds; False if the store is closed meanwhile."""
        delay = _FIRST_RETRY
        while True:
            try:
                self._sink.write(batch)
            except StoreUnavailable as error:
                self._fail(str(error))
            else:
                return True
            if self._give_up.wait(delay):
                return False
            delay = min(2 * delay, _LAST_RETRY)

    def _fail(self, why: str, *, final: bool = False) -> None:
        with self._lock:
            if self.failure is None:
                self._failing_since = time.monotonic()
            self.failure = why
            self._final = final
            self._advanced.notify_all()
        if final:
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            waiting = [(loop, one) for loop, one in self._waiters.items() if one.waiting]
        for loop, one in waiting:
            try:
                loop.call_soon_threadsafe(one.wake, self.durable, self._refusal())
            except RuntimeError:
                # The loop was closed with its coroutines.
                with self._lock:
                    self._waiters.pop(loop, None)


class _Waiters:
    """Coroutines of one event loop, by the number of items each waits for.

    Only that loop's thread changes it; others look at whether anybody waits.
    """

    def __init__(self) -> None:
        self.waiting: list[tuple[int, asyncio.Future[None]]] = []

    def add(self, target: int, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        future: asyncio.Future[None] = loop.create_future()
        self.waiting.append((target, future))
        return future

    def wake(self, durable: int, refusal: StoreUnavailable | None) -> None:
        """Let those go on whose items are durable; drop those that were cancelled."""
        still = []
        for target, future in self.waiting:
            if future.done():
                continue
            if target <= durable:
                future.set_result(None)
            elif refusal is not None:
                future.set_exception(refusal)
            else:
                still.append((target, future))
        self.waiting = still
