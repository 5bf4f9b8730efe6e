"""Clients of three dialects before providers of three: official SDKs read what comes back."""

import json
from typing import NamedTuple

import anthropic
import openai
import pytest
from tests.support.dialect_answers import (
    CACHED,
    CALL,
    OUTPUT,
    OVERLOADED,
    PROMPT,
    THINKING,
    WORDS,
    joined,
)
from tests.support.dialect_provider import ANSWERS, KINDS, models, speaking
from tests.support.live_gateway import Live, wait_until, write_settings

CLIENTS = KINDS
QUESTION = "Why is the sky blue in the evening, and what does the wind do to it?"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
COST = (PROMPT * 1.0 + OUTPUT * 2.0) / 1e6


@pytest.fixture(scope="module")
def speaker():
    with speaking() as provider:
        yield provider


@pytest.fixture(scope="module")
def gateway(speaker, tmp_path_factory):
    base = speaker.base_url.removesuffix("/v1")
    slas = [{"name": "gold", "floor": 0.1}]
    text = write_settings(base, models=models(base), slas=slas)
    started = Live(text, tmp_path_factory.mktemp("matrix"))
    yield started
    started.stop()


class Seen(NamedTuple):
    """An answer as an official client sees it."""

    text: str
    calls: list
    end: str
    thinking: str
    usage: tuple
    id: str
    headers: dict


def ask(gateway, client, model, *, stream, turns=None, tools=False):
    """Send a conversation by the SDK of a dialect; turns are of ``TURNS``."""
    return READERS[client](gateway, model, stream, turns or ["question"], tools)


def _chat(gateway, model, stream, turns, tools):
    written = {
        "question": {"role": "user", "content": QUESTION},
        "image": {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            ],
        },
        "call": {
            "role": "assistant",
            "content": "I will look.",
            "tool_calls": [
                {
                    "id": "call_7",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'},
                }
            ],
        },
        "result": {"role": "tool", "tool_call_id": "call_7", "content": "It rains."},
    }
    about = {"model": model, "messages": [written[turn] for turn in turns]}
    if tools:
        function = {"name": "get_weather", "description": "Weather", "parameters": SCHEMA}
        about["tools"] = [{"type": "function", "function": function}]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        create = client.chat.completions.with_raw_response.create
        if not stream:
            raw = create(**about)
            answer = raw.parse()
            choice, usage = answer.choices[0], answer.usage
            message = choice.message
            calls = [(c.function.name, c.function.arguments) for c in message.tool_calls or ()]
            thinking = getattr(message, "reasoning_content", None) or ""
            return Seen(
                message.content or "",
                calls,
                choice.finish_reason,
                thinking,
                _chat_usage(usage),
                answer.id,
                raw.headers,
            )
        raw = create(**about, stream=True, stream_options={"include_usage": True})
        text = thinking = end = id = ""
        calls, usage = [], None
        for chunk in raw.parse():
            id, usage = chunk.id, chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                thinking += getattr(choice.delta, "reasoning_content", None) or ""
                end = choice.finish_reason or end
                for call in choice.delta.tool_calls or ():
                    if call.function.name:
                        assert call.index == len(calls)
                        calls.append([call.function.name, ""])
                    calls[call.index][1] += call.function.arguments or ""
        return Seen(
            text, [tuple(c) for c in calls], end, thinking, _chat_usage(usage), id, raw.headers
        )


def _chat_usage(usage):
    return usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens


def _messages(gateway, model, stream, turns, tools):
    written = {
        "question": {"role": "user", "content": QUESTION},
        "image": {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": PNG},
                },
            ],
        },
        "call": {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I will look."},
                {
                    "type": "tool_use",
                    "id": "call_7",
                    "name": "get_weather",
                    "input": {"city": "Oslo"},
                },
            ],
        },
        "result": {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "call_7", "content": "It rains."}],
        },
    }
    about = {"model": model, "messages": [written[turn] for turn in turns], "max_tokens": 500}
    if tools:
        tool = {"name": "get_weather", "description": "Weather", "input_schema": SCHEMA}
        about["tools"] = [tool]
    with anthropic.Anthropic(base_url=gateway.url, api_key="none", max_retries=0) as client:
        if stream:
            with client.messages.stream(**about) as events:
                for _ in events:
                    pass
                answer, headers = events.get_final_message(), events.response.headers
        else:
            raw = client.messages.with_raw_response.create(**about)
            answer, headers = raw.parse(), raw.headers
    blocks = answer.content
    usage = answer.usage
    cached = usage.cache_read_input_tokens or 0
    prompt = usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0)
    return Seen(
        "".join(block.text for block in blocks if block.type == "text"),
        [(b.name, json.dumps(b.input)) for b in blocks if b.type == "tool_use"],
        answer.stop_reason,
        "".join(block.thinking for block in blocks if block.type == "thinking"),
        (prompt, cached, usage.output_tokens),
        answer.id,
        headers,
    )


