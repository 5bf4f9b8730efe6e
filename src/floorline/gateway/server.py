"""A serving process: start the gateway, listen, and stop after the open requests."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import uvicorn

from floorline.config import Settings
from floorline.errors import FloorlineError
from floorline.gateway.api.app import App
from floorline.gateway.certificates import keep_current
from floorline.gateway.http_limits import Connections, connection_limit, http_config
from floorline.gateway.listener import Listener, inherited, listening
from floorline.gateway.readiness import Readiness
from floorline.gateway.startup import Gateway, build_gateway
from floorline.replication.replica_store import ReplicaStore
from floorline.replication.sole_store import SoleStore
from floorline.stores.sql import SqlStore


@contextlib.asynccontextmanager
async def running(settings: Settings, path: Path | None = None) -> AsyncIterator[Gateway]:
    """Run a gateway without its HTTP server, and stop its parts in order.

    Parameters
    ----------
    settings
        What to serve.
    path
        File of the settings, watched for changes; None watches no file.

    Raises
    ------
    FloorlineError
        If the store cannot be opened or the log cannot be folded.
    """
    url = settings.store.url.get_secret_value()
    store: SqlStore | ReplicaStore
    if settings.replicas.enabled:
        spool = settings.replicas.spool
        store = ReplicaStore(
            url,
            f"d{os.urandom(8).hex()}",
            spool=None if spool.folder is None else Path(spool.folder),
            max_spool=spool.max,
        )
    else:
        store = SoleStore(url)
    try:
        gateway = build_gateway(settings, path, store)
        if gateway.follower is not None:
            await gateway.follower.wait()
        if gateway.keeper is not None:
            await gateway.keeper.fill()
        await gateway.upstreams.start()
        gateway.background.start()
        try:
            yield gateway
        finally:
            await gateway.background.stop()
            await gateway.upstreams.close()
            gateway.telemetry.close()
            if gateway.follower is not None:
                with contextlib.suppress(FloorlineError):
                    await gateway.store.committed()
                    if gateway.keeper is not None:
                        await gateway.keeper.close()
                    await asyncio.to_thread(gateway.follower.leave)
            if gateway.snapshots is not None and gateway.snapshots.events_since:
                # Without it the next start folds more events, and reaches the same state.
                with contextlib.suppress(FloorlineError):
                    await gateway.snapshots.write()
    finally:
        store.close()


class _Server(uvicorn.Server):
    """Uvicorn, except that a signal marks the gateway as stopping and is not raised again."""

    def __init__(self, config: uvicorn.Config, readiness: Readiness) -> None:
        super().__init__(config)
        self._readiness = readiness

    def handle_exit(self, sig: int, frame: object) -> None:
        """Accept no more requests; a second signal closes the open ones."""
        self._readiness.stop()
        # Uvicorn's own handler raises the signal again, before the store is closed.
        self.force_exit = self.should_exit
        self.should_exit = True


async def serve(
    settings: Settings,
    path: Path | None = None,
    *,
    on_ready: Callable[[str], None] = lambda url: None,
    listen: int | None = None,
) -> None:
    """Serve until a signal comes; open requests may end within ``server.shutdown_grace``.

    Parameters
    ----------
    settings, path
        As for ``running``.
    on_ready
        Called with the server's URL once requests are answered.
    listen
        File descriptor of a socket that listens already; None to listen where the settings say.

    Raises
    ------
    FloorlineError
        If the address cannot be listened on, or as for ``running``.
    """
    with listening(settings.server) if listen is None else inherited(listen) as listener:
        async with running(settings, path) as gateway:
            await _answer(gateway, settings, listener, on_ready)


async def _answer(
    gateway: Gateway, settings: Settings, listener: Listener, on_ready: Callable[[str], None]
) -> None:
    limits = settings.server.limits
    connections = Connections(
        limits, connection_limit(limits.max_connections), settings.server.root_path or ""
    )
    config = http_config(
        App(gateway),
        connections,
        loop="uvloop",
        log_config=None,
        timeout_graceful_shutdown=max(1, round(settings.server.shutdown_grace)),
    )
    config.load()
    beside = [connections.run()]
    tls = settings.server.tls
    if tls is not None:
        config.ssl = tls.context()
        beside.append(keep_current(config.ssl, tls))
    server = _Server(config, gateway.readiness)
    # Freeze long-lived objects, so that full garbage collections do not add milliseconds to
    # requests.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    on_ready(listener.url)
    tasks = [asyncio.create_task(work) for work in beside]
    try:
        await server.serve(sockets=[listener.socket])
    finally:
        for task in tasks:
            task.cancel()
