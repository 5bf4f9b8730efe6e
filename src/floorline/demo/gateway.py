"""The gateway of ``floorline serve --demo``: the simulated zoo and its fake provider."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from floorline.config import Settings, load_text
from floorline.datasets.simulated import SimulatedZoo
from floorline.demo.demo_keys import DemoKeys, make_keys
from floorline.demo.fake_provider import FakeProvider, serving
from floorline.demo.past_traffic import write_past
from floorline.demo.steady_users import SteadyUsers
from floorline.demo.user_behaviour import MEAN_PAUSE_SECONDS, SimulatedUser, UserKey
from floorline.errors import InvalidInput
from floorline.gateway.server import serve
from floorline.stores.sql import SqlStore

MAX_USERS = 1000
"""Most simulated users: 17 requests a second, which one core of a small machine serves."""

_LATENCY = 0.25
"""Real seconds per simulated second: slow enough to see the chunks of a stream arrive."""
_SEED = 0
"""Seed of the users' behaviour."""
_FAULT_RATE = 0.02
"""Share of the calls that fail where there are users, so that there are errors and fallbacks."""
_OUTAGE_MODELS = ("sim-medium", "sim-large", "sim-small", "sim-titan")
"""Models that fail for a while, one after another: those that most requests go to."""
_OUTAGE_EVERY_SECONDS = 420.0
"""Time from one outage to the next."""
_OUTAGE_SECONDS = 90.0
"""Length of an outage: the circuit breaker opens, probes in vain, and closes after it."""
_BREAKER = {"failures": 3, "window": "60s"}
"""When it opens: with 20 users, a model gets a few calls a minute."""
_CACHED_PRICE = 0.1
"""Price of cached input tokens relative to that of others, as with many providers."""
_KEPT_REQUESTS = 200_000
"""Requests that the log keeps where there are users; they take about half a gigabyte."""
_RETENTION_SECONDS = (2 * 3600.0, 24 * 3600.0)
"""Shortest and longest time for which the log keeps them."""


def demo_settings(
    provider: str,
    zoo: SimulatedZoo,
    folder: Path,
    host: str,
    port: int,
    *,
    users: int = 0,
    keys: bool = False,
) -> Settings:
    """Return the settings of a gateway whose models are at a fake provider.

    Parameters
    ----------
    provider
        Base URL of the fake provider.
    zoo
        Its models.
    folder
        Folder of the store.
    host, port
        Address to listen on.
    users
        Number of simulated users, which decides about budgets and how long the log is kept.
    keys
        Whether clients need API keys; then each tenant has an SLA "gold" of its own.

    Raises
    ------
    ConfigError
        If ``host`` is not a loopback address, and there are no API keys.
    """
    models = [
        {
            "name": model.name,
            "endpoint": f"{provider}/v1",
            "input_price": model.input_price,
            "output_price": model.output_price,
            "cached_input_price": round(model.input_price * _CACHED_PRICE, 6),
            "cache_min_tokens": 0,
            "breaker": _BREAKER,
            "capabilities": ["tools", "json"],
        }
        for model in zoo.models
    ]
    written = {
        "models": models,
        "slas": [
            {"name": "gold", "floor": 0.88, "latency": {"p95": "4s"}, "per_tenant": keys},
            {"name": "silver", "floor": 0.75},
            {"name": "bronze", "floor": 0.6, "budget": {"total": _budget(users), "period": "1h"}},
        ],
        "auth": "keys" if keys else "none",
        # Its answers cost nothing.
        "dashboard": {"playground": True},
        "store": {"url": "sqlite:///demo.db", "retention": _retention(users)},
        "server": {"host": host, "port": port},
    }
    return load_text(msgspec.json.encode(written).decode(), name="the demo", folder=folder)


def _budget(users: int) -> float:
    """Budget of the SLA "bronze" in USD an hour.

    It pays for models of a middle price at the rate at which the users send requests.
    """
    return max(0.03, 0.0025 * users)


def _retention(users: int) -> str:
    """Time after which events are deleted, so that a demo that runs for days fills no disk."""
    shortest, longest = _RETENTION_SECONDS
    seconds = _KEPT_REQUESTS * MEAN_PAUSE_SECONDS / users if users else longest
    return f"{min(max(seconds, shortest), longest):.0f}s"


def check_users(users: int) -> None:
    """Raise InvalidInput if the demo cannot have this number of users."""
    if not 0 <= users <= MAX_USERS:
        raise InvalidInput("--users", users, f"give a number of users from 0 to {MAX_USERS}")


async def serve_demo(
    host: str,
    port: int,
    on_ready: Callable[[str, DemoKeys | None], None],
    *,
    users: int = 0,
    with_keys: bool = False,
) -> None:
    """Serve the simulated zoo until a signal arrives; then the log is deleted.

    Parameters
    ----------
    host, port
        Address to listen on.
    on_ready
        Called with the server's URL, and with its API keys if it has any, once requests are
        answered.
    users
        Number of simulated users who send requests and feedback meanwhile; 0 for none.
    with_keys
        Whether clients need API keys; the users then belong to two tenants and to none.

    Raises
    ------
    InvalidInput
        If the number of users is out of range.
    """
    check_users(users)
    zoo = SimulatedZoo(1000)
    fault_rate = _FAULT_RATE if users else 0.0
    provider = FakeProvider(zoo, latency=_LATENCY, fault_rate=fault_rate, caches=True)
    with tempfile.TemporaryDirectory(prefix="floorline-demo-") as folder:
        async with serving(provider.app()) as upstream:
            settings = demo_settings(
                upstream, zoo, Path(folder), host, port, users=users, keys=with_keys
            )
            keys = _make_keys(settings) if with_keys else None
            theirs = (UserKey(),) if keys is None else keys.users
            people = [
                SimulatedUser(zoo, number, _SEED, theirs[number % len(theirs)])
                for number in range(users)
            ]
            if people:
                await _finish(
                    asyncio.to_thread(
                        write_past, settings, zoo, provider, people, now=time.time(), seed=_SEED
                    )
                )
            ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

            def start(url: str) -> None:
                on_ready(url, keys)
                ready.set_result(url)

            beside = asyncio.create_task(_simulate(provider, zoo, people, ready))
            try:
                await serve(settings, on_ready=start)
            finally:
                beside.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await beside


async def _finish(work: Coroutine[Any, Any, object]) -> None:
    """Wait for a thread also if this task is cancelled, so that it finds its files to the end."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def _make_keys(settings: Settings) -> DemoKeys:
    store = SqlStore(settings.store.url.get_secret_value())
    try:
        return make_keys(store.keys)
    finally:
        store.close()


async def _simulate(
    provider: FakeProvider,
    zoo: SimulatedZoo,
    users: Sequence[SimulatedUser],
    ready: asyncio.Future[str],
) -> None:
    """Once the gateway answers, let the users send requests and models fail now and then."""
    url = await ready
    if not users:
        return
    async with SteadyUsers(zoo, users, url).sending():
        while True:
            for model in _OUTAGE_MODELS:
                await asyncio.sleep(_OUTAGE_EVERY_SECONDS - _OUTAGE_SECONDS)
                provider.unavailable.add(model)
                await asyncio.sleep(_OUTAGE_SECONDS)
                provider.unavailable.discard(model)
