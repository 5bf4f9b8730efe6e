import asyncio
import gc

import pytest
from tests.support.faulty_provider import FaultyProvider
from tests.support.upstream_scene import UpstreamScene


@pytest.fixture
def play():
    """Run a scene against a real provider; nothing of it may be left over afterwards."""

    def run(scene_of):
        async def whole():
            async with FaultyProvider() as provider:
                scene = UpstreamScene(provider)
                try:
                    await scene_of(scene)
                    health = scene.calls.health()
                    assert all(h.calls == h.waiting == 0 for h in health.values()), health
                finally:
                    await scene.calls.close()
                await provider.until(lambda p: p.open == 0)
                # Only this task and the server's are left.
                await provider.until(lambda p: len(asyncio.all_tasks()) == 1 + len(p._tasks))

        asyncio.run(whole())
        # Whatever was not closed says so now, and not in another test.
        gc.collect()

    return run
