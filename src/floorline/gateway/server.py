"""A serving process: start the gateway, listen, and stop after the open requests."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import uvicorn

from floorline.config import Settings
from floorline.errors import FloorlineError
from floorline.gateway.api.app import App
from floorline.gateway.http_limits import Connections, connection_limit, http_config
from floorline.gateway.readiness import Readiness
from floorline.gateway.startup import Gateway, build_gateway
from floorline.stores.sql import SqlStore

_BACKLOG = 2048
"""Connections that the operating system holds before they are accepted."""


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
    store = SqlStore(settings.store.url.get_secret_value())
    try:
        gateway = build_gateway(settings, path, store)
        await gateway.upstreams.start()
        gateway.background.start()
        try:
            yield gateway
        finally:
            await gateway.background.stop()
            await gateway.upstreams.close()
            gateway.telemetry.close()
            if gateway.snapshots.events_since:
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
) -> None:
    """Serve until a signal comes; open requests may end within ``server.shutdown_grace``.

    Parameters
    ----------
    settings, path
        As for ``running``.
    on_ready
        Called with the server's URL once requests are answered.

    Raises
    ------
    FloorlineError
        If the address cannot be listened on, or as for ``running``.
    """
    listener = _listen(settings.server.host, settings.server.port)
    async with running(settings, path) as gateway:
        limits = settings.server.limits
        connections = Connections(limits, connection_limit(limits.max_connections))
        config = http_config(
            App(gateway),
            connections,
            loop="uvloop",
            log_config=None,
            timeout_graceful_shutdown=max(1, round(settings.server.shutdown_grace)),
        )
        server = _Server(config, gateway.readiness)
        # Freeze long-lived objects, so that full garbage collections do not add milliseconds to
        # requests.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        host, port = listener.getsockname()[:2]
        on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        sweeping = asyncio.create_task(connections.run())
        try:
            await server.serve(sockets=[listener])
        finally:
            sweeping.cancel()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise FloorlineError(
            f"cannot listen on server.host {host!r} and server.port {port} ({error.strerror}): "
            "give an address of this machine and a free port"
        ) from error
    listener.setblocking(False)
    return listener
