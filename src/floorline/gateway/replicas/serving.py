"""What a replica has in place of the parts that only one server of a log can have."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import Any

from floorline._version import __version__
from floorline.config import Settings
from floorline.encoders.factory import make_encoder
from floorline.errors import FloorlineError
from floorline.gateway.clock import Clock
from floorline.gateway.dashboard.history import History
from floorline.gateway.reconcile import DesiredState
from floorline.gateway.replicas.following import StateFollower
from floorline.gateway.replicas.key_shares import KeyShares
from floorline.gateway.replicas.overview import SPOOLED, SPOOLED_BYTES, STATE_AGE
from floorline.gateway.replicas.refilling import ShareKeeper
from floorline.replication.escrow import Escrow
from floorline.replication.members import VERSION
from floorline.replication.replica_router import ReplicaRouter
from floorline.replication.replica_store import SPOOLING, ReplicaStore
from floorline.state.fold import Fold
from floorline.state.time_series import HOURS_KEPT

log = logging.getLogger("floorline.gateway")

_TAIL_SECONDS = 1.0
"""Pause between two reads of the log for the dashboard."""


def open_replica_router(
    settings: Settings, store: ReplicaStore, desired: DesiredState, clock: Clock
) -> ReplicaRouter:
    """Return the router of a replica, which knows nothing until it adopts a published state."""
    return ReplicaRouter(
        desired.zoo,
        settings.policy.build(),
        desired.slas,
        encoder=make_encoder(settings.encoder),
        seed=settings.seed,
        log=store,
        memory=settings.memory,
        clock=clock,
        id_prefix=store.replica,
    )


def follower_of(
    settings: Settings, router: ReplicaRouter, store: ReplicaStore, desired: DesiredState
) -> StateFollower:
    """Return what takes the learner's states over into a router."""
    dim = router.encoder.dim

    def make_fold() -> Fold:
        policy = settings.policy.build()
        return Fold(policy, desired.zoo, desired.slas, dim, memory=settings.memory)

    def status() -> dict[str, Any]:
        return {
            "host": socket.gethostname(),
            "process": os.getpid(),
            VERSION: __version__,
            "state": router.state_position,
            "events": len(store),
            SPOOLING: store.spooling is not None and store.spooling.spooling_seconds is not None,
            SPOOLED: 0 if store.spooling is None else store.spooling.spool.events,
            SPOOLED_BYTES: 0 if store.spooling is None else store.spooling.spool.size,
        }

    follower = StateFollower(router, store, make_fold, status, settings.replicas.publish)
    follower.publish(STATE_AGE, lambda: follower.staleness)
    return follower


def keeper_of(router: ReplicaRouter, store: ReplicaStore, follower: StateFollower) -> ShareKeeper:
    """Return what keeps a replica's shares of budgets filled."""
    return ShareKeeper(
        router.budgets.shares,
        Escrow(store.engine, store.replica),
        router.budget_accounts,
        lambda: follower.replicas,
        router.clock,
        lambda: follower.seen_at,
    )


def key_shares_of(router: ReplicaRouter, follower: StateFollower) -> KeyShares:
    """Return what shares budgets and rates of keys with the other replicas."""
    return KeyShares(router.budgets.shares, lambda: follower.replicas, router.clock)


class TailedHistory(History):
    """History of a replica: it reads the log, in which the events of all replicas are."""

    async def run(self) -> None:
        """Fold the log, then what comes after it, until the task is cancelled."""
        position = -1
        try:
            while True:
                try:
                    if position < 0:
                        oldest = self._clock() - HOURS_KEPT * 3600.0
                        position = await asyncio.to_thread(self._store.position_at, oldest)
                    end = await asyncio.to_thread(self._store.end)
                    position = await asyncio.to_thread(self._fold_log, position, end)
                    self.ready, self.progress = True, 1.0
                except FloorlineError as error:
                    log.warning("the dashboard cannot read the log: %s", error)
                await asyncio.sleep(_TAIL_SECONDS)
        finally:
            self._stopped = True
