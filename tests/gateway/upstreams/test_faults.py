"""What the caller sees of everything a provider can do wrong, over real connections."""

import asyncio
import json

import pytest
from tests.support import faulty_provider as faults

from floorline.gateway.errors import api_error, upstream_status
from floorline.gateway.upstreams import (
    BreakerSettings,
    Retries,
    Secret,
    Timeouts,
    UpstreamError,
    Usage,
)

TEXT = "".join(faults.TEXT)
THREE = Retries(attempts=3, base=0.5, cap=4.0, longest_wait=20.0)


def openai_error(error):
    """What a client gets to read of an error."""
    return json.loads(api_error(error).body())["error"]


async def refused(scene, **asked):
    with pytest.raises(UpstreamError) as caught:
        await scene.ask(**asked)
    return caught.value


async def drain(answer):
    """What arrives of a stream, and the error at its end, if any."""
    got = []
    try:
        # Appended one by one, so that what came before an error is kept.
        async for chunk in answer.chunks():
            got.append(chunk)  # noqa: PERF401
    except UpstreamError as error:
        return b"".join(got), error
    return b"".join(got), None


def test_whole_answer(play):
    async def scene(s):
        await s.upstreams(api_key=Secret("sk-1"), headers={"X-Org": "us"})
        answer = await s.ask(headers={"traceparent": "00-1", "Authorization": "Bearer theirs"})
        assert not answer.streamed
        assert await answer.body() == faults.completion()
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert answer.completion_id == "chatcmpl-1"
        assert answer.usage == Usage(12, 9, cached_tokens=8)
        assert answer.output_characters == len(TEXT)
        assert answer.finish_reasons == ["stop"]
        assert answer.attempts == 1
        assert 0 < answer.first_byte_s <= answer.total_s
        sent = s.provider.requests[0]
        assert sent["line"] == "POST /v1/chat/completions HTTP/1.1"
        assert sent["headers"]["authorization"] == "Bearer sk-1"
        assert sent["headers"]["x-org"] == "us"
        assert sent["headers"]["traceparent"] == "00-1"

    play(scene)


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


def test_connections_are_kept(play):
    async def scene(s):
        await s.upstreams()
        for number in range(6):
            answer = await s.ask(stream=number % 2 == 1)
            await answer.body()
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


def test_kept_connection_that_breaks_on_use_is_replaced(play):
    async def scene(s):
        await s.upstreams(retries=THREE)
        await s.ask()
        s.provider.plan(faults.reset)
        answer = await s.ask()
        assert answer.attempts == 2

    play(scene)


def test_nobody_listens(play):
    async def scene(s):
        await s.upstreams(base_url="http://127.0.0.1:9/v1", retries=THREE)
        error = await refused(s)
        assert (error.kind, error.fallback, upstream_status(error)) == ("connect", True, 502)
        assert len(s.slept) == 2

    play(scene)


def test_unknown_host(play):
    async def scene(s):
        await s.upstreams(base_url="http://nowhere.invalid/v1")
        assert (await refused(s)).kind == "connect"

    play(scene)


def test_hang_before_headers(play):
    async def scene(s):
        await s.upstreams(timeouts=Timeouts(first_byte=0.1), retries=THREE)
        s.provider.plan(faults.hang)
        answer = await s.ask()
        assert answer.attempts == 2
        s.provider.plan(*[faults.hang] * 3)
        error = await refused(s)
        assert (error.kind, error.fallback, upstream_status(error)) == ("timeout", True, 504)
        assert "first_byte" in str(error)
        # Whoever is given up is also hung up on.
        await s.provider.until(lambda p: p.open <= 1)

    play(scene)


def test_headers_alone_are_no_first_byte(play):
    async def scene(s):
        await s.upstreams(timeouts=Timeouts(first_byte=0.1))
        s.provider.plan(faults.stream([], then=faults.hang))
        assert (await refused(s, stream=True)).kind == "timeout"

    play(scene)


def test_total_bounds_attempts_and_whole_bodies(play):
    async def scene(s):
        await s.upstreams(timeouts=Timeouts(first_byte=5.0, total=0.3), retries=THREE)
        s.provider.plan(faults.drip(faults.completion() + b" " * 10_000))
        error = await refused(s)
        assert error.kind == "timeout"
        assert "Timeouts.total" in str(error)
        assert len(s.provider.requests) == 1

    play(scene)


def test_hang_within_a_whole_body(play):
    async def scene(s):
        await s.upstreams(timeouts=Timeouts(idle=0.15), retries=THREE)
        s.provider.plan(faults.stream([b'{"id": '], "application/json", then=faults.hang))
        error = await refused(s)
        assert error.kind == "timeout"
        assert "Timeouts.idle" in str(error)
        assert len(s.provider.requests) == 1

    play(scene)


