"""History of a gateway for its dashboard: the log folded in the background, and its queries."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from floorline.errors import FloorlineError, InvalidInput, listed
from floorline.events import Event
from floorline.gateway.dashboard.promise_series import (
    LatencySeries,
    PromiseSeries,
    latency_promise,
    promise,
)
from floorline.gateway.dashboard.series import (
    Series,
    SeriesMemo,
    Window,
    label_sources,
    totals_by,
    traffic,
)
from floorline.router import Router
from floorline.sla import SLA
from floorline.state.time_buckets import Totals
from floorline.state.time_series import HOURS_KEPT, TimeSeries
from floorline.stores.queued import QueuedStore

log = logging.getLogger("floorline.gateway")

_FOLD_SECONDS = 0.5
"""Pause between two folds of the events that came meanwhile: what the dashboard lags behind."""
_FAULT_SECONDS = 60.0
"""Pause before the log is read again after a fault of this program."""
_BUSY_SECONDS = 0.01
"""Pause before the next try while a thread reads the series."""
_EVENTS_AT_A_TIME = 64
"""Events that are folded before requests get a turn: about 0.2 ms."""
_ATTEMPTS = 3
"""How often the log is read from its beginning, which a deletion of old events can disturb."""
_SMALL_REST = 2_000
"""Events from which the end of the log is near enough to take the new ones from memory."""
_MOST_WAITING = 100_000
"""Most events that wait to be folded. More come only while the background task cannot run; then
the log is read again."""


class History:
    """Folds a gateway's log into series over time, and answers what pages ask of them.

    After a start, a thread folds the log of the last 30 days; ``progress`` says how far it is. From
    then on each new event is appended to a list, and a background task folds the list. Requests
    wait for neither.

    Parameters
    ----------
    router, store
        Where events come from.
    clock
        Returns the Unix time in seconds.

    Attributes
    ----------
    ready : bool
        Whether the log has been folded up to the present.
    progress : float
        Share of the log that has been folded, from 0 to 1.
    version : int
        Number of changes; what was computed holds until it rises.
    """

    def __init__(
        self, router: Router, store: QueuedStore, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._router = router
        self._store = store
        self._clock = clock
        self._folded = self._nothing()
        self._memo = SeriesMemo()
        self._waiting: deque[Event] = deque(maxlen=_MOST_WAITING + 1)
        self._lock = threading.Lock()
        self._stopped = False
        self.ready = False
        self.progress = 0.0
        self.version = 0

    async def run(self) -> None:
        """Fold the log, then new events, until the task is cancelled."""
        try:
            while True:
                try:
                    await self._follow()
                except Exception:
                    log.exception("the dashboard could not count an event: it reads the log again")
                    self._router.listen(None)
                    await asyncio.sleep(_FAULT_SECONDS)
        finally:
            self._stopped = True
            self._router.listen(None)

    async def _follow(self) -> None:
        """Fold the log and then new events, until too many of these wait."""
        await self._catch_up()
        while len(self._waiting) <= _MOST_WAITING:
            await asyncio.sleep(_FOLD_SECONDS)
            await self._fold_waiting()
        log.warning("the dashboard fell behind: it reads the log again")

    async def _catch_up(self) -> None:
        """Fold the log up to the present, and take new events from memory from then on."""
        self.ready, self._stopped = False, False
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._fold_past()
                break
            except FloorlineError as error:
                if attempt < _ATTEMPTS:
                    # Old events may be deleted while they are read.
                    await asyncio.sleep(_FOLD_SECONDS)
                    continue
                log.warning("the dashboard shows no history from before this start: %s", error)
                self._router.listen(self._waiting.append)
        with self._lock:
            while self._waiting:
                self._fold_some()
            # The certificates also count what came before the first event that was folded.
            for name in self._router.slas:
                self._folded.begin_promises(
                    name, self._router.label_sums(name), self._router.time_counts(name)
                )
        self.ready, self.progress = True, 1.0
        self.version += 1

    async def _fold_past(self) -> None:
        """Fold the log from its beginning, until new events are taken from memory."""
        with self._lock:
            self._folded, self._memo = self._nothing(), SeriesMemo()
        # Otherwise events would come both from the log and from memory.
        self._router.listen(None)
        self._waiting.clear()
        oldest = self._clock() - HOURS_KEPT * 3600.0
        position = await asyncio.to_thread(self._store.position_at, oldest)
        before, rest = math.inf, len(self._store) - position
        # Each time the events that came meanwhile are left, as long as these become fewer.
        while _SMALL_REST < rest < before:
            position = await self._read(position, len(self._store))
            before, rest = rest, len(self._store) - position
        end = self._router.listen(self._waiting.append)
        await self._read(position, end)

    def _nothing(self) -> TimeSeries:
        return TimeSeries(self._router.memory, self._router.slas.values())

    async def _read(self, start: int, end: int) -> int:
        await self._store.committed(end)
        return await asyncio.to_thread(self._fold_log, start, end)

    def _fold_log(self, start: int, end: int) -> int:
        """Fold the log between two positions, in a thread of its own; return the last one."""
        if start >= end:
            return end
        events = islice(self._store.numbered(start), end - start)
        while part := list(islice(events, _EVENTS_AT_A_TIME)):
            with self._lock:
                for _, event in part:
                    self._folded.fold(event)
            self.progress = min(1.0, (part[-1][0] + 1) / max(1, len(self._store)))
            self.version += 1
            if self._stopped:
                break
            # Let the thread that answers requests run; it would wait for 5 ms otherwise.
            time.sleep(0.0)
        return end

    async def _fold_waiting(self) -> None:
        while self._waiting and len(self._waiting) <= _MOST_WAITING:
            # Requests must not wait for a thread that reads.
            if not self._lock.acquire(blocking=False):
                await asyncio.sleep(_BUSY_SECONDS)
                continue
            try:
                self._fold_some()
            finally:
                self._lock.release()
            await asyncio.sleep(0.0)

    def _fold_some(self) -> None:
        """Fold the first of the events that wait; the caller holds the lock."""
        waiting = self._waiting
        for _ in range(min(len(waiting), _EVENTS_AT_A_TIME)):
            self._folded.fold(waiting.popleft())
        self.version += 1

    def series(self, since: float, sla: str | None = None, tenant: str | None = None) -> Series:
        """Return the traffic of the last ``since`` seconds, of one SLA or tenant or of all.

        Call it in a thread: the first time it can take 0.1 s for 30 days.

        Parameters
        ----------
        since
            Length of the span in seconds, up to 30 days.
        sla
            Name of an SLA, "" for requests that named a model; None for all.
        tenant
            Name of a tenant, "" for requests without one; None for all.
        """
        with self._reading() as folded:
            return traffic(Window.of(folded, since, self._clock()), sla, tenant, self._memo)

    def by_sla(self, since: float, tenant: str | None = None) -> dict[str, Totals]:
        """Return the counts of the last ``since`` seconds by SLA; as for ``series``."""
        with self._reading() as folded:
            return totals_by(Window.of(folded, since, self._clock()), 0, tenant=tenant)

    def by_tenant(self, since: float, sla: str | None = None) -> dict[str, Totals]:
        """Return the counts of the last ``since`` seconds by tenant; as for ``series``."""
        with self._reading() as folded:
            return totals_by(Window.of(folded, since, self._clock()), 1, sla=sla)

    def label_sources(self, since: float, tenant: str | None = None) -> dict[str, dict[str, int]]:
        """Return the number of labels of the last ``since`` seconds, by SLA and origin.

        Parameters
        ----------
        since
            Length of the span in seconds, up to 30 days.
        tenant
            Name of a tenant, "" for requests without one; None for all.
        """
        with self._reading() as folded:
            return label_sources(Window.of(folded, since, self._clock()), tenant)

    def promise(self, sla: str, since: float) -> PromiseSeries:
        """Return the course of an SLA's promise on satisfaction over the last ``since`` seconds.

        Raises
        ------
        InvalidInput
            If there is no such SLA.
        """
        now, agreement = self._clock(), self._agreement(sla)
        with self._reading() as folded:
            sums = folded.labels.get(sla)
            if sums is None or not folded.counts_apart(sla):
                sums = self._router.label_sums(sla)
            return promise(Window.of(folded, since, now), agreement, sums, now)

    def latency_promises(self, sla: str, since: float) -> list[LatencySeries]:
        """Return the course of each of an SLA's promises of latency.

        Raises
        ------
        InvalidInput
            If there is no such SLA.
        """
        now, agreement = self._clock(), self._agreement(sla)
        found = []
        with self._reading() as folded:
            window = Window.of(folded, since, now)
            counted = self._router.time_counts(sla)
            for made in agreement.latency_promises:
                so_far = folded.latency.get((sla, made.name))
                if so_far is None or not folded.counts_apart(sla):
                    so_far = counted[made.name]
                found.append(latency_promise(window, agreement, made, so_far, now))
        return found

    def _agreement(self, sla: str) -> SLA:
        slas = self._router.slas
        if sla not in slas:
            raise InvalidInput("sla", sla, f"name one of: {listed(slas)}")
        return slas[sla]

    @property
    def tenants(self) -> list[str]:
        """Names of the tenants with requests in the last 30 days."""
        return sorted(self._folded.tenants - {""})

    @contextmanager
    def _reading(self) -> Iterator[TimeSeries]:
        with self._lock:
            yield self._folded
