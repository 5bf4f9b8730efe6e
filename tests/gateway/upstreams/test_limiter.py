"""The limit on calls at a time, and its queue."""

import asyncio

import pytest

from floorline.gateway.upstreams.limiter import Limiter, Saturated


def test_waiting_calls_run_in_order_of_arrival():
    async def scene():
        limiter = Limiter(1, 2, 30.0)
        await limiter.acquire()
        running = []

        async def call(name):
            await limiter.acquire()
            running.append(name)

        tasks = [asyncio.create_task(call(name)) for name in "ab"]
        await asyncio.sleep(0)
        assert (limiter.running, limiter.full, limiter.waiting) == (1, True, 2)
        with pytest.raises(Saturated):
            await limiter.acquire()
        limiter.release()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert running == ["a"]
        limiter.release()
        await asyncio.gather(*tasks)
        limiter.release()
        assert (running, limiter.running, limiter.waiting) == (["a", "b"], 0, 0)

    asyncio.run(scene())


def test_a_cancelled_call_leaves_the_queue():
    async def scene():
        limiter = Limiter(1, 5, 30.0)
        await limiter.acquire()
        early, admitted, late = (asyncio.create_task(limiter.acquire()) for _ in range(3))
        await asyncio.sleep(0)
        early.cancel()
        await asyncio.sleep(0)
        assert limiter.waiting == 2
        # Cancelled in the same turn in which it is admitted.
        limiter.release()
        admitted.cancel()
        await late
        assert admitted.cancelled()
        assert (limiter.running, limiter.waiting) == (1, 0)
        limiter.release()
        assert limiter.running == 0

    asyncio.run(scene())


def test_a_call_waits_no_longer_than_queue_wait():
    async def scene():
        limiter = Limiter(1, 5, 0.02)
        await limiter.acquire()
        with pytest.raises(Saturated):
            await limiter.acquire()
        assert (limiter.running, limiter.waiting) == (1, 0)
        waiting = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        limiter.resize(2, 5, 0.02)
        await waiting
        assert limiter.running == 2

    asyncio.run(scene())
