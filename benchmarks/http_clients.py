"""Instructions per request of HTTP clients: one POST of 400 bytes, answered at once by the mock.

``python benchmarks/http_clients.py [CLIENT ...]`` runs each client under ``valgrind
--tool=callgrind`` with the provider of ``gateway_mock.py``, for two numbers of requests over 8
connections in one process on uvloop, and divides the difference of the counts. All threads are
counted, the kernel is not. A client whose package is missing is left out. Linux and valgrind only.
"""

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gateway import _stats
from gateway_process import free_port, running, wait_for

HERE = Path(__file__).parent
CONNECTIONS = 8
FEW, MANY = 80, 480
BODY = b'{"model":"m","messages":[{"role":"user","content":"' + b"x" * 340 + b'"}]}'
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "Accept-Encoding": "identity",
    "User-Agent": "bench",
    "Authorization": "Bearer none",
}


async def over_aiohttp(url, ask_all):
    """A session as the gateway has one."""
    import aiohttp
    from multidict import CIMultiDict
    from yarl import URL

    where, headers = URL(url), CIMultiDict(HEADERS)
    timeout = aiohttp.ClientTimeout(total=None, connect=10)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
    ) as session:

        async def ask():
            answer = await session.post(
                where, data=BODY, headers=headers, timeout=timeout, allow_redirects=False
            )
            return await answer.content.readany()

        await ask_all(ask)


async def over_floorline(url, ask_all):
    """The gateway's client."""
    from floorline.config.provider import ProviderSettings  # noqa: F401
    from floorline.gateway.upstreams.connections import open_session
    from floorline.gateway.upstreams.http_client import HttpClient
    from floorline.gateway.upstreams.settings import UpstreamSettings

    settings = UpstreamSettings(endpoint=url.removesuffix("/chat/completions"), model="m")
    session = open_session(15.0)
    client = HttpClient(session, "m", settings)

    async def ask():
        reply = await client.send(BODY, stream=False, headers=None)
        return await reply.read()

    await ask_all(ask)
    await session.close()


async def over_httpx(url, ask_all):
    """On httpcore and anyio."""
    import httpx

    async with httpx.AsyncClient(headers=HEADERS, trust_env=False) as client:

        async def ask():
            return (await client.post(url, content=BODY)).content

        await ask_all(ask)


async def over_niquests(url, ask_all):
    """On urllib3.future."""
    import niquests

    async with niquests.AsyncSession() as session:
        session.trust_env = False

        async def ask():
            return (await session.post(url, data=BODY, headers=HEADERS)).content

        await ask_all(ask)


async def over_aiosonic(url, ask_all):
    """Pure Python, its own HTTP."""
    import aiosonic

    async with aiosonic.HTTPClient() as client:

        async def ask():
            answer = await client.post(url, data=BODY, headers=HEADERS)
            return await answer.content()

        await ask_all(ask)


async def over_pyreqwest(url, ask_all):
    """On reqwest and hyper in Rust."""
    from pyreqwest.client import ClientBuilder

    async with ClientBuilder().build() as client:

        async def ask():
            answer = await client.post(url).headers(HEADERS).body_bytes(BODY).build().send()
            return bytes(await answer.bytes())

        await ask_all(ask)


async def over_rnet(url, ask_all):
    """On reqwest and hyper in Rust."""
    import rnet

    client = rnet.Client()

    async def ask():
        answer = await client.post(url, headers=HEADERS, body=BODY)
        return bytes(await answer.bytes())

    await ask_all(ask)


CLIENTS = {
    name.removeprefix("over_"): made for name, made in list(globals().items()) if "over_" in name
}


async def run(name, url, count):
    """Send requests over several connections; check every answer."""

    async def ask_all(ask):
        async def some(number):
            for _ in range(number, count, CONNECTIONS):
                assert b"chat.completion" in await ask()

        await asyncio.gather(*map(some, range(CONNECTIONS)))

    await CLIENTS[name](url, ask_all)


def instructions(name, url, count):
    """Instructions of a process that sends so many requests."""
    argv = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    argv += [sys.executable, __file__, "--run", name, "--url", url, "--count", str(count)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=900)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or found is None:
        raise RuntimeError(done.stderr[-1500:])
    return int(found[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clients", nargs="*", default=list(CLIENTS))
    parser.add_argument("--run")
    parser.add_argument("--url")
    parser.add_argument("--count", type=int)
    given = parser.parse_args()
    if given.run:
        import uvloop

        uvloop.run(run(given.run, given.url, given.count))
        return
    table = Table("client", "thousands of instructions a request")
    with tempfile.TemporaryDirectory(prefix="floorline-bench-") as folder:
        log, port = Path(folder) / "mock.log", free_port()
        mock = [sys.executable, str(HERE / "gateway_mock.py"), str(port)]
        with running(mock, [0, 1], log) as provider:
            wait_for(provider, log, partial(_stats, port), 10.0)
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            for name in given.clients:
                if find_spec(name) is None:
                    continue
                try:
                    few, many = (instructions(name, url, count) for count in (FEW, MANY))
                except RuntimeError as error:
                    print(name, error, file=sys.stderr)
                    continue
                table.add_row(name, f"{(many - few) / (MANY - FEW) / 1e3:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
