import asyncio
import gc
import json

import pytest
from tests.support.faulty_provider import FaultyProvider

from floorline.gateway.upstreams import Retries, Timeouts, Upstreams, UpstreamSettings

# Long enough for a machine under load where a test is not about that timeout, short where it is.
PATIENT = Timeouts(connect=10.0, first_byte=20.0, idle=20.0, total=30.0)


class ScenarioStream:
    """A faulty provider, upstreams that call it, and time that only moves when told."""

    def __init__(self, provider):
        self.provider = provider
        self.now = 1000.0
        self.slept = []

    def settings(self, **changes):
        defaults = {
            "model": "their-model",
            "base_url": self.provider.base_url,
            "timeouts": PATIENT,
            "retries": Retries(attempts=1),
        }
        return UpstreamSettings(**defaults | changes)

    async def upstreams(self, **changes):
        self.calls = Upstreams(
            {"m": self.settings(**changes)},
            seed=7,
            clock=lambda: self.now,
            wall_clock=lambda: self.now,
            sleep=self.sleep,
        )
        await self.calls.start()
        return self.calls

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def ask(self, *, stream=False, headers=None, **fields):
        body = {"model": "their-model", "messages": [{"role": "user", "content": "Hi"}], **fields}
        if stream:
            body["stream"] = True
        return await self.calls.call("m", json.dumps(body).encode(), stream=stream, headers=headers)


@pytest.fixture
def play():
    """Run a scene against a real provider; nothing of it may be left over afterwards."""

    def run(scene_of):
        async def whole():
            async with FaultyProvider() as provider:
                scene = ScenarioStream(provider)
                try:
                    await scene_of(scene)
                    health = scene.calls.health()
                    assert all(h.calls == h.waiting == 0 for h in health.values()), health
                finally:
                    await scene.calls.close()
                await provider.until(lambda p: p.open == 0)
                # Nobody is left but this task and the server's.
                await provider.until(lambda p: len(asyncio.all_tasks()) == 1 + len(p._tasks))

        asyncio.run(whole())
        # Whatever was not closed says so now, and not in another test.
        gc.collect()

    return run
