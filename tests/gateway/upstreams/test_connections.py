"""Connections that are kept: for how long, and what happens if the provider closes them."""

import asyncio
import json

import pytest
from tests.support import faulty_provider as faults
from tests.support.faulty_provider import FaultyProvider
from tests.support.upstream_scene import UpstreamScene, refused

from floorline.config import BreakerSettings
from floorline.gateway.upstreams.connections import Use


class OneAnswerEach(FaultyProvider):
    """Answers one request of each connection; ``end`` meets the second one, before its answer."""

    def __init__(self, end):
        super().__init__()
        self.end = end
        self.first = set()

    async def _sound(self, connection):
        if connection in self.first:
            self.ended = getattr(self, "ended", 0) + 1
            await self.end(connection)
        else:
            self.first.add(connection)
            await super()._sound(connection)


class ClosesIdle(FaultyProvider):
    """Closes connections that are idle for some time, as uvicorn and Node.js do after 5 s."""

    seconds = 0.05

    async def _request(self, reader):
        return await asyncio.wait_for(super()._request(reader), self.seconds)

    async def _serve(self, reader, writer):
        try:
            await super()._serve(reader, writer)
        except TimeoutError:
            writer.close()


@pytest.fixture
def before():
    """Run a scene before a provider of one's own."""

    def run(provider, scene_of):
        async def whole():
            async with provider:
                scene = UpstreamScene(provider)
                try:
                    await scene_of(scene)
                finally:
                    await scene.calls.close()

        asyncio.run(whole())

    return run


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("end", [faults.reset, faults.close])
def test_a_kept_connection_that_breaks_is_replaced_at_once(before, end, stream):
    async def scene(s):
        # Without retries, and with a breaker that the first failure opens.
        calls = await s.upstreams(retries=0, breaker=BreakerSettings(failures=1))
        for _ in range(12):
            answer = await s.ask(stream=stream)
            assert answer.attempts == 1
            await answer.body()
            await asyncio.sleep(0)
        assert calls.health()["m"].breaker == "closed"
        assert s.provider.ended > 0
        assert s.slept == []

    before(OneAnswerEach(end), scene)


def test_a_408_of_an_idle_connection_is_no_answer(before):
    async def scene(s):
        calls = await s.upstreams(retries=0, breaker=BreakerSettings(failures=1))
        for _ in range(4):
            assert (await s.ask()).status == 200
        assert s.provider.ended == 3
        assert calls.health()["m"].breaker == "closed"
        # Over a new connection it is the provider's answer.
        s.provider.plan(faults.error(408, Connection="close"), faults.error(408))
        assert (await refused(s)).status == 408

    async def timed_out(connection):
        await faults.error(408, Connection="close")(connection)
        connection.close()

    before(OneAnswerEach(timed_out), scene)


def test_connections_that_are_idle_close_on_either_side(before):
    async def scene(s):
        calls = await s.upstreams(retries=0, breaker=BreakerSettings(failures=1))
        for pause in (0.049, 0.05, 0.051, 0.0505, 0.0495, 0.05):
            assert (await s.ask()).status == 200
            # So that the provider closes while the next request is on its way.
            await asyncio.sleep(pause)
        assert calls.health()["m"].breaker == "closed"

    before(ClosesIdle(), scene)


def test_many_calls_over_connections_that_the_provider_closes(before):
    async def scene(s):
        calls = await s.upstreams(retries=0, breaker=BreakerSettings(failures=1))
        for _ in range(4):
            answers = await asyncio.gather(*[s.ask() for _ in range(20)])
            assert [answer.status for answer in answers] == [200] * 20
        assert calls.health()["m"].breaker == "closed"

    before(OneAnswerEach(faults.reset), scene)


def test_a_fresh_connection_that_breaks_is_a_failure(before):
    async def scene(s):
        await s.upstreams(retries=0)
        await s.ask()
        s.provider.plan(faults.reset, faults.reset)
        error = await refused(s)
        assert (error.kind, error.attempts) == ("reset", 1)
        assert len(s.provider.requests) == 3

    before(FaultyProvider(), scene)


def test_a_connection_that_breaks_within_an_answer_is_not_replaced(before):
    async def scene(s):
        await s.upstreams(retries=0)
        await s.ask()
        s.provider.plan(faults.cut_short())
        await refused(s)
        assert len(s.provider.requests) == 2

    before(FaultyProvider(), scene)


def test_an_unused_connection_is_closed_after_keep_alive(before):
    async def scene(s):
        await s.upstreams(keep_alive=0.1)
        await s.ask()
        assert s.provider.open == 1
        await s.provider.until(lambda p: p.open == 0)
        await s.ask()
        assert s.provider.accepted == 2

    before(FaultyProvider(), scene)


def test_the_providers_keep_alive_is_heeded(before):
    async def scene(s):
        await s.upstreams(keep_alive=60.0)
        s.provider.plan(faults.whole(Keep_Alive="timeout=1, max=100"), faults.whole())
        await s.ask()
        await asyncio.sleep(0.01)
        await s.ask()
        assert s.provider.accepted == 2
        await s.ask()
        assert s.provider.accepted == 2

    before(FaultyProvider(), scene)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 20.0),
        ("timeout=5", 4.0),
        ("max=100, timeout=15", 14.0),
        ("TIMEOUT = 5;max=2", 4.0),
        ("timeout=75", 20.0),
        ("timeout=0", 0.0),
        ("timeout=-1", 20.0),
        ("timeout=99999999999", 20.0),
        ("notimeout=3", 20.0),
        ("", 20.0),
    ],
)
def test_reading_keep_alive(header, seconds):
    use = Use(20.0)
    use.heed(header)
    assert use.keep == seconds


def test_models_of_one_provider_share_its_connections(before):
    async def scene(s):
        calls = await s.upstreams()
        calls.configure({"m": s.settings(), "n": s.settings(model="other")})
        body = json.dumps({"model": "other", "messages": []}).encode()
        await s.ask()
        await calls.call("n", body, stream=False)
        assert s.provider.accepted == 1

    before(FaultyProvider(), scene)
