"""Answers of Anthropic's dialect, whole and streamed."""

import json

import pytest
from tests.support.sdk_types import anthropic_events, check_anthropic_answer

from floorline.gateway.dialects.answer_parts import (
    Ended,
    Failed,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Used,
)
from floorline.gateway.dialects.anthropic import AnthropicDialect, without_foreign_thinking
from floorline.gateway.dialects.conversation import Conversation, Tool
from floorline.gateway.dialects.tool_names import short_name
from floorline.gateway.errors import ApiError
from floorline.gateway.upstreams.usage import Usage

ANTHROPIC = AnthropicDialect()

ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5",
    "content": [
        {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "enc"},
        {"type": "text", "text": "I look.", "citations": None},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 5,
        "cache_read_input_tokens": 80,
        "output_tokens": 7,
    },
}

# The stream of Anthropic's documentation of tools with thinking, shortened.
STREAM = [
    {
        "type": "message_start",
        "message": {
            **ANSWER,
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 5, "cache_read_input_tokens": 80, "output_tokens": 2},
        },
    },
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "thinking", "thinking": "", "signature": ""},
    },
    {"type": "ping"},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "Hm"},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "signature_delta", "signature": "sig"},
    },
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "text_delta", "text": "I look."},
    },
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": ""},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '{"city": '},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '"Oslo"}'},
    },
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 7},
    },
    {"type": "message_stop"},
]


def read_stream(events):
    reader = ANTHROPIC.stream_reader()
    parts = []
    for event in events:
        parts += reader.read(event.get("type", ""), json.dumps(event).encode())
    return parts, reader.done


def streamed(*parts, request=None, id="msg_1"):
    writer = ANTHROPIC.stream_writer("gold", id, request)
    written = b"".join(writer.write([part]) for part in parts)
    return anthropic_events(written + writer.end() + writer.end())


def blocks_of(events):
    """Put blocks together as clients do."""
    blocks = []
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append((dict(event["content_block"]), []))
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            block, pieces = blocks[-1]
            if delta["type"] == "signature_delta":
                block["signature"] = delta["signature"]
            else:
                (text,) = [value for name, value in delta.items() if name != "type"]
                pieces.append(text)
    for block, pieces in blocks:
        kind = block["type"]
        if kind == "tool_use":
            block["input"] = json.loads("".join(pieces) or "{}")
        elif kind != "redacted_thinking":
            block[kind] += "".join(pieces)
    return [block for block, _ in blocks]


def test_a_whole_answer_is_read():
    assert ANTHROPIC.read_answer(json.dumps(ANSWER).encode()) == [
        Started("msg_1", "claude-opus-5"),
        ThinkingDelta("Hm", "sig"),
        ThinkingDelta(encrypted="enc"),
        TextDelta("I look."),
        ToolCallStarted(0, "toolu_1", "f"),
        ToolCallDelta(0, '{"city":"Oslo"}'),
        ToolCallStarted(1, "toolu_2", "g"),
        Used(Usage(85, 7, cached_tokens=80)),
        Ended("tool_calls"),
    ]


@pytest.mark.parametrize(
    ("reason", "ended"),
    [
        ("end_turn", Ended("stop")),
        ("stop_sequence", Ended("stop", "END")),
        ("max_tokens", Ended("length")),
        ("model_context_window_exceeded", Ended("length")),
        ("pause_turn", Ended("pause")),
        ("refusal", Ended("content_filter")),
        ("something_new", Ended("stop")),
    ],
)
def test_reasons(reason, ended):
    stop = ended.stop or None
    answer = {**ANSWER, "content": [], "stop_reason": reason, "stop_sequence": stop}
    assert ANTHROPIC.read_answer(json.dumps(answer).encode())[-1] == ended
    written = ANTHROPIC.write_answer([ended], "gold", "msg_2")
    message = check_anthropic_answer(written)
    assert ANTHROPIC.read_answer(written)[-1] == ended
    assert (message.id, message.model) == ("msg_2", "gold")


@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b"[]", b"7", b"{}", b'{"content": 7}', b'{"choices": []}']
)
def test_what_is_no_answer_is_none(body):
    assert ANTHROPIC.read_answer(body) == []


def test_errors_are_read():
    error = {"type": "overloaded_error", "message": "Overloaded"}
    body = json.dumps({"type": "error", "error": error, "request_id": "req_1"}).encode()
    assert ANTHROPIC.read_answer(body) == [Failed(error)]
    reader = ANTHROPIC.stream_reader()
    assert reader.read("error", body) == [Failed(error)]
    assert reader.done


