"""Turns in which pages read the log."""

import asyncio
import threading
import time

import pytest
from tests.support.live_gateway import wait_until

from floorline.gateway.dashboard import reading_turns
from floorline.gateway.dashboard.reading_turns import MOST_READS, ReadingTurns
from floorline.gateway.errors import ApiError
from floorline.stores.browsing import LogBrowser


def test_a_key_waits_for_itself_and_all_keys_for_each_other():
    async def run():
        turns, running, most = ReadingTurns(), [], 0

        async def read(key):
            nonlocal most
            async with turns.turn(key):
                running.append(key)
                assert running.count(key) == 1
                most = max(most, len(running))
                await asyncio.sleep(0.01)
                running.remove(key)

        await asyncio.gather(*(read(f"k{number % 8}") for number in range(40)))
        assert most == MOST_READS
        assert turns._waiting == turns._locks == {}

    asyncio.run(run())


def test_too_many_reads_of_a_key_are_refused(monkeypatch):
    monkeypatch.setattr(reading_turns, "MOST_WAITING", 2)

    async def run():
        turns = ReadingTurns()
        async with turns.turn("a"), asyncio.timeout(60):
            waits = asyncio.create_task(turns.turn("a").__aenter__())
            await asyncio.sleep(0)
            with pytest.raises(ApiError, match="2 pages of this key are waiting"):
                await turns.turn("a").__aenter__()
            # Another key is not concerned.
            async with turns.turn("b"):
                pass
            waits.cancel()
        assert turns._waiting in ({}, {"a": 1})

    asyncio.run(run())


def test_slow_searches_leave_threads_to_requests(keyed, monkeypatch):
    secret = keyed.key("eyes", ["view"], tenant="acme")[1]
    browser = keyed.browser(secret)
    slow, go = [], threading.Event()
    real = LogBrowser.with_calls

    def waits(self, *given, **more):
        slow.append(given)
        assert go.wait(120)
        return real(self, *given, **more)

    monkeypatch.setattr(LogBrowser, "with_calls", waits)
    answers = []

    def load():
        answers.append(browser.get("/dashboard/decisions").status_code)

    pages = [threading.Thread(target=load) for _ in range(40)]
    for page in pages:
        page.start()
    wait_until(lambda: slow)
    time.sleep(0.3)

    async def in_a_thread():
        return await asyncio.to_thread(lambda: "done")

    try:
        # The searches wait until the end, so that a thread is free for it or never is.
        assert keyed.live.call(in_a_thread) == "done"
    finally:
        go.set()
        for page in pages:
            page.join()
    assert answers == [200] * 40