@pytest.mark.parametrize("timeouts", [Timeouts(idle=0.15), Timeouts(total=0.3)])
def test_hang_mid_stream(play, timeouts):
    async def scene(s):
        await s.upstreams(timeouts=timeouts, retries=THREE)
        s.provider.plan(faults.stream(faults.events()[:2], then=faults.hang))
        got, error = await drain(await s.ask(stream=True))
        assert got == b"".join(faults.events()[:2])
        assert error.kind == "timeout"
        assert len(s.provider.requests) == 1

    play(scene)


def test_slow_client_is_no_silence_of_the_provider(play):
    async def scene(s):
        await s.upstreams(timeouts=Timeouts(idle=0.05))
        answer = await s.ask(stream=True)
        await asyncio.sleep(0.2)
        got = b""
        async for chunk in answer.chunks():
            got += chunk
            await asyncio.sleep(0.08)
        assert got == b"".join(faults.events())

    play(scene)


@pytest.mark.parametrize("ending", [faults.reset, faults.close, None])
def test_stream_without_its_end(play, ending):
    async def scene(s):
        async def broken(connection):
            # Bytes on their way may be lost with a reset, so the client takes these first.
            await asyncio.sleep(0.1)
            await ending(connection)

        await s.upstreams(retries=THREE)
        sent = faults.events(done=False)[: None if ending else -1]
        s.provider.plan(faults.stream(sent, then=ending and broken))
        answer = await s.ask(stream=True)
        got, error = await drain(answer)
        assert got == b"".join(sent)
        assert (error.kind, upstream_status(error)) == ("reset", 502)
        # Never again after the first byte.
        assert len(s.provider.requests) == 1
        assert answer.output_characters == len(TEXT)

    play(scene)


def test_stream_that_stays_open_after_its_end(play):
    async def scene(s):
        await s.upstreams()
        s.provider.plan(faults.stream(then=faults.hang))
        got, error = await drain(await s.ask(stream=True))
        assert (got, error) == (b"".join(faults.events()), None)
        assert s.calls.health()["m"].breaker == "closed"

    play(scene)


def test_done_is_added_where_a_server_leaves_it_out(play):
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


def test_break_before_the_first_byte(play):
    async def scene(s):
        await s.upstreams(retries=THREE)
        s.provider.plan(faults.reset, faults.close)
        answer = await s.ask(stream=True)
        assert answer.attempts == 3
        assert await answer.body() == b"".join(faults.events())
        s.provider.plan(faults.stream([]))
        answer = await s.ask(stream=True)
        assert answer.attempts == 2
        await answer.aclose()

    play(scene)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_statuses_that_pass_are_tried_again(play, status):
    async def scene(s):
        await s.upstreams(retries=THREE)
        s.provider.plan(faults.error(status), faults.error(status))
        assert (await s.ask()).attempts == 3
        assert len(s.slept) == 2
        assert 0 <= s.slept[0] <= 0.5
        assert 0 <= s.slept[1] <= 1.0
        s.provider.plan(*[faults.error(status)] * 3)
        error = await refused(s)
        assert (error.kind, error.status, error.fallback) == ("status", status, True)
        assert upstream_status(error) == (429 if status == 429 else 502)
        assert "no luck today" in str(error)
        assert openai_error(error)["code"] == "upstream_status"

    play(scene)


@pytest.mark.parametrize("given", ["7", "Thu, 01 Jan 1970 00:16:47 GMT"])
def test_retry_after_is_honoured(play, given):
    async def scene(s):
        await s.upstreams(retries=THREE)
        s.provider.plan(faults.error(429, Retry_After=given))
        assert (await s.ask()).attempts == 2
        assert s.slept == [7.0]

    play(scene)


def test_retry_after_that_is_too_long(play):
    async def scene(s):
        await s.upstreams(retries=THREE)
        s.provider.plan(faults.error(429, Retry_After="3600"))
        error = await refused(s)
        assert (error.retry_after, upstream_status(error)) == (3600.0, 429)
        assert openai_error(error)["type"] == "rate_limit_error"
        assert s.slept == []

    play(scene)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_errors_of_the_client_are_passed_on(play, status):
    async def scene(s):
        await s.upstreams(retries=THREE, api_key=Secret("sk-very-secret"))
        s.provider.plan(faults.error(status, "sk-very-secret is too long"))
        answer = await s.ask(stream=True)
        assert (answer.status, answer.streamed) == (status, False)
        assert json.loads(await answer.body())["error"]["message"] == "*** is too long"
        assert len(s.provider.requests) == 1
        assert s.calls.health()["m"].breaker == "closed"

    play(scene)


