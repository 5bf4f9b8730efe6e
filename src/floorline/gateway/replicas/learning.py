"""The process of the learner: it waits for the lease, then folds and publishes until it ends."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from floorline.config import Settings
from floorline.encoders.factory import make_encoder
from floorline.errors import FloorlineError, StoreUnavailable
from floorline.gateway.call_recorder import close_interrupted
from floorline.gateway.clock import Clock
from floorline.gateway.judging.internal_calls import internal_keys
from floorline.gateway.reconcile import reconcile
from floorline.gateway.reload import Reloader
from floorline.gateway.replicas.key_shares import RATES
from floorline.gateway.replicas.refilling import RECLAIM_SECONDS, SPOOL_SECONDS
from floorline.gateway.runtime_models import RuntimeModels
from floorline.gateway.start import Start, StartStopped
from floorline.gateway.startup import open_router
from floorline.gateway.warm_start import warm_start
from floorline.replication import tables
from floorline.replication.budget_shares import accounts_of, key_account, used_by
from floorline.replication.escrow import Escrow, forget_ended, holders_gone
from floorline.replication.inbox_signal import InboxSignal
from floorline.replication.learner import Learner
from floorline.replication.learner_store import LearnerStore
from floorline.replication.lease import Lease, LeaseLost
from floorline.replication.members import Membership
from floorline.replication.spools import SpoolRegister
from floorline.router import Router
from floorline.stores.engine import open_engine
from floorline.stores.keys import ApiKey
from floorline.stores.recovery import RecoveryStopped
from floorline.stores.retention import vacuum
from floorline.stores.unknown_events import UnknownEvent
from floorline.stores.upgrade import check

log = logging.getLogger("floorline.learner")

_GONE_SECONDS = 30.0
"""Time without a sign of life, while learners were at work, after which the calls of a replica are
closed."""
_RETRY_SECONDS = 1.0
"""Pause after an error of the database."""
_NEWER_SECONDS, _LONGEST_SECONDS = 5.0, 60.0
"""Pauses of a learner that cannot read an event of a newer version: the shortest, and the longest
after doubling. A newer learner asks for the lease more often."""
_CHECK_SECONDS = 5.0
"""Pause between two looks for replicas that are gone."""
_CONFIG_SECONDS = 2.0
"""Pause between two looks at the configuration file and at models that replicas added."""
_REPLICA_SECONDS = 30 * 86_400.0
"""Time after its last event for which a replica that ended is named in published states."""
_RETENTION_SECONDS = 3600.0
"""Pause between two deletions of old events."""


def _prepare(engine: sa.Engine) -> None:
    """Check the tables of the log, and create those that replicas share."""
    check(engine)
    tables.create(engine)


class LearnerProcess:
    """Runs a learner whenever this process holds the lease.

    Parameters
    ----------
    settings
        Settings of the server; models and SLAs of the log are brought to them.
    stop
        Set to end the process.
    path
        File of the settings, watched for changes; None watches no file.
    """

    def __init__(self, settings: Settings, stop: threading.Event, path: Path | None = None) -> None:
        self._settings = settings
        self._stop = stop
        self._path = path
        self._url = settings.store.url.get_secret_value()
        self._holder = f"{socket.gethostname()}:{os.getpid()}"
        self._clock = Clock()
        self._hangup = False
        # What this version cannot read, as it was said; and for how long it waited for a newer one.
        self._unknown = ""
        self._pause = 0.0

    def run(self) -> None:
        """Wait for the lease, learn, and wait again if the lease is lost, until ``stop`` is set.

        Raises
        ------
        FloorlineError
            If the log cannot be folded, or the settings contradict it.
        """
        engine = open_engine(self._url)
        try:
            Start(self._stop).until_reached(partial(_prepare, engine))
            lease = Lease(engine, self._holder, seconds=self._settings.replicas.lease)
            while not self._stop.is_set():
                try:
                    if lease.take():
                        log.warning("this process learns, with epoch %d", lease.epoch)
                        with lease.renewing():
                            self._learn(lease)
                    else:
                        self._stop.wait(lease.seconds / 4)
                except LeaseLost as error:
                    log.warning("%s", error)
                except RecoveryStopped:
                    break
                except UnknownEvent as error:
                    self._leave_to_newer(lease, str(error))
                except StoreUnavailable as error:
                    log.warning("the learner cannot go on: %s", error)
                    self._stop.wait(_RETRY_SECONDS)
        except StartStopped:
            return
        finally:
            engine.dispose()

    def _leave_to_newer(self, lease: Lease, problem: str) -> None:
        """Wait, without the lease, for a learner that can read what a newer version wrote."""
        if problem != self._unknown:
            self._unknown, self._pause = problem, 0.0
            log.error("this learner gives up its lease: %s; until then it tries again", problem)
        self._pause = min(max(_NEWER_SECONDS, lease.seconds, 2.0 * self._pause), _LONGEST_SECONDS)
        self._stop.wait(self._pause)

    def _learn(self, lease: Lease) -> None:
        store = LearnerStore(self._url, lease, stop=self._stop)
        try:
            models = RuntimeModels(store)
            router = open_router(
                store,
                models.desired_state(self._settings),
                self._settings.policy.build,
                make_encoder(self._settings.encoder),
                seed=self._settings.seed,
                memory=self._settings.memory,
                at=self._clock(),
                clock=self._clock,
            )
            warm_start(router, store, self._settings.history, at=self._clock())
            learner = Learner(router, store)
            tasks = self._tasks(router, store, lease, learner)
            tasks |= self._config_tasks(router, models)
            due = dict.fromkeys(tasks, 0.0)
            with InboxSignal(store.engine) as signal:
                while not self._stop.is_set():
                    folded = learner.step()
                    for task, every in tasks.items():
                        if due[task] <= time.monotonic():
                            task()
                            due[task] = time.monotonic() + every
                    if not folded:
                        signal.wait(min(every for every in tasks.values()) / 2)
            learner.step()
            learner.publish()
            self._write_snapshot(router, store)
        finally:
            store.close()

    def _tasks(
        self, router: Router, store: LearnerStore, lease: Lease, learner: Learner
    ) -> dict[Callable[[], object], float]:
        """Return what is done from time to time, with the pauses in seconds."""
        settings = self._settings
        members, register = Membership(store.engine), SpoolRegister(store.engine)

        def close_calls() -> None:
            gone = members.gone(_GONE_SECONDS)
            if gone and lease.at_work_seconds() < _GONE_SECONDS:
                # After a time in which the database was away, no replica was seen.
                return
            for member in gone:
                closed = close_interrupted(router, member.id)
                store.note_replica(member.id)
                store.flush()
                register.note_gone(member.id)
                members.forget(member.id)
                log.warning("replica %s is gone; %d calls were open", member.id, closed)

        absent: dict[str, float] = {}

        def reclaim() -> None:
            holders = holders_gone(store.engine) - register.undrained(SPOOL_SECONDS)
            for id in absent.keys() - holders:
                del absent[id]
            for id in holders:
                due = absent.setdefault(id, time.monotonic() + RECLAIM_SECONDS)
                if time.monotonic() > due:
                    used = used_by(store, id, router.slas, self._keys(store))
                    Escrow(store.engine, id).reclaim(used, RECLAIM_SECONDS)
                    absent[id] = math.inf

        def snapshot() -> None:
            if len(store) - store.recovered_from >= settings.store.snapshot_every:
                self._write_snapshot(router, store)

        def retain() -> None:
            if settings.store.retention is not None:
                vacuum(store.engine, self._clock() - settings.store.retention)

        def forget() -> None:
            of_keys = [key_account(key) for key in self._keys(store) if key.budget is not None]
            of_slas = [account for sla in router.slas.values() for account in accounts_of(sla)]
            learner.forget_replicas(_REPLICA_SECONDS)
            register.forget(_REPLICA_SECONDS)
            forget_ended(store.engine, [*of_slas, *of_keys, RATES], self._clock())

        return {
            learner.publish: settings.replicas.publish,
            lease.renew: lease.renew_seconds,
            close_calls: _CHECK_SECONDS,
            reclaim: _CHECK_SECONDS,
            snapshot: _CHECK_SECONDS,
            retain: _RETENTION_SECONDS,
            forget: _RETENTION_SECONDS,
        }

    def _keys(self, store: LearnerStore) -> list[ApiKey]:
        """Return the keys with budgets: those of clients, and those of judges."""
        return [*store.keys.list(), *internal_keys(self._settings)]

    def _config_tasks(
        self, router: Router, models: RuntimeModels
    ) -> dict[Callable[[], object], float]:
        """Return what brings models and SLAs to the file, and to what replicas added."""

        def bring(settings: Settings) -> None:
            reconcile(router, models.desired_state(settings), at=self._clock())
            self._settings = settings

        def follow_models() -> None:
            if models.refresh():
                try:
                    bring(self._settings)
                except (LeaseLost, StoreUnavailable):
                    raise
                except FloorlineError as error:
                    # Every learner would end by it; the models are as before.
                    log.warning("models that a server added cannot be used: %s", error)

        tasks: dict[Callable[[], object], float] = {follow_models: _CONFIG_SECONDS}
        if self._path is not None:
            reloader = Reloader(self._path, lambda _, new: bring(new), self._settings)

            def follow_file() -> None:
                again, self._hangup = self._hangup, False
                asyncio.run(reloader.reload() if again else reloader.check())

            tasks[follow_file] = _CONFIG_SECONDS
        return tasks

    def hang_up(self) -> None:
        """Read the file again soon, whether or not it looks changed."""
        self._hangup = True

    def _write_snapshot(self, router: Router, store: LearnerStore) -> None:
        """Write a snapshot, so that the next learner folds only the events after it."""
        position = len(store)
        oldest = next(iter(router.remembered), None)
        try:
            store.write_snapshot(position, router.snapshot(decisions=False), oldest)
        except LeaseLost:
            raise
        except FloorlineError as error:
            log.warning("cannot write a snapshot: %s", error)
        else:
            store.recovered_from = position
