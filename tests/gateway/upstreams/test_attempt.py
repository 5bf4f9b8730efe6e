"""Attempts at a model: answers, refusals and timeouts up to the first byte."""

import json

import pytest
from pydantic import SecretStr
from tests.support import faulty_provider as faults
from tests.support.upstream_scene import openai_error, refused

from floorline.config import TimeoutSettings
from floorline.gateway.errors import upstream_status
from floorline.gateway.upstreams import Usage

TEXT = "".join(faults.TEXT)


def test_whole_answer(play):
    async def scene(s):
        await s.upstreams(api_key=SecretStr("sk-1"), headers={"X-Org": "us"})
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


def test_hang_before_headers(play):
    async def scene(s):
        await s.upstreams(timeouts=TimeoutSettings(first_byte=0.5), retries=1)
        s.provider.plan(faults.hang)
        answer = await s.ask()
        assert answer.attempts == 2
        s.provider.plan(*[faults.hang] * 2)
        error = await refused(s)
        assert (error.kind, error.fallback, upstream_status(error)) == ("timeout", True, 504)
        assert "first_byte" in str(error)
        # The connection of a call that timed out is closed.
        await s.provider.until(lambda p: p.open <= 1)

    play(scene)


def test_headers_alone_are_no_first_byte(play):
    async def scene(s):
        await s.upstreams(timeouts=TimeoutSettings(first_byte=0.1))
        s.provider.plan(faults.stream([], then=faults.hang))
        assert (await refused(s, stream=True)).kind == "timeout"

    play(scene)


def test_total_bounds_attempts_and_whole_bodies(play):
    async def scene(s):
        await s.upstreams(timeouts=TimeoutSettings(first_byte=5.0, total=1.0), retries=2)
        s.provider.plan(faults.drip(faults.completion() + b" " * 10_000))
        error = await refused(s)
        assert error.kind == "timeout"
        assert "timeouts.total" in str(error)
        assert len(s.provider.requests) == 1

    play(scene)


def test_hang_within_a_whole_body(play):
    async def scene(s):
        await s.upstreams(timeouts=TimeoutSettings(idle=0.15), retries=2)
        s.provider.plan(faults.stream([b'{"id": '], "application/json", then=faults.hang))
        error = await refused(s)
        assert error.kind == "timeout"
        assert "timeouts.idle" in str(error)
        assert len(s.provider.requests) == 1

    play(scene)


def test_break_before_the_first_byte(play):
    async def scene(s):
        await s.upstreams(retries=2)
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
        await s.upstreams(retries=2)
        s.provider.plan(faults.error(status), faults.error(status))
        assert (await s.ask()).attempts == 3
        assert len(s.slept) == 2
        assert 0 <= s.slept[0] <= 0.5
        assert 0 <= s.slept[1] <= 1.0
        s.provider.plan(*[faults.error(status)] * 3)
        error = await refused(s)
        assert (error.kind, error.status, error.fallback) == ("status", status, True)
        assert upstream_status(error) == (429 if status == 429 else 502)
        assert error.quote == "no luck today"
        assert "no luck today" not in str(error)
        assert openai_error(error)["code"] == "upstream_status"

    play(scene)


@pytest.mark.parametrize("given", ["7", "Thu, 01 Jan 1970 00:16:47 GMT"])
def test_retry_after_is_honoured(play, given):
    async def scene(s):
        await s.upstreams(retries=2)
        s.provider.plan(faults.error(429, Retry_After=given))
        assert (await s.ask()).attempts == 2
        assert s.slept == [7.0]

    play(scene)


def test_retry_after_that_is_too_long(play):
    async def scene(s):
        await s.upstreams(retries=2)
        s.provider.plan(faults.error(429, Retry_After="3600"))
        error = await refused(s)
        assert (error.retry_after, upstream_status(error)) == (3600.0, 429)
        assert openai_error(error)["type"] == "rate_limit_error"
        assert s.slept == []

    play(scene)


@pytest.mark.parametrize("status", [400, 404, 422])
def test_errors_of_the_client_are_passed_on(play, status):
    async def scene(s):
        await s.upstreams(retries=2, api_key=SecretStr("sk-very-secret"))
        s.provider.plan(faults.error(status, "sk-very-secret is too long"))
        answer = await s.ask(stream=True)
        assert (answer.status, answer.streamed) == (status, False)
        assert json.loads(await answer.body())["error"]["message"] == "*** is too long"
        assert len(s.provider.requests) == 1
        assert s.calls.health()["m"].breaker == "closed"

    play(scene)


def test_an_error_in_a_list_is_passed_on_as_an_object(play):
    async def scene(s):
        await s.upstreams(fallback_on=[])
        error = {"code": 400, "message": "The input token count (9) exceeds the maximum", "x": 1}
        s.provider.plan(faults.refusal(400, [{"error": error}]))
        answer = await s.ask()
        expected = {"type": "invalid_request_error", "param": None} | error
        assert json.loads(await answer.body())["error"] == expected

    play(scene)


@pytest.mark.parametrize("body", [b"", b"<html>404 Not Found</html>", b"404 page not found"])
def test_a_path_that_a_server_does_not_have_is_no_error_of_the_client(play, body):
    async def scene(s):
        await s.upstreams()
        s.provider.plan(faults.whole(body, 404, kind="text/html"))
        error = await refused(s)
        assert (error.meaning.reason, error.fallback) == ("model_not_found", True)
        assert s.calls.health()["m"].breaker == "open"

    play(scene)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_a_502_and_never_shown(play, status):
    async def scene(s):
        await s.upstreams(retries=2, api_key=SecretStr("sk-very-secret"))
        s.provider.plan(faults.error(status, "Incorrect API key: sk-very-*****"))
        error = await refused(s)
        assert (error.status, upstream_status(error), error.fallback) == (status, 502, True)
        assert "sk-" not in str(error) + str(openai_error(error))
        assert "api_key" in str(error)
        assert len(s.provider.requests) == 1

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
        await s.upstreams(retries=2)
        s.provider.plan(faults.cut_short())
        error = await refused(s)
        assert error.kind == "invalid_response"
        assert len(s.provider.requests) == 1

    play(scene)


def test_stream_of_something_else(play):
    async def scene(s):
        await s.upstreams()
        for pieces in ([b"data: <html>\n\n"], [b'data: {"a": 1}\n\n'], [b'{"a": 1}'], [b"<html>"]):
            s.provider.plan(faults.stream(pieces))
            assert (await refused(s, stream=True)).kind == "invalid_response"

    play(scene)


def test_a_wrong_content_type_is_ignored(play):
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
        await s.upstreams(retries=2)
        failed = faults.event({"error": {"message": "overloaded", "code": 529}})
        s.provider.plan(faults.stream([failed]))
        answer = await s.ask(stream=True)
        assert answer.attempts == 2
        await answer.aclose()
        s.provider.plan(faults.stream([faults.event({"error": {"message": "no", "code": 402}})]))
        error = await refused(s, stream=True)
        assert (error.status, error.fallback) == (402, True)

    play(scene)


def test_slow_body_arrives_whole(play):
    async def scene(s):
        await s.upstreams()
        s.provider.plan(faults.drip())
        assert await (await s.ask()).body() == faults.completion()

    play(scene)
