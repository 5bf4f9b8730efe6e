"""Answers with odd values in fields that the gateway does not need are passed on, and charged."""

import json

import pytest
from tests.support import faulty_provider as faults
from tests.support.upstream_scene import drain, refused

from floorline.config import BreakerSettings
from floorline.gateway.upstreams import Usage
from floorline.gateway.upstreams.completions import read_completion, with_id
from floorline.gateway.upstreams.sse import SseReader

TEXT = "".join(faults.TEXT)
DEEP = "[" * 3_000 + "NaN" + "]" * 3_000

LOGPROBS = {
    "minus infinity": '{"content": [{"token": "a", "logprob": -Infinity, "top_logprobs": []}]}',
    "NaN": "NaN",
    "a lone surrogate": r'{"content": [{"token": "\ud83e", "logprob": -1}]}',
    "deep": DEEP,
    "a huge number": "1" * 5_000,
    "beyond a float": "-1e999",
    "a list": "[1, [2], null]",
    "many": "[" + ", ".join(['{"logprob": -Infinity, "bytes": [1, 2]}'] * 60_000) + "]",
}
"""Of a choice: what no field that the gateway needs may depend on."""

FIELDS = {
    "an empty error": '"error": ""',
    "no error": '"error": null',
    "an error object without anything": '"error": {}',
    "an error of nulls": '"error": {"code": null, "message": ""}',
    "a false error": '"error": false',
    "the time as a text": '"created": "now", "object": 7, "model": ["m"]',
    "infinities": '"created": Infinity, "took": [NaN, -Infinity]',
    "a lone surrogate": r'"system_fingerprint": "\udd89"',
    "choices in another place": '"extra": {"choices": "none", "error": "none"}',
    "depth": f'"extra": {DEEP}',
    "a tab within a text": '"note": "a\tb"',
}
"""Of a completion."""

CHOICES = {
    "an odd neighbour": '7, null, ["x"], {choice}',
    "an index that is a float": '{choice, "index": 0.0}',
    "an index of nothing": '{choice, "index": {}}',
    "a delta beside the message": '{choice, "delta": null}',
    "an odd delta": '{choice, "delta": "Hi"}',
    "calls of tools that are none": '{choice, "tools": -Infinity}',
}
"""Items of the choices; ``{choice`` stands for a sound one."""


def sound(kind, *, logprobs="null", index="0", finish='"stop"', text=TEXT, more=""):
    """A sound choice in JSON, without its last bracket."""
    part = json.dumps({"role": "assistant", "content": text}, ensure_ascii=False)
    return (
        f'{{"index": {index}, "{kind}": {part}, "logprobs": {logprobs}, "finish_reason": {finish}'
        + more
    )


def completion(choices, fields="", usage=faults.USAGE):
    fields = f", {fields}" if fields else ""
    text = f'{{"id": "c-1", "choices": [{choices}], "usage": {json.dumps(usage)}{fields}}}'
    return text.encode()


def cases(kind):
    """Bodies of whole answers, or single chunks with a whole answer."""
    for name, logprobs in LOGPROBS.items():
        yield f"logprobs: {name}", completion(sound(kind, logprobs=logprobs) + "}")
    for name, fields in FIELDS.items():
        yield f"field: {name}", completion(sound(kind) + "}", fields)
    for name, choices in CHOICES.items():
        if not (kind == "delta" and "delta" in name):
            whole = choices.replace("{choice}", sound(kind) + "}")
            yield f"choice: {name}", completion(whole.replace("{choice", sound(kind)))
    body = completion(sound(kind) + "}", '"note": "x"')
    yield "bytes that are no UTF-8", body.replace(b'"x"', b'"\xff\xfe"')
    yield "content that is no UTF-8", body.replace(TEXT.encode(), b"\xff" * len(TEXT))


WHOLE = dict(cases("message"))
CHUNKS = dict(cases("delta"))


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_is_passed_on_and_counted(play, name):
    async def scene(s):
        await s.upstreams()
        s.provider.plan(faults.whole(WHOLE[name]))
        answer = await s.ask()
        assert await answer.body() == WHOLE[name]
        assert (answer.usage, answer.completion_id) == (Usage(12, 9, cached_tokens=8), "c-1")
        assert (answer.output_characters, answer.finish_reasons) == (len(TEXT), ["stop"])
        assert answer.error is None

    play(scene)


@pytest.mark.parametrize("name", CHUNKS)
def test_a_stream_is_passed_on_and_counted(play, name):
    async def scene(s):
        await s.upstreams(breaker=BreakerSettings(failures=1))
        sent = [b"data: " + CHUNKS[name] + b"\n\n", b"data: [DONE]\n\n"]
        s.provider.plan(faults.stream(sent))
        answer = await s.ask(stream=True)
        assert await answer.body() == b"".join(sent)
        assert (answer.usage, answer.completion_id) == (Usage(12, 9, cached_tokens=8), "c-1")
        assert (answer.output_characters, answer.finish_reasons) == (len(TEXT), ["stop"])
        assert answer.complete
        assert s.calls.health()["m"].breaker == "closed"

    play(scene)


@pytest.mark.parametrize("name", WHOLE)
def test_only_the_id_changes_if_the_gateway_gives_its_own(name):
    body = WHOLE[name]
    changed = with_id(body, "d-1")
    assert bytes(read_completion(changed).id) == b'"d-1"'
    rest = body.partition(b'"choices"')[2].replace(b" ", b"")
    assert rest.rpartition(b"}")[0] in changed.replace(b" ", b"")


