"""A gateway and a provider that run in threads, for tests over real sockets."""

import asyncio
import contextlib
import ssl
import threading
import time
from pathlib import Path

import httpx2 as httpx
import msgspec
import uvicorn

from floorline.config import load_text
from floorline.datasets.simulated import SimulatedZoo
from floorline.gateway.api.app import App
from floorline.gateway.http_limits import Connections, connection_limit, http_config
from floorline.gateway.server import running

NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of servers without TLS; reading the certificates of authorities takes 30 ms."""

ZOO = SimulatedZoo(200, models=["sim-nano", "sim-medium", "sim-titan"])
MODELS = [model.name for model in ZOO.models]


class InThread:
    """Something asynchronous that runs in a thread of its own until it is stopped."""

    def __init__(self, context):
        self._context = context
        self._up = threading.Event()
        self._failed = None
        self.value = None
        self.loop = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._up.wait(60)
        if self._failed is not None:
            raise self._failed

    async def _run(self):
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            async with self._context as self.value:
                self._up.set()
                await self._stop.wait()
        except BaseException as error:
            self._failed = error
            self._up.set()

    def call(self, function, *args):
        """Run a function in that thread; what the gateway is made of belongs to one loop."""

        async def run():
            result = function(*args)
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(60)

    def stop(self):
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        assert not self._thread.is_alive()


class _Server(uvicorn.Server):
    """Uvicorn in a thread that stops at once; it would sleep for .1 s up to three times."""

    def __init__(self, config):
        super().__init__(config)
        self._exit = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self):
        yield

    def exit(self):
        self.should_exit = True
        self._exit.set()

    async def main_loop(self):
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._exit.wait(), 0.1)

    async def shutdown(self, sockets=None):
        for server in self.servers:
            server.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        # Open requests may end.
        while state.connections or state.tasks:
            await asyncio.sleep(0.002)
        for server in self.servers:
            await server.wait_closed()
        await self.lifespan.shutdown()


@contextlib.asynccontextmanager
async def http_server(app, connections=None, host="127.0.0.1"):
    """Serve an application, with the limits of HTTP that a gateway has, if they are given."""
    if connections is None:
        config = uvicorn.Config(app, host=host, port=0, log_level="error", lifespan="off")
        sweeping = None
    else:
        config = http_config(app, connections, port=0, log_level="error")
        sweeping = asyncio.create_task(connections.run())
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.002)
        assert not task.done()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://{host}:{port}"
    finally:
        server.exit()
        await task
        if sweeping is not None:
            sweeping.cancel()


@contextlib.asynccontextmanager
async def live(settings, path=None):
    limits = settings.server.limits
    connections = Connections(limits, connection_limit(limits.max_connections))
    async with running(settings, path) as gateway, http_server(App(gateway), connections) as url:
        yield gateway, url, connections


def write_settings(endpoint, **changed):
    models = [
        {
            "name": model.name,
            "endpoint": f"{endpoint}/v1",
            "input_price": model.input_price,
            "output_price": model.output_price,
            "capabilities": ["tools", "json"],
            "retries": 0,
        }
        for model in ZOO.models
    ]
    written = {
        "models": models,
        "slas": [{"name": "gold", "floor": 0.85}, {"name": "silver", "floor": 0.6}],
        "auth": "none",
        "store": {"url": "sqlite:///log.db"},
        **changed,
    }
    return msgspec.json.encode(written).decode()


class Live:
    """A gateway that listens, and a client of it."""

    def __init__(self, text, folder, path=None, headers=None):
        settings = load_text(text, folder=Path(folder), environ={"PROVIDER_KEY": "sk-secret"})
        self._thread = InThread(live(settings, path))
        self.gateway, self.url, self.connections = self._thread.value
        self.call = self._thread.call
        self.http = httpx.Client(
            base_url=self.url, timeout=60, headers=headers, verify=NO_AUTHORITIES
        )

    def chat(self, text="Why is the sky blue?", model="floorline/gold", headers=None, **fields):
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return self.http.post("/v1/chat/completions", json=body, headers=headers)

    def stop(self):
        self.http.close()
        self._thread.stop()


def wait_until(condition, seconds=60.0):
    """Wait until something is so; fail if it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)
