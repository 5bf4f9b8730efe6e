"""Group commit: one thread commits what others append, all that is queued in one transaction."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from floorline.errors import FloorlineError, InvalidInput, StoreUnavailable

_log = logging.getLogger("floorline.store")

_Item = TypeVar("_Item", contravariant=True)
_T = TypeVar("_T")

_MAX_BATCH = 2000
"""Items of one commit, to bound the time that others wait for it."""
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 0.01, 1.0
"""Waits before a failed commit is tried again: the first one, and the longest after doubling."""
_NOT_URGENT_SECONDS = 0.005
"""Time that an item that is not urgent waits for an urgent one, to share its commit."""


class Refused(FloorlineError):
    """The database refuses a batch because of an item in it, and would refuse it again."""


class Sink(Protocol[_Item]):
    """Writes batches of items."""

    def encode(self, position: int, items: Sequence[_Item]) -> Any:
        """Encode items as a batch; ``position`` is that of the first numbered item."""
        ...

    def write(self, batch: Any) -> None:
        """Commit a batch, all of it or nothing; a batch that is committed already is not changed.

        Raises
        ------
        Refused
            If one of the items can never be written.
        StoreUnavailable
            If the commit cannot be made now but may succeed later. Any other error is final.
        """
        ...

    def replace(self, item: Any, why: str) -> Any:
        """Return what is written in place of an item that was refused; None to drop it.

        A numbered item is never dropped.
        """
        ...


class GroupCommit(Generic[_T]):
    """Queue in front of a sink, with the thread that empties it.

    A batch that fails is tried again, with a doubled wait up to a second, until it succeeds or
    ``close`` is called. If the sink refuses an item for good, the batch is halved until the item is
    alone; it is then replaced, and all others are written. *Numbered* items have a position, for
    which callers can wait.

    Parameters
    ----------
    sink
        Writes the batches; used by the thread only.
    durable
        Number of numbered items that are in the sink already.
    max_pending
        Largest number of items in the queue.
    patience
        Seconds that callers wait by default.

    Attributes
    ----------
    appended, durable
        Number of numbered items that were appended, and that are committed.
    failure
        Why commits fail; None if they do not.
    refused
        Number of items that were replaced or dropped, because the sink refused them.
    refusal
        Why it refused the last of them; None if it refused none.
    """

    def __init__(self, sink: Sink[_T], *, durable: int, max_pending: int, patience: float) -> None:
        self.appended = durable
        self.durable = durable
        self.failure: str | None = None
        self.refused = 0
        self.refusal: str | None = None
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
        self._waking: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._advanced = threading.Condition(self._lock)
        self._give_up = threading.Event()
        self._waiters: dict[asyncio.AbstractEventLoop, _Waiters] = {}
        self._thread = threading.Thread(target=self._run, name="floorline-store", daemon=True)
        self._thread.start()

    def append(self, item: _T, *, numbered: bool = True, urgent: bool = True) -> None:
        """Queue an item.

        Parameters
        ----------
        item
            What to commit.
        numbered
            Whether the item has a position.
        urgent
            Whether to commit at once; if not, the item may wait for an urgent one.

        Raises
        ------
        StoreUnavailable
            If the queue is full, or commits failed for good. The item is not queued then.
        """
        with self._lock:
            if self._final or self._closed:
                raise StoreUnavailable(self.failure or "the store is closed")
            if self._pending >= self._max_pending:
                raise StoreUnavailable(
                    f"{self._pending} events wait for a commit, the largest number allowed "
                    f"(max_pending): {self.failure or 'the store is slower than the requests'}"
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
                    self._later = loop, loop.call_later(_NOT_URGENT_SECONDS, self._wake_thread)
            elif self._waking is not loop:
                # At the end of the loop's turn, so that one commit has all items of the turn.
                self._waking = loop
                loop.call_soon(self._wake_thread)

    def _wake_thread(self) -> None:
        with self._lock:
            self._waking = None
            if self._later is not None:
                self._later[1].cancel()
                self._later = None
            self._wake.notify()

    async def committed(self, number: int | None, timeout: float | None) -> None:
        """Wait until the first ``number`` numbered items are durable, or all if it is None.

        Raises
        ------
        StoreUnavailable
            If they are not durable within ``timeout`` seconds, or commits have failed that long.
        InvalidInput
            If fewer items were appended.
        """
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
            self._wake_thread()
        seconds = self._seconds(timeout)
        future = waiters.add(target, loop)
        # The thread may have committed them before it could see this waiter.
        waiters.wake(self.durable, self._final_error())
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
        """Block until the first ``number`` numbered items are durable, or all items if it is None.

        Raises as ``committed`` does.
        """
        target = self._target(number)

        def done() -> bool:
            return self.durable >= target if number is not None else not self._pending

        with self._lock:
            # The event loop that would wake the thread may be blocked by this call.
            self._wake.notify()
            self._advanced.wait_for(lambda: done() or self._final, self._seconds(timeout))
            if not done():
                raise self._unavailable()

    def close(self, timeout: float | None) -> None:
        """Commit all items and end the thread, also if the commit fails."""
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
            raise InvalidInput(
                "position", number, f"give at most {self.appended}, the number of appended events"
            )
        return number

    def _seconds(self, timeout: float | None) -> float:
        """Seconds to wait, less the time for which commits have failed already."""
        seconds = self._patience if timeout is None else timeout
        if self.failure is None:
            return seconds
        return max(0.0, min(seconds, self._failing_since + seconds - time.monotonic()))

    def _unavailable(self) -> StoreUnavailable:
        why = self.failure or "the store is slower than the requests"
        return StoreUnavailable(f"{self._pending} events are not committed yet: {why}")

    def _final_error(self) -> StoreUnavailable | None:
        """Error for waiters once commits have failed for good."""
        return self._unavailable() if self._final else None

    def _run(self) -> None:
        while batch := self._take():
            try:
                if not self._write(batch):
                    return
            except Exception as error:
                # Any other error would repeat itself.
                self._fail(f"the store failed for good: {error}", final=True)
                return

    def _write(self, batch: list[tuple[_T, bool]]) -> bool:
        """Commit a batch, in parts if an item is refused; False if ``close`` was called before."""
        try:
            if not self._commit(self._encoded(batch)):
                return False
        except Refused as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                return self._write(batch[:middle]) and self._write(batch[middle:])
            ((item, numbered),) = batch
            replacement = self._sink.replace(item, str(error))
            self.refused, self.refusal = self.refused + 1, str(error)
            _log.error("the store refused an event or a prompt for good: %s", error)
            if replacement is not None:
                return self._write([(replacement, numbered)])
        with self._lock:
            self.failure = None
            self.durable += sum(numbered for _, numbered in batch)
            self._pending -= len(batch)
            self._advanced.notify_all()
        self._notify_loops()
        return True

    def _encoded(self, batch: list[tuple[_T, bool]]) -> Any:
        try:
            return self._sink.encode(self.durable, [item for item, _ in batch])
        except MemoryError:
            raise
        except Exception as error:
            # An item that cannot be encoded must not stop the others.
            raise Refused(f"it cannot be encoded: {error}") from error

    def _take(self) -> list[tuple[_T, bool]]:
        with self._lock:
            while not self._queue and not self._closed:
                self._idle = True
                self._wake.wait()
            self._idle = False
            batch = self._queue[:_MAX_BATCH]
            del self._queue[:_MAX_BATCH]
            return batch

    def _commit(self, batch: Any) -> bool:
        """Write until it succeeds; False if ``close`` was called before."""
        delay = _FIRST_RETRY_SECONDS
        while True:
            try:
                self._sink.write(batch)
            except StoreUnavailable as error:
                self._fail(str(error))
            else:
                return True
            if self._give_up.wait(delay):
                return False
            delay = min(2 * delay, _LAST_RETRY_SECONDS)

    def _fail(self, why: str, *, final: bool = False) -> None:
        with self._lock:
            if self.failure is None:
                self._failing_since = time.monotonic()
            self.failure = why
            self._final = final
            self._advanced.notify_all()
        if final:
            self._notify_loops()

    def _notify_loops(self) -> None:
        with self._lock:
            waiting = [(loop, one) for loop, one in self._waiters.items() if one.waiting]
        for loop, one in waiting:
            try:
                loop.call_soon_threadsafe(one.wake, self.durable, self._final_error())
            except RuntimeError:
                # The event loop was closed.
                with self._lock:
                    self._waiters.pop(loop, None)


class _Waiters:
    """Coroutines of one event loop, with the number of items that each waits for.

    Only the loop's thread changes the list; other threads read whether it is empty.
    """

    def __init__(self) -> None:
        self.waiting: list[tuple[int, asyncio.Future[None]]] = []

    def add(self, target: int, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        future: asyncio.Future[None] = loop.create_future()
        self.waiting.append((target, future))
        return future

    def wake(self, durable: int, refusal: StoreUnavailable | None) -> None:
        """Resume the coroutines whose items are durable, and drop those that were cancelled."""
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