@pytest.mark.parametrize("status", [401, 403])
def test_refused_key_is_our_fault_and_never_shown(play, status):
    async def scene(s):
        await s.upstreams(retries=THREE, api_key=Secret("sk-very-secret"))
        s.provider.plan(faults.error(status, "Incorrect API key: sk-very-*****"))
        error = await refused(s)
        assert (error.status, upstream_status(error), error.fallback) == (status, 502, True)
        assert "sk-" not in str(error) + str(openai_error(error))
        assert "api_key" in str(error)
        assert len(s.provider.requests) == 1

    play(scene)


def test_no_redirect_gets_the_key(play):
    async def scene(s):
        await s.upstreams(api_key=Secret("sk-1"))
        s.provider.plan(faults.whole(b"", 307, Location=s.provider.base_url + "/elsewhere"))
        assert (await refused(s)).status == 307
        assert len(s.provider.requests) == 1

    play(scene)


@pytest.mark.parametrize("fault", ["connect", "reset", "status", "invalid_response"])
def test_no_error_holds_the_key(play, fault):
    async def scene(s):
        url = "http://127.0.0.1:9/v1" if fault == "connect" else s.provider.base_url
        hidden = {"X-Key": Secret("header-secret")}
        await s.upstreams(base_url=url, api_key=Secret("sk-very-secret"), headers=hidden)
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


@pytest.mark.parametrize(
    "fault",
    [
        faults.not_http,
        faults.whole(b"<html>It works!</html>", kind="text/html"),
        faults.whole(faults.completion()[:60]),
        faults.whole(b"[]"),
        faults.whole(b'{"hello": "world"}'),
        faults.whole(b'{"error": {"message": "no luck today"}}'),
        faults.whole(b'{"choices": {"a": 1}}'),
        faults.whole(b"\xff\xfe"),
        faults.whole(b""),
        faults.whole(b"[" * 100_000),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_invalid_responses(play, fault, stream):
    async def scene(s):
        await s.upstreams()
        s.provider.plan(fault)
        error = await refused(s, stream=stream)
        assert error.kind in ("invalid_response", "reset")
        assert (error.fallback, upstream_status(error)) == (True, 502)
        async with await s.ask(stream=stream) as answer:
            assert answer.status == 200

    play(scene)


def test_body_cut_short(play):
    async def scene(s):
        await s.upstreams(retries=THREE)
        s.provider.plan(faults.cut_short())
        error = await refused(s)
        assert error.kind == "invalid_response"
        assert len(s.provider.requests) == 1

    play(scene)


def test_stream_of_something_else(play):
    async def scene(s):
        await s.upstreams()
        for pieces in ([b"data: <html>\n\n"], [b'data: {"a": 1}\n\n'], [faults.completion()]):
            s.provider.plan(faults.stream(pieces))
            assert (await refused(s, stream=True)).kind == "invalid_response"

    play(scene)


def test_wrong_content_type_is_forgiven(play):
    async def scene(s):
        await s.upstreams()
        s.provider.plan(faults.whole(kind="text/plain"), faults.stream(kind="text/plain"))
        assert (await s.ask()).usage.completion_tokens == 9
        answer = await s.ask(stream=True)
        assert answer.content_type == "text/event-stream"
        assert await answer.body() == b"".join(faults.events())

    play(scene)


def test_stream_that_begins_with_an_error(play):
    async def scene(s):
        await s.upstreams(retries=THREE)
        failed = faults.event({"error": {"message": "overloaded", "code": 529}})
        s.provider.plan(faults.stream([failed]))
        answer = await s.ask(stream=True)
        assert answer.attempts == 2
        await answer.aclose()
        s.provider.plan(faults.stream([faults.event({"error": {"message": "no", "code": 402}})]))
        error = await refused(s, stream=True)
        assert (error.status, error.fallback) == (402, True)

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
        await s.upstreams(max_body=300_000)
        kind = "text/event-stream" if stream else "application/json"
        s.provider.plan(faults.endless(faults.event({"choices": []}) * 1000, kind=kind))
        if stream:
            got, error = await drain(await s.ask(stream=True))
            assert 0 < len(got) <= 300_000
        else:
            error = await refused(s)
        assert error.kind == "too_large"
        await s.provider.until(lambda p: p.open == 0)

    play(scene)


def test_slow_body_arrives_whole(play):
    async def scene(s):
        await s.upstreams()
        s.provider.plan(faults.drip())
        assert await (await s.ask()).body() == faults.completion()

    play(scene)


def test_large_request(play):
    async def scene(s):
        await s.upstreams(retries=THREE)
        s.provider.plan(faults.error(503))
        answer = await s.ask(padding="x" * 3_000_000)
        assert answer.attempts == 2
        assert len(s.provider.requests[1]["body"]["padding"]) == 3_000_000

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
