"""Streams of a provider, whole and broken."""

import asyncio
import functools

import pytest
from tests.support import faulty_provider as faults
from tests.support.upstream_scene import drain, refused

from floorline.config import BreakerSettings, TimeoutSettings
from floorline.gateway.errors import upstream_status
from floorline.gateway.upstreams import Usage

TEXT = "".join(faults.TEXT)


def test_stream_passes_unchanged(play):
    async def scene(s):
        await s.upstreams()
        answer = await s.ask(stream=True)
        assert answer.streamed
        chunks = [chunk async for chunk in answer.chunks()]
        assert b"".join(chunks) == b"".join(faults.events())
        # The first one was here before the last one was sent.
        assert len(chunks) > 1
        assert answer.completion_id == "chatcmpl-1"
        assert answer.usage is None
        assert answer.output_characters == len(TEXT)

    play(scene)


@pytest.mark.parametrize("timeouts", [TimeoutSettings(idle=0.15), TimeoutSettings(total=1.0)])
def test_hang_mid_stream(play, timeouts):
    async def scene(s):
        await s.upstreams(timeouts=timeouts, retries=2)
        sent = b"".join(faults.events()[:2])
        s.provider.plan(faults.stream([sent], then=faults.hang))
        got, error = await drain(await s.ask(stream=True))
        assert got == sent
        assert error.kind == "timeout"
        assert len(s.provider.requests) == 1

    play(scene)


def test_slow_client_is_no_silence_of_the_provider(play):
    async def scene(s):
        await s.upstreams(timeouts=TimeoutSettings(idle=0.05))
        answer = await s.ask(stream=True)
        # The provider has sent all of it, and waits for another request.
        await s.provider.until(lambda p: p._waiting)
        await asyncio.sleep(0.2)
        got = b""
        async for chunk in answer.chunks():
            got += chunk
            await asyncio.sleep(0.08)
        assert got == b"".join(faults.events())

    play(scene)


async def after_a_moment(ending, connection):
    # Bytes on their way may be lost with a reset, so the client takes these first.
    await asyncio.sleep(0.1)
    await ending(connection)


ENDINGS = {
    "reset": functools.partial(after_a_moment, faults.reset),
    "closed": functools.partial(after_a_moment, faults.close),
    "in order": None,
    "never": faults.hang,
}


@pytest.mark.parametrize("ending", [name for name in ENDINGS if name != "never"])
def test_stream_without_its_end(play, ending):
    async def scene(s):
        await s.upstreams(retries=2)
        sent = faults.events(done=False)[:-1]
        s.provider.plan(faults.stream(sent, then=ENDINGS[ending]))
        answer = await s.ask(stream=True)
        got, error = await drain(answer)
        assert got == b"".join(sent)
        assert (error.kind, upstream_status(error)) == ("reset", 502)
        # Never again after the first byte.
        assert len(s.provider.requests) == 1
        assert answer.output_characters == len(TEXT)
        assert answer.complete is False

    play(scene)


@pytest.mark.parametrize("ending", ENDINGS)
def test_stream_whose_choices_have_ended_is_complete_however_it_ends(play, ending):
    async def scene(s):
        await s.upstreams(breaker=BreakerSettings(failures=1), timeouts=TimeoutSettings(idle=0.4))
        sent = b"".join(faults.events(done=False))
        s.provider.plan(faults.stream([sent], then=ENDINGS[ending]))
        answer = await s.ask(stream=True)
        assert await drain(answer) == (b"".join(faults.events()), None)
        assert answer.complete
        assert s.calls.health()["m"].breaker == "closed"

    play(scene)


def test_what_arrived_before_a_reset_is_passed_on_to_a_slow_client(play):
    async def scene(s):
        async def all_at_once(connection):
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            first, *rest = (b"%x\r\n%s\r\n" % (len(one), one) for one in faults.events())
            await connection.write(head + first)
            await connection.write(b"".join(rest))
            connection.reset()

        await s.upstreams()
        s.provider.plan(all_at_once)
        answer = await s.ask(stream=True)
        chunks = answer.chunks()
        got = await anext(chunks)
        await s.provider.until(lambda p: p.open == 0)
        await asyncio.sleep(0.05)
        async for chunk in chunks:
            got += chunk
        assert got == b"".join(faults.events())
        assert answer.complete

    play(scene)