def test_a_stream_is_read():
    parts, done = read_stream(STREAM)
    assert done
    assert parts == [
        Started("msg_1", "claude-opus-5"),
        Used(Usage(85, 2, cached_tokens=80)),
        ThinkingDelta("Hm"),
        ThinkingDelta(signature="sig"),
        TextDelta("I look."),
        ToolCallStarted(0, "toolu_1", "f"),
        ToolCallDelta(0, '{"city": '),
        ToolCallDelta(0, '"Oslo"}'),
        Used(Usage(85, 7, cached_tokens=80)),
        Ended("tool_calls"),
    ]


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"[]", b'{"type": 7}', b'{"type": "content_block_delta"}', b"[DONE]"]
    + [
        json.dumps({"type": kind, name: value}).encode()
        for kind, name in [
            ("message_start", "message"),
            ("content_block_start", "content_block"),
            ("content_block_delta", "delta"),
            ("message_delta", "delta"),
            ("message_delta", "usage"),
        ]
        for value in (None, 7, "x", [], {}, {"type": 7}, {"type": "new"})
    ],
)
def test_events_that_cannot_be_read_are_ignored(data):
    reader = ANTHROPIC.stream_reader()
    parts = reader.read("", data)
    assert not [part for part in parts if part != Started()]
    assert not reader.done


