"""A load balancer before the servers: HAProxy where it is installed, else a small one."""

import asyncio
import contextlib
import csv
import itertools
import shutil
import socket
import subprocess

_CHECK_SECONDS = 0.5
"""Pause between two looks whether a server is ready."""
_TIMEOUT_SECONDS = 5.0
"""Time after which a server that says nothing is not ready; long, for a busy machine."""
_QUESTION = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

_HAPROXY = """
global
  stats socket {stats} mode 600
defaults
  mode tcp
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout check {timeout:g}s
  retries 3
  option redispatch
frontend clients
  bind 127.0.0.1:{port}
  default_backend servers
backend servers
  balance roundrobin
  option httpchk GET /readyz
  http-check expect status 200
{servers}
"""
"""Connections are passed on as they are, so that clients see what the servers answer."""


def free_port():
    """Return a port of this machine that no one listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _connect(address):
    """Connect to a port of this machine, or to the file on which a server listens."""
    if isinstance(address, int):
        return asyncio.open_connection("127.0.0.1", address)
    return asyncio.open_unix_connection(address)


async def is_ready(address):
    """Whether the server at a port, or at a file, says that it is ready."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            reader, writer = await _connect(address)
            try:
                writer.write(_QUESTION)
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    return False


class HaProxy:
    """HAProxy, which passes connections to servers that say they are ready."""

    name = "HAProxy"

    def __init__(self, folder, addresses):
        self.port = free_port()
        written = [f"127.0.0.1:{a}" if isinstance(a, int) else f"unix@{a}" for a in addresses]
        servers = "\n".join(
            f"  server s{n} {address} check inter 500ms fall 3 rise 1"
            for n, address in enumerate(written)
        )
        self._addresses = addresses
        self._stats = str(folder / "haproxy.sock")
        self._path = folder / "haproxy.cfg"
        written = _HAPROXY.format(
            port=self.port, servers=servers, stats=self._stats, timeout=_TIMEOUT_SECONDS
        )
        self._path.write_text(written)
        self._out = folder / "haproxy.txt"

    async def start(self):
        with self._out.open("wb") as out:
            command = ["haproxy", "-db", "-f", str(self._path)]
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        return self

    async def serving(self):
        """Return the addresses of the servers to which it passes connections."""
        reader, writer = await asyncio.open_unix_connection(self._stats)
        try:
            writer.write(b"show stat\n")
            lines = (await reader.read()).decode().removeprefix("# ").splitlines()
        finally:
            writer.close()
        rows = csv.DictReader(line for line in lines if line)
        up = {row["svname"] for row in rows if row["status"].startswith("UP")}
        return {address for n, address in enumerate(self._addresses) if f"s{n}" in up}

    async def close(self):
        self._process.terminate()
        await asyncio.to_thread(self._process.wait)


class TcpBalancer:
    """Passes each connection to the next server that is ready and takes it."""

    name = "a TCP balancer"

    def __init__(self, _, addresses):
        self._addresses = list(addresses)
        self._next = itertools.cycle(range(len(self._addresses)))
        self._ready = set()

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self._checks = [asyncio.create_task(self._check(address)) for address in self._addresses]
        return self

    async def close(self):
        self._server.close()
        for check in self._checks:
            check.cancel()

    async def serving(self):
        """Return the addresses of the servers to which it passes connections."""
        return set(self._ready)

    async def _check(self, address):
        while True:
            (self._ready.add if await is_ready(address) else self._ready.discard)(address)
            await asyncio.sleep(_CHECK_SECONDS)

    async def _serve(self, reader, writer):
        there = None
        try:
            for _ in self._addresses:
                address = self._addresses[next(self._next)]
                if address in self._ready:
                    with contextlib.suppress(OSError):
                        there = await _connect(address)
                        break
            if there is not None:
                await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))
        except asyncio.CancelledError:
            pass  # The run ended.
        finally:
            for end in (writer, there[1] if there else writer):
                end.close()


async def _copy(source, target):
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    target.close()


def make_balancer(folder, addresses):
    """Return the balancer that this machine can have; addresses are ports or files."""
    return (HaProxy if shutil.which("haproxy") else TcpBalancer)(folder, addresses)
