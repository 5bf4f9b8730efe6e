"""The gateway of ``floorline serve --demo``: the simulated zoo and its fake provider."""

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
"""Real seconds per simulated second: slow enough to see the chunks of a stream arrive."""


def demo_settings(provider: str, zoo: SimulatedZoo, folder: Path, host: str, port: int) -> Settings:
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

    Raises
    ------
    ConfigError
        If ``host`` is not a loopback address, because there are no API keys.
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
    """Serve the simulated zoo until a signal arrives; then the log is deleted."""
    zoo = SimulatedZoo(1000)
    provider = FakeProvider(zoo, latency=_LATENCY)
    with tempfile.TemporaryDirectory(prefix="floorline-demo-") as folder:
        async with serving(provider.app()) as url:
            settings = demo_settings(url, zoo, Path(folder), host, port)
            await serve(settings, on_ready=on_ready)