@pytest.mark.parametrize("name", CHUNKS)
def test_what_is_dropped_and_named_anew_keeps_its_other_bytes(name):
    payload = CHUNKS[name]
    reader = SseReader(drop_usage=True, own_id="d-1")
    passed = reader.feed(b"data: " + payload + b"\n\n")
    rest = payload.partition(b'"choices"')[2].replace(b" ", b"")
    assert b'"d-1"' in passed
    assert rest.rpartition(b"}")[0] in passed.replace(b" ", b"")


LINES = {
    "a comment first": [b": OPENROUTER PROCESSING\n\n"],
    "a comment before the data of an event": [b": ping\n"],
    "a ping": [b'data: {"type": "ping"}\n\n'],
    "a ping with a kind": [b'event: ping\ndata: {"type": "ping"}\n\n'],
    "an empty event": [b"data: \n\n"],
    "a time to retry": [b"retry: 3000\n\n"],
    "a number": [b"id: 7\n"],
    "text that is no JSON": [b"data: ping\n\n"],
    "an event of a kind of its own": [b'event: queue\ndata: {"position": 3}\n\n'],
    "filters of the prompt": [faults.event({"choices": [], "prompt_filter_results": [{}]})],
    "a mark of the order of bytes": [b"\xef\xbb\xbf"],
    "a mark and line ends of Windows": [b"\xef\xbb\xbf: hello\r\n\r\n"],
}
"""What comes before an event, and is no content."""


@pytest.mark.parametrize("place", ["first", "between"])
@pytest.mark.parametrize("name", LINES)
def test_what_is_no_chunk_is_passed_on(play, name, place):
    async def scene(s):
        await s.upstreams(breaker=BreakerSettings(failures=1))
        events = faults.events(usage=faults.USAGE)
        at = 0 if place == "first" else 2
        extra = LINES[name] if at == 0 else [LINES[name][0].removeprefix(b"\xef\xbb\xbf")]
        sent = [piece for piece in [*events[:at], *extra, *events[at:]] if piece]
        s.provider.plan(faults.stream(sent))
        answer = await s.ask(stream=True)
        assert await answer.body() == b"".join(sent)
        assert (answer.usage, answer.finish_reasons) == (Usage(12, 9, cached_tokens=8), ["stop"])
        assert (answer.output_characters, answer.error) == (len(TEXT), None)
        assert s.calls.health()["m"].breaker == "closed"

    play(scene)


TIMINGS = {"cache_n": 8, "prompt_n": 4, "predicted_n": 9, "predicted_ms": 12.5}
USAGE_EVENTS = {
    "usage alone": ({"choices": [], "usage": faults.USAGE}, False),
    "and what every chunk has": (
        {"id": "c-1", "object": "x", "created": 1, "model": "m", "choices": [], "obfuscation": "aa"}
        | {"system_fingerprint": None, "service_tier": "default", "usage": faults.USAGE},
        False,
    ),
    "and empty fields": ({"choices": [], "usage": faults.USAGE, "prompt_ids": None}, False),
    "and timings": ({"choices": [], "usage": faults.USAGE, "timings": TIMINGS}, True),
    "and citations": ({"choices": [], "usage": faults.USAGE, "citations": ["https://a"]}, True),
    "and the end": (
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": faults.USAGE},
        True,
    ),
    "of Groq": ({"choices": [], "x_groq": {"id": "r-1", "usage": faults.USAGE}}, True),
}


@pytest.mark.parametrize("name", USAGE_EVENTS)
def test_a_chunk_of_usage_that_only_the_gateway_asked_for_keeps_its_other_content(play, name):
    async def scene(s):
        await s.upstreams(ask_usage=True)
        chunk, kept = USAGE_EVENTS[name]
        before, end = faults.events()[:-1], faults.events()[-1]
        s.provider.plan(faults.stream([*before, faults.event(chunk), end]))
        answer = await s.ask(stream=True)
        sent = [*before, *([faults.event(chunk)] if kept else []), end]
        assert await answer.body() == b"".join(sent)
        assert answer.usage == Usage(12, 9, cached_tokens=8)

    play(scene)


ERRORS = {
    "an object": {"message": "no luck", "code": 502},
    "a text": "no luck",
    "true": True,
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_with_content_is_still_an_error(play, name, stream):
    async def scene(s):
        await s.upstreams()
        body = json.loads(completion(sound("message") + "}")) | {"error": ERRORS[name]}
        s.provider.plan(
            faults.stream([faults.event(body)])
            if stream
            else faults.whole(json.dumps(body).encode())
        )
        error = await refused(s, stream=stream)
        assert error.fallback

    play(scene)


def test_an_event_of_the_kind_error_is_an_error(play):
    async def scene(s):
        await s.upstreams(breaker=BreakerSettings(failures=1))
        failed = b'event: error\ndata: {"code": "InternalError", "message": "out of memory"}\n\n'
        sent = [*faults.events()[:2], failed]
        s.provider.plan(faults.stream(sent))
        answer = await s.ask(stream=True)
        assert await drain(answer) == (b"".join(sent), None)
        assert answer.error == {"code": "InternalError", "message": "out of memory"}
        assert s.calls.health()["m"].breaker == "open"

    play(scene)