def _responses(gateway, model, stream, turns, tools):
    written = {
        "question": {"role": "user", "content": QUESTION},
        "image": {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
            ],
        },
        "call": {
            "type": "function_call",
            "call_id": "call_7",
            "name": "get_weather",
            "arguments": '{"city": "Oslo"}',
        },
        "result": {"type": "function_call_output", "call_id": "call_7", "output": "It rains."},
    }
    about = {"model": model, "input": [written[turn] for turn in turns], "store": False}
    if tools:
        tool = {"type": "function", "name": "get_weather", "description": "Weather"}
        about["tools"] = [{**tool, "parameters": SCHEMA, "strict": False}]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        raw = client.responses.with_raw_response.create(**about, stream=stream)
        answer = raw.parse()
        if stream:
            pieces = ""
            for event in answer:
                if event.type == "response.output_text.delta":
                    pieces += event.delta
            answer = event.response
            assert pieces == answer.output_text
    end = answer.incomplete_details.reason if answer.incomplete_details else answer.status
    usage = answer.usage
    thoughts = [item for item in answer.output if item.type == "reasoning"]
    return Seen(
        answer.output_text,
        [(i.name, i.arguments) for i in answer.output if i.type == "function_call"],
        end,
        "".join(part.text for item in thoughts for part in item.summary or item.content),
        (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens),
        answer.id,
        raw.headers,
    )


