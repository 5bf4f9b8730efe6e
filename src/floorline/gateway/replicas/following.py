"""A replica follows the learner: it takes over each published state without a pause."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from floorline.errors import FloorlineError, SnapshotMismatch, StoreUnavailable
from floorline.gateway.start import Start
from floorline.replication.members import Member, Membership
from floorline.replication.replica_router import ReplicaRouter
from floorline.replication.replica_store import ReplicaStore
from floorline.replication.spools import SpoolRegister
from floorline.replication.survey import Survey, survey
from floorline.state.fold import Fold
from floorline.stores.engine import may_pass

log = logging.getLogger("floorline.gateway")

_PATIENCE_SECONDS = 2.0
"""Time for which a replica waits for its first state before it says so."""
_FIRST_LOOK_SECONDS = 0.1
"""Longest pause between two looks for the first state."""
_LIVE_SECONDS = 10.0
"""Time since its last sign of life for which a replica counts as one that serves."""
_LEAVE_SECONDS = 5.0
"""Time that a process waits at its end for its spool to be drained."""
_BEAT_SECONDS = 2.0
"""Pause between two signs of life."""


class StateFollower:
    """Takes over the states that the learner publishes, and says that this replica lives.

    The database is read, and a state is unpacked, in a thread; the event loop only applies this
    replica's few events since that state.

    Parameters
    ----------
    router, store
        Router and store of this replica.
    make_fold
        Makes a new fold, built as the router's.
    status
        Returns what operators see of this replica.
    every
        Pause between two looks for a state in seconds.

    Attributes
    ----------
    replicas : int
        Number of replicas that served at the last sign of life.
    seen_at : float
        Time of this replica's last sign of life by the monotonic clock.
    members : list of Member
        Those processes, and what they said of themselves.
    seen : Survey
        Servers, learner and inbox at the last sign of life.
    """

    def __init__(
        self,
        router: ReplicaRouter,
        store: ReplicaStore,
        make_fold: Callable[[], Fold],
        status: Callable[[], dict[str, Any]],
        every: float,
    ) -> None:
        self._router = router
        self._store = store
        self._make_fold = make_fold
        self._status = status
        self._every = every
        self._members = Membership(store.engine)
        # One thread of its own: while the database does not answer, no request waits for a thread.
        self._thread = ThreadPoolExecutor(1, "floorline-follower")
        self._further: dict[str, Callable[[], Any]] = {}
        self._listeners: list[Callable[[list[Member]], None]] = []
        self.members: list[Member] = []
        self.seen = Survey([], None, 0)
        self.replicas = 1
        self.seen_at = time.monotonic()
        # Epoch of a learner whose states this replica cannot read.
        self._unreadable: int | None = None
        self._age = float("inf")
        self._read_at = 0.0
        self._beat_at = 0.0

    @property
    def staleness(self) -> float:
        """Seconds since the learner was at work on the state that decides here.

        Or the age of the oldest event of this replica that is not in it, if that is longer: the
        learner is at work, and behind.
        """
        age, since = self.learner_age, self._router.waiting_since
        return age if since is None else max(age, self._router.clock() - since)

    @property
    def learner_age(self) -> float:
        """Seconds since a learner was at work, which includes those without the database."""
        return self._age + time.monotonic() - self._read_at

    async def run(self) -> None:
        """Follow until the task is cancelled."""
        said = ""
        while True:
            try:
                await self.look()
                if time.monotonic() >= self._beat_at:
                    await self._beat()
                    self._beat_at = time.monotonic() + _BEAT_SECONDS
                said = ""
            except FloorlineError as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("no new state can be read: %s", error)
            await asyncio.sleep(self._every)

    async def wait(self, start: Start) -> None:
        """Wait for the first state, and say that this replica lives.

        Parameters
        ----------
        start
            Is told what this replica waits for, once it takes longer.

        Raises
        ------
        StartStopped
            If the process is asked to end.
        FloorlineError
            If the state or the database has a fault that does not pass.
        """
        began = time.monotonic()
        why = "there is none"
        while True:
            start.check()
            try:
                if await self.look():
                    break
            except SnapshotMismatch as error:
                # In an upgrade a learner of the same version comes.
                why = str(error)
            except StoreUnavailable as error:
                if not may_pass(error):
                    raise
                why = str(error)
            if time.monotonic() - began >= _PATIENCE_SECONDS:
                start.note(
                    f"no learner published a state for this server ({why}): see whether 'floorline "
                    "learn' of the same version and with the same settings runs"
                )
            await asyncio.sleep(min(self._every, _FIRST_LOOK_SECONDS))
        start.note(None)
        await self._beat()
        if self._store.spooling is not None:
            # A start that waited for long may have been taken for one that was killed.
            register = SpoolRegister(self._store.engine)
            await self._in_thread(register.add, self._store.replica)

    def publish(self, name: str, read: Callable[[], Any]) -> None:
        """Say something further to the other replicas with every sign of life."""
        self._further[name] = read

    def listen(self, take: Callable[[list[Member]], None]) -> None:
        """Get what all replicas say of themselves after every sign of life, this one's included."""
        self._listeners.append(take)

    async def _beat(self) -> None:
        await self._in_thread(self.beat)
        for take in self._listeners:
            take(self.members)

    async def look(self) -> bool:
        """Take over the latest state, if it is new; return whether it was.

        Raises
        ------
        FloorlineError
            If it cannot be read, or is that of another policy, encoder or version.
        """
        asked = time.monotonic()
        position = self._router.state_position
        age, state = await self._in_thread(self._store.look, position, self._unreadable)
        if state is not None and not self._router.can_adopt(state):
            # The learner has not yet read what this replica did while there was none.
            state = None
        if state is not None:
            try:
                fold = await self._in_thread(self._router.prepare, state, self._make_fold())
            except SnapshotMismatch:
                # All states of that learner are alike, and each may have megabytes.
                self._unreadable = state.epoch
                raise
            self._router.adopt(state, fold)
        if age is not None:
            self._age, self._read_at = age, asked
        return state is not None

    async def _in_thread(self, work: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *given)

    def beat(self) -> None:
        """Say that this replica lives, and count those that do; blocks.

        Raises
        ------
        StoreUnavailable
            If the database raises an error.
        """
        began = time.monotonic()
        further = {name: read() for name, read in self._further.items()}
        self._members.beat(self._store.replica, {**self._status(), **further})
        self.seen_at = began
        self.seen = survey(self._store.engine)
        self.members = [member for member in self.seen.members if member.age <= _LIVE_SECONDS]
        self.replicas = max(1, len(self.members))

    def leave(self) -> None:
        """Say that this replica ended, once all its events are in the database; blocks.

        Raises
        ------
        StoreUnavailable
            If events stay in the spool, or the database raises an error.
        """
        self._store.drain(_LEAVE_SECONDS)
        SpoolRegister(self._store.engine).remove(self._store.replica)
        self._members.forget(self._store.replica)