def test_an_answer_is_written():
    written = ANTHROPIC.write_answer(
        [
            Started("chatcmpl-1", "theirs"),
            ThinkingDelta("H"),
            ThinkingDelta("m"),
            ThinkingDelta(encrypted="enc"),
            TextDelta("I "),
            TextDelta("look."),
            ToolCallStarted(0, "call_1", "f"),
            ToolCallDelta(0, '{"city"'),
            ToolCallDelta(0, ': "Oslo"}'),
            ToolCallStarted(1, "call_2", "g"),
            Used(Usage(100, 7, 80)),
            Ended("stop"),
        ],
        "gold",
        "",
    )
    check_anthropic_answer(written)
    assert json.loads(written) == {
        "id": "chatcmpl-1",
        "type": "message",
        "role": "assistant",
        "model": "gold",
        "content": [
            {"type": "thinking", "thinking": "Hm", "signature": "floorline-unsigned"},
            {"type": "redacted_thinking", "data": "floorline-encrypted:enc"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "call_1", "name": "f", "input": {"city": "Oslo"}},
            {"type": "tool_use", "id": "call_2", "name": "g", "input": {}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 20,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 80,
            "output_tokens": 7,
        },
    }


def test_a_refusal_is_written():
    answer = json.loads(ANTHROPIC.write_answer([RefusalDelta("No."), Ended("stop")], "gold", "m"))
    assert answer["content"] == [{"type": "text", "text": "No."}]
    assert answer["stop_reason"] == "refusal"


def test_an_error_in_an_answer_is_written():
    body = ANTHROPIC.write_answer([Failed({"message": "no", "type": "server_error"})], "g", "m")
    assert json.loads(body) == {"type": "error", "error": {"type": "api_error", "message": "no"}}


def test_a_stream_is_written():
    events = streamed(
        Started("c", "theirs"),
        TextDelta("I "),
        TextDelta("look."),
        ToolCallStarted(0, "call_1", "f"),
        ToolCallDelta(0, '{"city"'),
        ToolCallDelta(0, ': "Oslo"}'),
        Ended("tool_calls"),
        Used(Usage(100, 7, 80)),
    )
    assert events[0]["message"]["model"] == "gold"
    assert blocks_of(events) == [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"city": "Oslo"}},
    ]
    assert events[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert events[-2]["usage"]["cache_read_input_tokens"] == 80
    assert events[-2]["usage"]["input_tokens"] == 20


def test_calls_that_take_turns_become_blocks_one_after_the_other():
    events = streamed(
        ToolCallStarted(0, "a", "f"),
        ToolCallStarted(1, "b", "g"),
        ToolCallDelta(1, '{"n": '),
        ToolCallDelta(0, '{"n": 1'),
        TextDelta("Both."),
        ToolCallDelta(0, "}"),
        ToolCallDelta(1, "2}"),
        Ended("tool_calls"),
    )
    assert blocks_of(events) == [
        {"type": "tool_use", "id": "a", "name": "f", "input": {"n": 1}},
        {"type": "tool_use", "id": "b", "name": "g", "input": {"n": 2}},
        {"type": "text", "text": "Both."},
    ]


def test_the_text_of_a_call_is_sent_as_it_comes():
    writer = ANTHROPIC.stream_writer("gold", "m")
    writer.write([ToolCallStarted(0, "a", "f"), ToolCallDelta(0, " ")])
    assert b'{\\"n\\":' in writer.write([ToolCallDelta(0, '{"n":')])


@pytest.mark.parametrize("arguments", ["Oslo", "[1]", '"x"'])
def test_arguments_that_are_no_object_are_kept(arguments):
    events = streamed(
        ToolCallStarted(0, "a", "f"),
        *[ToolCallDelta(0, letter) for letter in arguments],
    )
    assert blocks_of(events)[0]["input"] == {"_raw": arguments}


def test_thinking_is_written():
    events = streamed(
        ThinkingDelta("Hm"),
        ThinkingDelta(encrypted="enc"),
        ThinkingDelta("So"),
        ThinkingDelta(signature="sig"),
        ThinkingDelta("Then"),
        TextDelta("Hi"),
    )
    assert blocks_of(events) == [
        {"type": "thinking", "thinking": "Hm", "signature": "floorline-unsigned"},
        {"type": "redacted_thinking", "data": "floorline-encrypted:enc"},
        {"type": "thinking", "thinking": "So", "signature": "sig"},
        {"type": "thinking", "thinking": "Then", "signature": "floorline-unsigned"},
        {"type": "text", "text": "Hi"},
    ]


def test_nothing_follows_an_error():
    events = streamed(TextDelta("Hi"), Failed({"message": "no"}), TextDelta("more"))
    assert events[-1] == {"type": "error", "error": {"type": "api_error", "message": "no"}}


def test_an_empty_answer_is_a_stream_too():
    events = streamed()
    assert [event["type"] for event in events] == ["message_start", "message_delta", "message_stop"]


def test_the_client_gets_its_own_names_of_tools():
    long = "mcp__server__" + "x" * 80
    request = Conversation(turns=[], tools=[Tool(long), Tool("f")])
    parts = [ToolCallStarted(0, "a", short_name(long)), ToolCallStarted(1, "b", "f")]
    whole = json.loads(ANTHROPIC.write_answer(parts, "gold", "m", request))
    for blocks in (whole["content"], blocks_of(streamed(*parts, request=request))):
        assert [block["name"] for block in blocks] == [long, "f"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (404, "not_found_error"),
        (409, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
    ],
)
def test_errors_are_written(status, kind):
    body = ANTHROPIC.write_error(status, "no", kind="x", code="c", param=None)
    error = {"type": kind, "message": "no", "code": "c"}
    assert json.loads(body) == {"type": "error", "error": error}
    assert ANTHROPIC.write_stream_error(body) == b"event: error\ndata: " + body + b"\n\n"


def test_clients_hear_that_a_conversation_is_not_kept():
    with pytest.raises(ApiError) as found:
        ANTHROPIC.read_request(
            {"thread": {"type": "continue", "previous_message_id": "msg_1"}, "messages": []}
        )
    error = found.value
    body = ANTHROPIC.write_error(400, error.text, kind="x", code=error.code, param=error.param)
    # The place in which Anthropic's SDKs look.
    assert json.loads(body)["error"]["details"] == {"error_code": "thread_not_found"}


def test_thinking_of_others_is_taken_out_of_requests():
    def body(*blocks):
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": list(blocks)}]
        return json.dumps({"messages": turns}).encode()

    text = {"type": "text", "text": "Hi"}
    own = {"type": "thinking", "thinking": "Hm", "signature": "sig"}
    foreign = {"type": "thinking", "thinking": "Hm", "signature": "floorline-unsigned"}
    sealed = {"type": "redacted_thinking", "data": "floorline-encrypted:x"}
    kept = body(own, text)
    assert without_foreign_thinking(kept) is kept
    found = json.loads(without_foreign_thinking(body(foreign, own, sealed, text)))
    assert found["messages"][1]["content"] == [own, text]
    assert len(json.loads(without_foreign_thinking(body(foreign)))["messages"]) == 1
    assert without_foreign_thinking(b"floorline-unsigned") == b"floorline-unsigned"


def test_an_end_for_calls_needs_calls():
    whole = json.loads(ANTHROPIC.write_answer([TextDelta("Hi"), Ended("tool_calls")], "g", "m"))
    assert whole["stop_reason"] == "end_turn"
    assert streamed(Ended("tool_calls"))[-2]["delta"]["stop_reason"] == "end_turn"


def test_why_the_model_refused():
    details = {"type": "refusal", "category": "bio", "explanation": "Not that."}
    ended = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    expected = [RefusalDelta("Not that."), Ended("content_filter")]
    whole = {**ANSWER, "content": [], "usage": None, **ended}
    assert ANTHROPIC.read_answer(json.dumps(whole).encode())[1:] == expected
    parts, _ = read_stream([{"type": "message_delta", "delta": ended}])
    assert parts == expected
