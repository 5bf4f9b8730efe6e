"""A gateway with nothing to set up: the simulated zoo behind a fake provider, in one process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from floorline.config import Settings, load_text
from floorline.datasets.simulated import SimulatedZoo
from floorline.demo.fake_provider import FakeProvider, serving
from floorline.gateway.server import serve

_LATENCY = 0.25
"""Enough for a stream to be seen as one, and little enough not to bore."""


def demo_settings(provider: str, zoo: SimulatedZoo, folder: Path, host: str, port: int) -> Settings:
    """Settings of a gateway before the fake provider at the URL ``provider``.

    Raises
    ------
    ConfigError
        If ``host`` is not a loopback address, for there are no keys.
    """
    models = [
        {
            "name": model.name,
            "endpoint": f"{provider}/v1",
            "input_price": model.input_price,
            "output_price": model.output_price,
            "capabilities": ["tools", "json"],
        }
        for model in zoo.models
    ]
    written = {
        "models": models,
        "slas": [{"name": "gold", "floor": 0.88}, {"name": "silver", "floor": 0.75}],
        "auth": "none",
        "store": {"url": "sqlite:///demo.db"},
        "server": {"host": host, "port": port},
    }
    return load_text(msgspec.json.encode(written).decode(), name="the demo", folder=folder)


async def serve_demo(host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve the simulated zoo until a signal comes; its log goes with it."""
    zoo = SimulatedZoo(1000)
    provider = FakeProvider(zoo, latency=_LATENCY)
    with tempfile.TemporaryDirectory(prefix="floorline-demo-") as folder:
        async with serving(provider.app()) as url:
            settings = demo_settings(url, zoo, Path(folder), host, port)
            await serve(settings, on_ready=on_ready)
