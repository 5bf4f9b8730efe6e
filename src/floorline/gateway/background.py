"""Tasks that run beside the requests: snapshots, retention, API keys, configuration reloads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from floorline.errors import FloorlineError
from floorline.gateway.active_config import ActiveConfig
from floorline.gateway.auth import Auth
from floorline.gateway.bridges.message_aliases import MessageAliases
from floorline.gateway.call_recorder import CallRecorder
from floorline.gateway.dashboard.history import History
from floorline.gateway.judging.judging import Judging
from floorline.gateway.reload import Reloader
from floorline.gateway.replicas.following import StateFollower
from floorline.gateway.replicas.refilling import ShareKeeper
from floorline.router import Router
from floorline.stores.queued import QueuedStore
from floorline.stores.retention import vacuum
from floorline.stores.sql import SqlStore

log = logging.getLogger("floorline.gateway")

_SNAPSHOT_CHECK_SECONDS = 1.0
"""Pause between two checks whether enough events for a snapshot have been appended."""
_KEY_CHECK_SECONDS = 2.0
"""Pause between two reads of the API keys: the longest time a revoked key still works."""
_MODEL_CHECK_SECONDS = 2.0
"""Pause between two looks for models that were added or removed at another replica."""
_REPORT_CHECK_SECONDS = 30.0
"""Pause between two looks for calls that their clients have not reported for an hour."""
_DASHBOARD_CHECK_SECONDS = 2.0
"""Pause between two looks whether the dashboard was turned on."""
_RETENTION_CHECK_SECONDS = 3600.0
"""Pause between two deletions of old events."""


class SnapshotWriter:
    """Writes snapshots of the router's state, so that a start folds only the events after one.

    Parameters
    ----------
    router, store
        State to write, and where.
    """

    def __init__(self, router: Router, store: SqlStore) -> None:
        self._router = router
        self._store = store
        self._written_at = store.recovered_from

    @property
    def events_since(self) -> int:
        """Number of events since the last snapshot that a start can use, also of an earlier one."""
        return len(self._store) - self._written_at

    async def write(self) -> None:
        """Write a snapshot of the state as it is now, once its events are durable.

        Raises
        ------
        StoreUnavailable
            If the events or the snapshot cannot be written.
        """
        position = len(self._store)
        body = self._router.snapshot(decisions=False)
        oldest = next(iter(self._router.remembered), None)
        await self._store.committed(position)
        await asyncio.to_thread(self._store.write_snapshot, position, body, oldest)
        self._written_at = position


class BackgroundTasks:
    """Runs the periodic tasks from ``start`` to ``stop``.

    A task that fails logs a warning and tries again after its usual pause.

    Parameters
    ----------
    config
        Says how often to write snapshots and how long to keep events.
    store
        Its old events are deleted, its API keys are read.
    auth
        Takes the API keys; no keys are read if it is open to all callers.
    snapshots
        Writes the snapshots; None if the learner does, which also deletes old events.
    reloader
        Watches the configuration file; None if no file is watched.
    recorder
        Ends calls that clients do not report; None if there are none.
    history
        Folds the log for the dashboard; None if there is none.
    follower
        Takes over the states of the learner; None if there is none.
    keeper
        Keeps shares of budgets filled; None if they are not shared.
    judging
        Judges responses; None if nothing does.
    aliases
        Writes ids of messages to the store; None if there are none.
    clock
        Returns the Unix time in seconds, for the age of events.
    """

    def __init__(
        self,
        config: ActiveConfig,
        store: QueuedStore,
        auth: Auth,
        snapshots: SnapshotWriter | None,
        reloader: Reloader | None,
        recorder: CallRecorder | None = None,
        history: History | None = None,
        follower: StateFollower | None = None,
        keeper: ShareKeeper | None = None,
        judging: Judging | None = None,
        aliases: MessageAliases | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._recorder = recorder
        self._history = history
        self._follower = follower
        self._keeper = keeper
        self._judging = judging
        self._aliases = aliases
        self._config = config
        self._store = store
        self._auth = auth
        self._snapshots = snapshots
        self._reloader = reloader
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the tasks in the running event loop."""
        loops: list[Coroutine[Any, Any, None]] = []
        if self._snapshots is not None:
            loops += [self._snapshot_loop(self._snapshots), self._retention_loop()]
        if self._follower is not None:
            loops += [self._follower.run(), self._model_loop()]
        if self._keeper is not None:
            loops.append(self._keeper.run())
        if self._judging is not None:
            loops.append(self._judging.run())
        if self._aliases is not None:
            loops.append(self._aliases.run())
        if not self._auth.open:
            loops.append(self._key_loop())
        if self._reloader is not None:
            loops.append(self._reloader.run())
        if self._recorder is not None:
            loops.append(self._report_loop(self._recorder))
        if self._history is not None:
            loops.append(self._history_loop(self._history))
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    async def stop(self) -> None:
        """Cancel the tasks and wait until they have ended."""
        if self._judging is not None:
            await self._judging.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._aliases is not None:
            await self._aliases.stop()

    async def _snapshot_loop(self, snapshots: SnapshotWriter) -> None:
        while True:
            await asyncio.sleep(_SNAPSHOT_CHECK_SECONDS)
            if snapshots.events_since < self._config.settings.store.snapshot_every:
                continue
            with _logged("cannot write a snapshot"):
                await snapshots.write()

    async def _retention_loop(self) -> None:
        while True:
            age = self._config.settings.store.retention
            if age is not None:
                with _logged("cannot delete old events"):
                    await asyncio.to_thread(vacuum, self._store.engine, self._clock() - age)
            await asyncio.sleep(_RETENTION_CHECK_SECONDS)

    async def _key_loop(self) -> None:
        while True:
            await asyncio.sleep(_KEY_CHECK_SECONDS)
            with _logged("cannot read the API keys"):
                self._auth.set_keys(await asyncio.to_thread(self._store.keys.list))

    async def _history_loop(self, history: History) -> None:
        """Fold the log for the dashboard, once there is one."""
        while not self._config.settings.dashboard.enabled:
            await asyncio.sleep(_DASHBOARD_CHECK_SECONDS)
        await history.run()

    async def _model_loop(self) -> None:
        while True:
            await asyncio.sleep(_MODEL_CHECK_SECONDS)
            with _logged("cannot follow the models of other replicas"):
                await self._config.follow_models()

    async def _report_loop(self, recorder: CallRecorder) -> None:
        while True:
            await asyncio.sleep(_REPORT_CHECK_SECONDS)
            with _logged("cannot end calls that clients do not report"):
                recorder.close_unreported()


@contextlib.contextmanager
def _logged(failure: str) -> Iterator[None]:
    """Log an error of the library as a warning; the task goes on."""
    try:
        yield
    except FloorlineError as error:
        log.warning("%s: %s", failure, error)
