"""A serving process: open the store, recover, listen, and stop without cutting anybody off."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import uvicorn

from floorline.config import Settings
from floorline.encoders.factory import make_encoder
from floorline.errors import FloorlineError
from floorline.gateway.api.app import App
from floorline.gateway.auth import Auth
from floorline.gateway.observability.metrics import Metrics
from floorline.gateway.observability.spans import make_telemetry
from floorline.gateway.reload import Reloader
from floorline.gateway.runtime_models import RuntimeModels
from floorline.gateway.service import Gateway
from floorline.gateway.startup import open_router
from floorline.gateway.upstreams import Upstreams
from floorline.stores.retention import vacuum
from floorline.stores.sql import SqlStore

log = logging.getLogger("floorline.gateway")

_KEYS_EVERY = 2.0
_LOOK_EVERY = 1.0
_RETAIN_EVERY = 3600.0


@contextlib.asynccontextmanager
async def running(settings: Settings, path: Path | None = None) -> AsyncIterator[Gateway]:
    """Run everything behind the HTTP side of a gateway, and stop it in order.

    Parameters
    ----------
    settings
        What to serve.
    path
        File of the settings, watched for changes; None watches nothing.

    Raises
    ------
    FloorlineError
        If the store cannot be opened or the log cannot be folded.
    """
    store = SqlStore(settings.store.url)
    try:
        models = RuntimeModels(store)
        router = open_router(
            store,
            models.promises(settings),
            settings.policy.build,
            make_encoder(settings.encoder),
            seed=settings.seed,
            memory=settings.memory,
            at=time.time(),
        )
        keys = None if settings.auth == "none" else store.keys.list()
        telemetry = make_telemetry(settings.telemetry)
        upstreams = Upstreams(seed=settings.seed)
        gateway = Gateway(
            settings,
            router,
            store,
            upstreams,
            Auth(keys, store.spend),
            Metrics(settings.cost_unit),
            models,
            telemetry,
        )
        gateway.apply(settings)
        await upstreams.start()
        background_tasks = [
            asyncio.create_task(_snapshot_loop(gateway)),
            asyncio.create_task(_retain(gateway)),
        ]
        if keys is not None:
            background_tasks.append(asyncio.create_task(_follow_keys(gateway)))
        if path is not None:
            gateway.reloader = Reloader(path, gateway.reload, settings)
            gateway.metrics.watch(reloader=gateway.reloader)
            background_tasks.append(asyncio.create_task(gateway.reloader.run()))
        try:
            yield gateway
        finally:
            for task in background_tasks:
                task.cancel()
            await asyncio.gather(*background_tasks, return_exceptions=True)
            await upstreams.close()
            telemetry.close()
            if gateway.unsaved:
                with contextlib.suppress(FloorlineError):
                    await gateway.save()
    finally:
        store.close()


async def _snapshot_loop(gateway: Gateway) -> None:
    """Write a snapshot whenever enough has happened."""
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        if gateway.unsaved < gateway.settings.store.snapshot_every:
            continue
        try:
            await gateway.save()
        except FloorlineError as error:
            log.warning("no snapshot was written: %s", error)


async def _retain(gateway: Gateway) -> None:
    """Delete what is older than it may get."""
    while True:
        age = gateway.settings.store.retention
        if age is not None:
            try:
                await asyncio.to_thread(vacuum, gateway.store.engine, time.time() - age)
            except FloorlineError as error:
                log.warning("old events could not be deleted: %s", error)
        await asyncio.sleep(_RETAIN_EVERY)


async def _follow_keys(gateway: Gateway) -> None:
    """Let new keys in and revoked ones no more, within seconds."""
    while True:
        await asyncio.sleep(_KEYS_EVERY)
        try:
            gateway.auth.set_keys(await asyncio.to_thread(gateway.store.keys.list))
        except FloorlineError as error:
            log.warning("API keys could not be read: %s", error)


class _Server(uvicorn.Server):
    """Uvicorn, telling the gateway when a signal to stop came, and not dying of it afterwards."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    def handle_exit(self, sig: int, frame: object) -> None:
        """Stop taking requests; a second signal cuts the open ones off."""
        self._gateway.stopping = True
        # Uvicorn's own way raises the signal again at the end, before the store could be closed.
        self.force_exit = self.should_exit
        self.should_exit = True


async def serve(
    settings: Settings,
    path: Path | None = None,
    *,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until a signal comes; open requests, streams too, may end within the grace period.

    ``on_ready`` is told the address once requests are answered.

    Raises
    ------
    FloorlineError
        If the address is taken, or as for ``running``.
    """
    listener = _listen(settings.server.host, settings.server.port)
    async with running(settings, path) as gateway:
        config = uvicorn.Config(
            App(gateway),
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            log_config=None,
            timeout_graceful_shutdown=max(1, round(settings.server.shutdown_grace)),
        )
        server = _Server(config, gateway)
        # What is there now stays; looking it over again and again costs requests milliseconds.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        host, port = listener.getsockname()[:2]
        on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        await server.serve(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        raise FloorlineError(
            f"server.host {host!r} and server.port {port} cannot be listened on "
            f"({error.strerror}): give others"
        ) from error
    listener.setblocking(False)
    return listener
