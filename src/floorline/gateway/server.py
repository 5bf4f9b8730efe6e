"""A serving process: start the gateway, listen, and stop after the open requests."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from floorline.config import Settings
from floorline.errors import FloorlineError, StoreUnavailable
from floorline.gateway.api.app import App
from floorline.gateway.api.front_door import FrontDoor
from floorline.gateway.certificates import keep_current
from floorline.gateway.http_limits import Connections, connection_limit, http_config
from floorline.gateway.listener import Listener, inherited, listening
from floorline.gateway.readiness import Readiness
from floorline.gateway.start import Start, StartStopped
from floorline.gateway.startup import Gateway, build_gateway
from floorline.replication.replica_store import ReplicaStore
from floorline.replication.sole_store import SoleStore
from floorline.stores.recovery import RecoveryStopped

_Beside = list[Callable[[], Coroutine[Any, Any, None]]]

_QUIET_SECONDS = 5.0
"""Time for which connections wait for a server that starts. After it, or if the start has to wait
for something, they are accepted and told that the server is not ready."""
_LOOK_SECONDS = 0.02
"""Pause between two looks at a server that starts."""


@contextlib.asynccontextmanager
async def running(
    settings: Settings, path: Path | None = None, start: Start | None = None
) -> AsyncIterator[Gateway]:
    """Run a gateway without its HTTP server, and stop its parts in order.

    Parameters
    ----------
    settings
        What to serve.
    path
        File of the settings, watched for changes; None watches no file.
    start
        Waits for the database and the learner, in threads. Without one a database that cannot be
        reached is an error.

    Raises
    ------
    FloorlineError
        If the store cannot be opened or the log cannot be folded.
    """
    if start is None:
        start = Start()
        store, gateway = _build(settings, path, start)
    else:
        make = partial(start.until_reached, partial(_build, settings, path, start))
        store, gateway = await asyncio.to_thread(make)
    try:
        if gateway.follower is not None:
            await gateway.follower.wait(start)
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


def _build(
    settings: Settings, path: Path | None, start: Start
) -> tuple[SoleStore | ReplicaStore, Gateway]:
    """Open the store, and build the gateway on it."""
    url = settings.store.url.get_secret_value()
    store: SoleStore | ReplicaStore
    if settings.replicas.enabled:
        spool = settings.replicas.spool
        store = ReplicaStore(
            url,
            f"d{os.urandom(8).hex()}",
            spool=None if spool.folder is None else Path(spool.folder),
            max_spool=spool.max,
        )
    else:
        store = SoleStore(url, stop=start.stop)
    try:
        return store, build_gateway(settings, path, store)
    except BaseException:
        with contextlib.suppress(StoreUnavailable):
            store.close()
        raise


class _Server(uvicorn.Server):
    """Uvicorn, except that signals also end the start, and are not raised again at the end."""

    def __init__(self, config: uvicorn.Config, start: Start) -> None:
        super().__init__(config)
        self._start = start
        self.readiness: Readiness | None = None

    def handle_exit(self, sig: int, frame: object) -> None:
        """Accept no more requests; a second signal closes the open ones."""
        self._start.stop.set()
        if self.readiness is not None:
            self.readiness.stop()
        # Uvicorn's own handler raises the signal again, before the store is closed.
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: signals are taken from the start on, by ``taking_signals``."""
        yield

    @contextlib.contextmanager
    def taking_signals(self) -> Iterator[None]:
        """Let signals end the server in this block."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


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
    start = Start()
    door = FrontDoor(settings, start)
    with listening(settings.server) if listen is None else inherited(listen) as listener:
        config, beside = _http(settings, door)
        server = _Server(config, start)
        ended = asyncio.Event()

        async def run() -> None:
            async with running(settings, path, start) as gateway:
                server.readiness = gateway.readiness
                # Freeze long-lived objects, so that full garbage collections do not add
                # milliseconds to requests.
                gc.collect()
                gc.freeze()
                gc.set_threshold(50_000, 20, 50)
                door.open(App(gateway))
                on_ready(listener.url)
                await ended.wait()

        with server.taking_signals():
            running_gateway = asyncio.create_task(run())
            quiet_until = time.monotonic() + _QUIET_SECONDS
            while not (running_gateway.done() or server.should_exit or door.is_open):
                if start.waits_for is not None or time.monotonic() >= quiet_until:
                    break
                await asyncio.sleep(_LOOK_SECONDS)
            running_gateway.add_done_callback(lambda _: _end(server))
            if not (running_gateway.done() or server.should_exit):
                await _answer(server, listener, beside)
            ended.set()
            with contextlib.suppress(StartStopped, RecoveryStopped):
                await running_gateway


def _end(server: uvicorn.Server) -> None:
    server.should_exit = True


async def _answer(server: uvicorn.Server, listener: Listener, beside: _Beside) -> None:
    tasks = [asyncio.create_task(work()) for work in beside]
    try:
        await server.serve(sockets=[listener.socket])
    finally:
        for task in tasks:
            task.cancel()


def _http(settings: Settings, door: FrontDoor) -> tuple[uvicorn.Config, _Beside]:
    """Return the configuration of the HTTP server, and what runs beside it."""
    limits = settings.server.limits
    connections = Connections(
        limits, connection_limit(limits.max_connections), settings.server.root_path or ""
    )
    config = http_config(
        door,
        connections,
        loop="uvloop",
        log_config=None,
        timeout_graceful_shutdown=max(1, round(settings.server.shutdown_grace)),
    )
    config.load()
    beside: _Beside = [connections.run]
    tls = settings.server.tls
    if tls is not None:
        config.ssl = tls.context()
        beside.append(partial(keep_current, config.ssl, tls))
    return config, beside