READERS = {"openai": _chat, "anthropic": _messages, "responses": _responses}
ENDS = {
    "openai": {"stop": "stop", "length": "length", "tool": "tool_calls"},
    "anthropic": {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use"},
    "responses": {"stop": "completed", "length": "max_output_tokens", "tool": "completed"},
}


def recorded(gateway, headers):
    """The outcome of an answer in the log."""
    id = headers["x-floorline-decision"]

    def look():
        gateway.gateway.store.flush()
        events = gateway.gateway.store.read()
        return [e for e in events if type(e).__name__ == "Outcome" and e.decision == id]

    wait_until(lambda: gateway.call(look))
    (found,) = gateway.call(look)
    return found


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("scene", [*ANSWERS])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_answer(gateway, client, kind, scene, stream):
    blocks, end = ANSWERS[scene]
    seen = ask(gateway, client, f"{kind}-{scene}", stream=stream, tools=scene == "call")
    assert seen.text == joined(WORDS)
    asked = [(CALL[1], {"city": "Oslo"})] if CALL in blocks else []
    assert [(name, json.loads(arguments)) for name, arguments in seen.calls] == asked
    assert seen.end == ENDS[client][end]
    assert seen.thinking == (joined(THINKING) if THINKING in blocks else "")
    assert seen.usage == (PROMPT, CACHED, OUTPUT)
    assert seen.headers["x-floorline-model"] == f"{kind}-{scene}"
    found = recorded(gateway, seen.headers)
    assert found.error is None
    assert (found.input_tokens, found.output_tokens) == (PROMPT, OUTPUT)
    assert found.cached_tokens == CACHED
    assert not found.estimated
    given = gateway.http.post("/v1/feedback", json={"id": seen.id, "satisfied": True})
    # Scenes repeat ids; a direct call takes no feedback from an SLA's users.
    assert given.status_code in (200, 400, 409), given.text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_the_turn_after_a_tool(gateway, speaker, client, kind, stream):
    turns = ["question", "call", "result"]
    seen = ask(gateway, client, f"{kind}-words", stream=stream, turns=turns, tools=True)
    assert seen.text == joined(WORDS)
    body = speaker.requests[-1]["body"]
    text = json.dumps(body)
    assert "It rains." in text
    assert "get_weather" in text
    assert "call_7" in text
    if kind == "openai":
        assert body["messages"][-1]["role"] == "tool"
        assert body["messages"][-1]["tool_call_id"] == "call_7"
    elif kind == "anthropic":
        (result,) = body["messages"][-1]["content"]
        assert (result["type"], result["tool_use_id"]) == ("tool_result", "call_7")
        assert body["tools"][0]["input_schema"] == SCHEMA
    else:
        assert body["input"][-1]["type"] == "function_call_output"
        assert body["input"][-1]["call_id"] == "call_7"
    assert body.get("stream", False) is stream


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_image(gateway, speaker, client, kind):
    seen = ask(gateway, client, f"{kind}-words", stream=False, turns=["image"])
    assert seen.text == joined(WORDS)
    assert PNG in json.dumps(speaker.requests[-1]["body"])


ERRORS = {
    "wrong": (400, "at least one is needed"),
    "too-long": (400, "prompt is too long"),
    "missing": (404, "their-model"),
    "limited": (429, "too many requests"),
    "busy": (502, OVERLOADED),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("scene", [*ERRORS])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_error_before_the_answer(gateway, client, kind, scene, stream):
    status, text = ERRORS[scene]
    if scene == "busy" and client == "anthropic":
        status = 529
    sdk = anthropic if client == "anthropic" else openai
    with pytest.raises(sdk.APIStatusError) as caught:
        ask(gateway, client, f"{kind}-{scene}", stream=stream)
    error = caught.value
    assert error.status_code == status, error
    assert text in str(error.body["error"] if client == "anthropic" else error.body)
    if client == "anthropic":
        assert error.body["type"] == "error"
        types = {
            400: "invalid_request_error",
            404: "not_found_error",
            429: "rate_limit_error",
            529: "overloaded_error",
        }
        assert error.body["error"]["type"] == types[status]
    elif scene == "too-long" and kind == "anthropic":
        assert error.code == "context_length_exceeded"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_error_in_place_of_a_stream(gateway, client, kind):
    sdk = anthropic if client == "anthropic" else openai
    with pytest.raises(sdk.APIStatusError) as caught:
        ask(gateway, client, f"{kind}-early", stream=True)
    assert caught.value.status_code >= 500
    assert OVERLOADED in str(caught.value.body)


@pytest.mark.parametrize("scene", ["fails", "breaks"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_error_within_a_stream(gateway, client, kind, scene):
    sdk = anthropic if client == "anthropic" else openai
    events = raw_events(gateway, client, f"{kind}-{scene}")
    assert WORDS[1] in b"\n".join(events).decode()
    last = [event for event in events if b"data: " in event][-1]
    assert (OVERLOADED if scene == "fails" else "complete") in last.decode()
    if client == "responses":
        # Its SDK gives the event of an error to the program.
        assert b"event: error" in last or b"event: response.failed" in last
        return
    with pytest.raises(sdk.APIError):
        ask(gateway, client, f"{kind}-{scene}", stream=True)


def raw_events(gateway, client, model):
    """Events of a stream, and the request behind it."""
    paths = {"openai": "chat/completions", "anthropic": "messages", "responses": "responses"}
    turns = [{"role": "user", "content": QUESTION}]
    body = {"model": model, "stream": True, "max_tokens": 100, "messages": turns}
    if client == "responses":
        body = {"model": model, "stream": True, "input": QUESTION}
    answer = gateway.http.post(f"/v1/{paths[client]}", json=body)
    assert answer.status_code == 200, answer.text
    found = recorded(gateway, answer.headers)
    assert found.error
    return answer.content.strip().split(b"\n\n")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_whole_answer_in_place_of_a_stream(gateway, client, kind):
    seen = ask(gateway, client, f"{kind}-unstreamed", stream=True, tools=True)
    assert seen.text == joined(WORDS)
    assert [(name, json.loads(arguments)) for name, arguments in seen.calls] == [
        (CALL[1], {"city": "Oslo"})
    ]
    assert seen.end == ENDS[client]["tool"]
    assert seen.usage == (PROMPT, CACHED, OUTPUT)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_that_leaves(gateway, speaker, client, kind):
    paths = {"openai": "chat/completions", "anthropic": "messages", "responses": "responses"}
    turns = [{"role": "user", "content": QUESTION}]
    body = {"model": f"{kind}-hangs", "stream": True, "max_tokens": 100, "messages": turns}
    if client == "responses":
        body = {"model": f"{kind}-hangs", "stream": True, "input": QUESTION}
    with gateway.http.stream("POST", f"/v1/{paths[client]}", json=body) as answer:
        assert answer.status_code == 200
        got = b""
        for piece in answer.iter_raw():
            got += piece
            if WORDS[1].encode() in got or b"Gr\\u00fc" in got:
                break
    found = recorded(gateway, answer.headers)
    assert found.error == "the client disconnected"
    wait_until(lambda: gateway.gateway.upstreams.health()[f"{kind}-hangs"].calls == 0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("client", "kind"), [(one, other) for one in CLIENTS for other in KINDS if one != other]
)
def test_an_answer_without_an_id_gets_one_for_feedback(gateway, client, kind, stream):
    seen = ask(gateway, client, f"{kind}-nameless", stream=stream)
    assert seen.text == joined(WORDS)
    assert seen.id
    assert recorded(gateway, seen.headers).completion == seen.id
    given = gateway.http.post("/v1/feedback", json={"id": seen.id, "satisfied": True})
    assert (
        given.json().get("decision", seen.headers["x-floorline-decision"])
        == (seen.headers["x-floorline-decision"])
    )
    assert given.status_code in (200, 400), given.text
