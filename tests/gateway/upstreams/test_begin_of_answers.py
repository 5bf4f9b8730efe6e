"""A stream has begun when content arrives; what has no content is a failure."""

import asyncio
import json

import pytest
from tests.support import faulty_provider as faults
from tests.support.upstream_scene import drain, refused

from floorline.config import TimeoutSettings

COMMENT = b": keepalive\n\n"
PING = b'data: {"type": "ping"}\n\n'


def chunk(choice, **more):
    return faults.event({"id": "c-1", "choices": [choice], **more})


ROLE = chunk({"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None})
NOTHING = {
    "comments": COMMENT,
    "comments of one line": b": keepalive\n",
    "pings": PING,
    "pings with a kind": b"event: ping\n" + PING,
    "chunks without choices": faults.event({"id": "c-1", "choices": []}),
    "filters of the prompt": faults.event({"choices": [], "prompt_filter_results": [{"i": 0}]}),
    "chunks of empty deltas": chunk({"index": 0, "delta": {}}),
    "chunks of empty texts": chunk({"index": 0, "delta": {"content": ""}, "finish_reason": ""}),
    "the role": ROLE,
    "times to retry": b"retry: 3000\n\n",
}
"""What a provider sends before it has an answer."""


@pytest.mark.parametrize("name", NOTHING)
def test_what_is_no_content_is_no_first_byte(play, name):
    async def endless(connection):
        while True:
            await connection.piece(NOTHING[name])
            await asyncio.sleep(0.02)

    async def scene(s):
        await s.upstreams(timeouts=TimeoutSettings(first_byte=0.25, idle=5.0))
        s.provider.plan(faults.stream([], then=endless))
        error = await refused(s, stream=True)
        assert (error.kind, error.fallback) == ("timeout", True)
        assert "no content within 0.25 s (timeouts.first_byte)" in str(error)
        await s.provider.until(lambda p: p.open == 0)

    play(scene)


def test_empty_lines_are_no_first_byte_of_a_whole_answer(play):
    async def endless(connection):
        await connection.head(200, Content_Length=100_000)
        while True:
            await connection.write(b"\n")
            await asyncio.sleep(0.02)

    async def patient(connection):
        body = b"\n" * 5 + faults.completion()
        await connection.head(200, Content_Length=len(body))
        for _ in range(5):
            await connection.write(b"\n")
            await asyncio.sleep(0.02)
        await connection.write(faults.completion())

    async def scene(s):
        await s.upstreams(timeouts=TimeoutSettings(first_byte=0.25, idle=5.0))
        s.provider.plan(endless)
        error = await refused(s)
        assert (error.kind, error.fallback) == ("timeout", True)
        assert "timeouts.first_byte" in str(error)
        await s.calls.close()
        await s.upstreams()
        s.provider.plan(patient)
        answer = await s.ask()
        assert await answer.body() == b"\n" * 5 + faults.completion()
        assert answer.first_byte_s >= 0.1

    play(scene)


@pytest.mark.parametrize("ending", [faults.reset, faults.close, None])
@pytest.mark.parametrize("name", NOTHING)
def test_what_breaks_before_content_may_fall_back(play, name, ending):
    async def scene(s):
        await s.upstreams()
        s.provider.plan(faults.stream([NOTHING[name]] * 2, then=ending))
        error = await refused(s, stream=True)
        assert error.fallback
        assert error.kind == ("reset" if ending else "invalid_response")

    play(scene)


@pytest.mark.parametrize("name", NOTHING)
def test_what_came_before_content_is_passed_on_with_it(play, name):
    async def scene(s):
        await s.upstreams()
        sent = [NOTHING[name], NOTHING[name], *faults.events()]
        s.provider.plan(faults.stream(sent))
        answer = await s.ask(stream=True)
        assert await answer.body() == b"".join(sent)

    play(scene)


@pytest.mark.parametrize("ending", [b"", b"\n"])
@pytest.mark.parametrize("dialect", ["openai", "anthropic", "responses"])
def test_an_only_event_without_a_blank_line_is_kept_apart_from_the_end(play, dialect, ending):
    whole = chunk({"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"})

    async def scene(s):
        await s.upstreams()
        s.provider.plan(faults.stream([whole.strip() + ending]))
        answer = await s.calls.call("m", b'{"stream": true}', stream=True, dialect=dialect)
        events = (await answer.body()).strip().split(b"\n\n")
        assert len(events) > 1
        for event in events:
            data = event.rpartition(b"data: ")[2].strip()
            assert data == b"[DONE]" or json.loads(data)

    play(scene)


def test_the_first_byte_is_that_of_content(play):
    async def later(connection):
        await asyncio.sleep(0.15)
        for piece in faults.events():
            await connection.piece(piece)
        await connection.piece(b"")

    async def scene(s):
        await s.upstreams()
        s.provider.plan(faults.stream([COMMENT, ROLE], then=later))
        async with await s.ask(stream=True) as answer:
            # The clocks of the sleep and of the answer may round apart.
            assert answer.first_byte_s >= 0.14

    play(scene)


CONTENT = {
    "a text": {"delta": {"content": "Hi"}},
    "reasoning": {"delta": {"reasoning_content": "Hm"}},
    "reasoning under another name": {"delta": {"thinking": "Hm"}},
    "a call of a tool": {"delta": {"tool_calls": [{"index": 0, "id": "t-1", "function": {}}]}},
    "a sound": {"delta": {"audio": {"id": "a-1"}}},
    "a picture": {"delta": {"content": "", "images": [{"image_url": {"url": "data:,"}}]}},
    "an end": {"delta": {}, "finish_reason": "content_filter"},
}


@pytest.mark.parametrize("name", CONTENT)
def test_a_stream_begins_with_whatever_content(play, name):
    async def scene(s):
        await s.upstreams()
        sent = [ROLE, chunk({"index": 0, **CONTENT[name]})]
        s.provider.plan(faults.stream(sent, then=faults.hang))
        async with await s.ask(stream=True) as answer:
            assert await anext(answer.chunks()) == b"".join(sent)

    play(scene)


def test_comments_after_the_begin_keep_a_stream_alive_until_its_total_time(play):
    async def endless(connection):
        while True:
            await connection.piece(COMMENT)
            await asyncio.sleep(0.02)

    async def scene(s):
        await s.upstreams(timeouts=TimeoutSettings(idle=1.0, total=1.5))
        s.provider.plan(faults.stream(faults.events()[:2], then=endless))
        got, error = await drain(await s.ask(stream=True))
        assert got.startswith(b"".join(faults.events()[:2]) + COMMENT)
        assert "timeouts.total" in str(error)

    play(scene)


@pytest.mark.parametrize(
    ("piece", "stream"), [(COMMENT * 5_000, True), (PING * 5_000, True), (b"\n" * 65_536, False)]
)
def test_what_comes_before_content_is_bounded(play, piece, stream):
    async def scene(s):
        await s.upstreams()
        s.provider.plan(faults.endless(piece, kind="text/event-stream"))
        error = await refused(s, stream=stream)
        assert (error.kind, error.fallback) == ("invalid_response", True)
        assert "1 MiB before any content" in str(error)

    play(scene)


def test_a_first_event_may_be_large(play):
    async def scene(s):
        await s.upstreams()
        picture = {"image_url": {"url": "data:image/png;base64," + "A" * 3_000_000}}
        sent = [ROLE, chunk({"index": 0, "delta": {"content": "", "images": [picture]}})]
        s.provider.plan(faults.stream([*sent, b"data: [DONE]\n\n"]))
        answer = await s.ask(stream=True)
        assert await answer.body() == b"".join(sent) + b"data: [DONE]\n\n"

    play(scene)


FAILED = {"message": "the provider is overloaded", "code": 502}
SOUND = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
FAILURES = {
    "no choices": ({"choices": []}, ""),
    "choices of nothing": ({"choices": [None]}, ""),
    "an empty choice": ({"choices": [{}]}, ""),
    "an empty message": ({"choices": [{"index": 0, "message": {"content": None}}]}, ""),
    "choices of null": ({"choices": None, "object": "chat.completion"}, ""),
    "an error of a choice": ({"choices": [SOUND | {"error": FAILED}]}, "overloaded"),
    "an end in an error": ({"choices": [SOUND | {"finish_reason": "error"}]}, "finish_reason"),
    "an error in place of an answer": ({"error": FAILED}, "overloaded"),
    "an error beside no choices": ({"choices": [], "error": FAILED}, "overloaded"),
    "an error as a text": ({"error": "the provider is overloaded"}, "overloaded"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_whole_answer_without_content_is_a_failure(play, name):
    async def scene(s):
        await s.upstreams()
        body, quote = FAILURES[name]
        s.provider.plan(faults.whole(json.dumps({"id": "c-1", **body}).encode()))
        error = await refused(s)
        assert error.fallback
        assert quote in error.quote

    play(scene)


STREAMED_FAILURES = {
    "the end alone": ([b"data: [DONE]\n\n"], ""),
    "the role and the end": ([ROLE, b"data: [DONE]\n\n"], ""),
    "usage and the end": (
        [faults.event({"choices": [], "usage": faults.USAGE}), b"data: [DONE]\n\n"],
        "",
    ),
    "an error of a choice": ([ROLE, chunk({"index": 0, "error": FAILED})], "overloaded"),
    "an end in an error": ([ROLE, chunk({"delta": {}, "finish_reason": "error"})], "finish_reason"),
    "an error after a comment": ([COMMENT, faults.event({"error": FAILED})], "overloaded"),
    "an error after the role": ([ROLE, faults.event({"error": FAILED})], "overloaded"),
    "an event of the kind error": (
        [b'event: error\ndata: {"message": "the provider is overloaded"}\n\n'],
        "overloaded",
    ),
    "an error in the shape of vLLM": (
        [faults.event({"object": "error", "message": "the provider is overloaded", "code": 500})],
        "overloaded",
    ),
    "an error object": ([json.dumps({"error": FAILED}).encode()], "overloaded"),
}


@pytest.mark.parametrize("name", STREAMED_FAILURES)
def test_a_stream_without_content_is_a_failure(play, name):
    async def scene(s):
        await s.upstreams()
        sent, quote = STREAMED_FAILURES[name]
        s.provider.plan(faults.stream(sent))
        error = await refused(s, stream=True)
        assert error.fallback
        assert quote in error.quote

    play(scene)


def test_an_error_of_a_choice_after_content_is_passed_on_as_a_failure(play):
    async def scene(s):
        await s.upstreams()
        sent = [*faults.events()[:2], chunk({"index": 0, "delta": {}, "error": FAILED})]
        s.provider.plan(faults.stream(sent, then=faults.hang))
        answer = await s.ask(stream=True)
        assert await drain(answer) == (b"".join(sent), None)
        assert (answer.error, answer.complete) == (FAILED, False)

    play(scene)


@pytest.mark.parametrize("reason", ["stop", "content_filter", "length", "tool_calls"])
def test_an_answer_without_text_that_has_ended_is_an_answer(play, reason):
    async def scene(s):
        await s.upstreams()
        body = {"choices": [{"index": 0, "message": {"content": None}, "finish_reason": reason}]}
        sent = [chunk({"index": 0, "delta": {}, "finish_reason": reason}), b"data: [DONE]\n\n"]
        s.provider.plan(faults.whole(json.dumps(body).encode()), faults.stream(sent))
        assert (await s.ask()).finish_reasons == [reason]
        answer = await s.ask(stream=True)
        assert await answer.body() == b"".join(sent)
        assert answer.complete

    play(scene)


def test_an_empty_finish_reason_ends_no_choice(play):
    async def scene(s):
        await s.upstreams()
        sent = [chunk({"index": 0, "delta": {"content": "Hi"}, "finish_reason": ""})] * 3
        s.provider.plan(faults.stream(sent))
        _, error = await drain(await s.ask(stream=True))
        assert error.kind == "reset"

    play(scene)
