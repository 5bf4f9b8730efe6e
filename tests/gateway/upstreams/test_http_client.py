"""Connections to a provider: kept, broken, refused, redirected."""

import asyncio
import json

import pytest
from pydantic import SecretStr
from tests.support import faulty_provider as faults
from tests.support.upstream_scene import openai_error, refused

from floorline.gateway.errors import upstream_status

TEXT = "".join(faults.TEXT)


def test_connections_are_kept(play):
    async def scene(s):
        await s.upstreams()
        for number in range(6):
            answer = await s.ask(stream=number % 2 == 1)
            await answer.body()
            # The end of a stream is passed on before its connection ends it.
            await s.provider.until(
                lambda _: (
                    not [s for s in s.calls._sessions._sessions.values() if s.connector.ending]
                )
            )
        assert s.provider.accepted == 1

    play(scene)


def test_connection_closed_between_requests(play):
    async def scene(s):
        await s.upstreams()
        s.provider.plan(faults.close_after_answer)
        await s.ask()
        await s.provider.until(lambda p: p.open == 0)
        # The close has to reach this end, too.
        await asyncio.sleep(0.05)
        answer = await s.ask()
        assert answer.attempts == 1
        assert s.provider.accepted == 2

    play(scene)


def test_a_port_without_a_server(play):
    async def scene(s):
        await s.upstreams(endpoint="http://127.0.0.1:9/v1", retries=2)
        error = await refused(s)
        assert (error.kind, error.fallback, upstream_status(error)) == ("connect", True, 502)
        assert len(s.slept) == 2

    play(scene)


def test_unknown_host(play):
    async def scene(s):
        await s.upstreams(endpoint="http://nowhere.invalid/v1")
        assert (await refused(s)).kind == "connect"

    play(scene)


def test_no_redirect_gets_the_key(play):
    async def scene(s):
        await s.upstreams(api_key=SecretStr("sk-1"))
        s.provider.plan(faults.whole(b"", 307, Location=s.provider.base_url + "/elsewhere"))
        assert (await refused(s)).status == 307
        assert len(s.provider.requests) == 1

    play(scene)


@pytest.mark.parametrize("fault", ["connect", "reset", "status", "invalid_response"])
def test_no_error_holds_the_key(play, fault):
    async def scene(s):
        url = "http://127.0.0.1:9/v1" if fault == "connect" else s.provider.base_url
        hidden = {"X-Key": SecretStr("header-secret")}
        await s.upstreams(endpoint=url, api_key=SecretStr("sk-very-secret"), headers=hidden)
        told = "sk-very-secret and header-secret"
        body = json.dumps({"error": {"message": told}}).encode()
        s.provider.plan(
            {
                "connect": faults.hang,
                "reset": faults.reset,
                "status": faults.error(500, told),
                "invalid_response": faults.whole(body),
            }[fault]
        )
        error = await refused(s)
        assert error.kind == fault
        shown = [str(error), repr(error.__reduce__()), str(openai_error(error)), repr(s.settings())]
        while error is not None:
            shown.append(repr(error) + repr(vars(error)))
            error = error.__cause__ or error.__context__
        assert "secret" not in "".join(shown)

    play(scene)


def test_large_request(play):
    async def scene(s):
        await s.upstreams(retries=2)
        s.provider.plan(faults.error(503))
        answer = await s.ask(padding="x" * 3_000_000)
        assert answer.attempts == 2
        assert len(s.provider.requests[1]["body"]["padding"]) == 3_000_000

    play(scene)