def test_stream_that_stays_open_after_its_end(play):
    async def scene(s):
        await s.upstreams()
        s.provider.plan(faults.stream(then=faults.hang))
        got, error = await drain(await s.ask(stream=True))
        assert (got, error) == (b"".join(faults.events()), None)
        assert s.calls.health()["m"].breaker == "closed"

    play(scene)


def test_done_is_added_if_a_server_does_not_send_it(play):
    async def scene(s):
        await s.upstreams(breaker=BreakerSettings(failures=1))
        s.provider.plan(faults.stream(faults.events(done=False)))
        assert await (await s.ask(stream=True)).body() == b"".join(faults.events())
        # One of two choices is still under way.
        other = faults.event({"choices": [{"index": 1, "delta": {"content": "and"}}]})
        s.provider.plan(faults.stream([other, *faults.events(done=False)]))
        _, error = await drain(await s.ask(stream=True))
        assert error.kind == "reset"

    play(scene)


def test_error_within_a_stream_is_passed_on_and_counts_as_failure(play):
    async def scene(s):
        await s.upstreams(breaker=BreakerSettings(failures=1))
        sent = [*faults.events()[:2], faults.event({"error": {"message": "out of memory"}})]
        s.provider.plan(faults.stream(sent))
        answer = await s.ask(stream=True)
        assert await drain(answer) == (b"".join(sent), None)
        assert answer.error == {"message": "out of memory"}
        assert s.calls.health()["m"].breaker == "open"

    play(scene)


@pytest.mark.parametrize("stream", [False, True])
def test_endless_body(play, stream):
    async def scene(s):
        await s.upstreams(max_answer=300_000)
        kind = "text/event-stream" if stream else "application/json"
        chunk = {"choices": [{"index": 0, "delta": {"content": "on and on "}}]}
        s.provider.plan(faults.endless(faults.event(chunk) * 1000, kind=kind))
        if stream:
            got, error = await drain(await s.ask(stream=True))
            assert 0 < len(got) <= 300_000
        else:
            error = await refused(s)
        assert error.kind == "too_large"
        await s.provider.until(lambda p: p.open == 0)

    play(scene)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 11, 50])
def test_events_in_odd_pieces_with_other_line_ends(play, size):
    async def scene(s):
        await s.upstreams()
        sent = b"\xef\xbb\xbf: hello\r\n\r\n" + b"".join(faults.events(usage=faults.USAGE))
        sent = sent.replace(b"\n\n", b"\r\n\r\n")
        pieces = [sent[i : i + size] for i in range(0, len(sent), size)]
        # Every piece takes its time, so only the odd start goes byte by byte.
        s.provider.plan(faults.stream([*pieces[:40], b"".join(pieces[40:])]))
        answer = await s.ask(stream=True)
        assert await answer.body() == sent
        assert answer.completion_id == "chatcmpl-1"
        assert answer.usage == Usage(12, 9, cached_tokens=8)
        assert answer.output_characters == len(TEXT)

    play(scene)


def test_usage_is_asked_for_and_kept_from_the_client(play):
    async def scene(s):
        await s.upstreams(ask_usage=True)
        answer = await s.ask(stream=True)
        assert await answer.body() == b"".join(faults.events())
        assert answer.usage == Usage(12, 9, cached_tokens=8)
        assert s.provider.requests[0]["body"]["stream_options"] == {"include_usage": True}

        answer = await s.ask(stream=True, stream_options={"include_usage": True})
        assert await answer.body() == b"".join(faults.events(usage=faults.USAGE))

        await s.ask(stream_options=None)
        assert s.provider.requests[2]["body"]["stream_options"] is None

    play(scene)


def test_no_usage(play):
    async def scene(s):
        await s.upstreams()
        s.provider.plan(faults.whole(faults.completion(usage=None)))
        answer = await s.ask()
        assert answer.usage is None
        assert answer.output_characters == len(TEXT)

    play(scene)
