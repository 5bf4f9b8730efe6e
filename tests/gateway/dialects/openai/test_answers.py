"""Answers of OpenAI's chat completions, whole and streamed."""

import json

import pytest
from tests.support.sdk_types import check_openai_answer, openai_chunks

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
from floorline.gateway.dialects.conversation import Conversation, Tool
from floorline.gateway.dialects.openai import OpenAIDialect
from floorline.gateway.dialects.tool_names import short_name
from floorline.gateway.upstreams.usage import Usage

OPENAI = OpenAIDialect()


def completion(message, reason="stop", **fields):
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    return json.dumps({"id": "c-1", "model": "m", "choices": [choice], **fields}).encode()


def call(arguments='{"city": "Oslo"}', **fields):
    function = {"name": "f", "arguments": arguments}
    return {"id": "call_1", "type": "function", "function": function, **fields}


def chunk(delta=None, reason=None, **fields):
    choice = {"index": 0, "delta": delta or {}, "finish_reason": reason}
    return {"id": "c-1", "model": "m", "choices": [choice], **fields}


def read_stream(*chunks):
    reader = OPENAI.stream_reader()
    parts = []
    for one in chunks:
        parts += reader.read("", one if type(one) is bytes else json.dumps(one).encode())
    return parts, reader.done


def streamed(*parts, request=None, usage=False, typed=True):
    writer = OPENAI.stream_writer("gold", "chatcmpl-1", request)
    writer.includes_usage |= usage
    written = b"".join(writer.write([part]) for part in parts)
    return openai_chunks(written + writer.end() + writer.end(), typed)


def deltas(chunks):
    return [one["choices"][0]["delta"] for one in chunks if one["choices"]]


def test_a_whole_answer_is_read():
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    body = completion(
        {"content": "I look.", "reasoning_content": "Hm", "tool_calls": [call()]},
        "tool_calls",
        usage=usage,
    )
    assert OPENAI.read_answer(body) == [
        Started("c-1", "m"),
        ThinkingDelta("Hm"),
        TextDelta("I look."),
        ToolCallStarted(0, "call_1", "f"),
        ToolCallDelta(0, '{"city": "Oslo"}'),
        Used(Usage(9, 3)),
        Ended("tool_calls"),
    ]


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": [{"type": "text", "text": "Hi"}]}, [TextDelta("Hi")]),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
                    {"type": "text", "text": "Hi"},
                ]
            },
            [ThinkingDelta("Hm"), TextDelta("Hi")],
        ),
        ({"content": None, "refusal": "No."}, [RefusalDelta("No.")]),
        (
            {"tool_calls": [call({"city": "Oslo"})]},
            [ToolCallStarted(0, "call_1", "f"), ToolCallDelta(0, '{"city":"Oslo"}')],
        ),
        (
            {"tool_calls": [{"id": "c", "custom": {"name": "s", "input": "ls"}}]},
            [ToolCallStarted(0, "c", "s"), ToolCallDelta(0, '{"input":"ls"}')],
        ),
        ({"content": 7, "tool_calls": [7], "refusal": 3}, []),
    ],
)
def test_messages_of_every_provider(message, parts):
    assert OPENAI.read_answer(completion(message))[1:-1] == parts


@pytest.mark.parametrize(
    "message",
    [
        {"tool_calls": [call("{}", id=None)]},
        {"tool_calls": [call("{}", id="")]},
        {"function_call": {"name": "f", "arguments": "{}"}},
    ],
)
def test_a_call_without_an_id_gets_one_of_its_own(message):
    ids = []
    for _ in range(2):
        _, started, arguments, _ = OPENAI.read_answer(completion(message))
        assert (started.name, arguments) == ("f", ToolCallDelta(0, "{}"))
        ids.append(started.id)
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("reason", "ended"),
    [
        ("stop", [Ended("stop")]),
        ("STOP", [Ended("stop")]),
        ("length", [Ended("length")]),
        ("content_filter", [Ended("content_filter")]),
        ("function_call", [Ended("tool_calls")]),
        ("something_new", [Ended("stop")]),
        ("", []),
        (None, []),
        (7, []),
        ("error", [Failed({"message": "the answer ended with finish_reason 'error'"})]),
    ],
)
def test_reasons(reason, ended):
    assert OPENAI.read_answer(completion({"content": "Hi"}, reason))[2:] == ended


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"{}", b'{"choices": []}', b'{"choices": 7}'])
def test_what_is_no_answer_is_none(body):
    assert OPENAI.read_answer(body) == []


def test_errors_are_read():
    error = {"message": "no", "code": "x"}
    body = json.dumps({"error": error}).encode()
    assert OPENAI.read_answer(body) == [Failed(error)]
    assert OPENAI.read_answer(b'{"error": "no"}') == [Failed({"message": "no"})]
    assert read_stream(body) == ([Failed(error)], True)


def test_a_stream_is_read():
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    parts, done = read_stream(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "Hm"}),
        chunk({"content": "I "}),
        chunk({"content": "look."}),
        chunk({"tool_calls": [{"index": 0, **call("")}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"city"'}}]}),
        chunk({"tool_calls": [{"index": 1, **call("", id="call_2")}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ': "Oslo"}'}}]}),
        chunk(reason="tool_calls"),
        {"id": "c-1", "choices": [], "usage": usage},
        b"[DONE]",
    )
    assert done
    assert parts == [
        Started("c-1", "m"),
        ThinkingDelta("Hm"),
        TextDelta("I "),
        TextDelta("look."),
        ToolCallStarted(0, "call_1", "f"),
        ToolCallDelta(0, '{"city"'),
        ToolCallStarted(1, "call_2", "f"),
        ToolCallDelta(0, ': "Oslo"}'),
        Ended("tool_calls"),
        Used(Usage(9, 3)),
    ]


def test_calls_without_an_index_or_with_the_same():
    for index in ({}, {"index": 0}):
        parts, _ = read_stream(
            chunk({"tool_calls": [{**index, **call("{}", id="a")}]}),
            chunk({"tool_calls": [{**index, **call("{}", id="b")}]}),
        )
        assert [part for part in parts if type(part) is ToolCallStarted] == [
            ToolCallStarted(0, "a", "f"),
            ToolCallStarted(1, "b", "f"),
        ]


def test_a_name_may_come_late_or_never():
    parts, _ = read_stream(
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "{"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "}"}}]}),
        chunk({"tool_calls": [{"index": 1, "id": "b", "function": {"arguments": "{}"}}]}),
        chunk(reason="stop"),
    )
    assert parts[1:] == [
        ToolCallStarted(0, "a", "f"),
        ToolCallDelta(0, "{}"),
        ToolCallStarted(1, "b", "unknown"),
        ToolCallDelta(1, "{}"),
        Ended("stop"),
    ]


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"[]", b"7"]
    + [
        json.dumps(one).encode()
        for one in (
            {"choices": 7},
            {"choices": [7]},
            chunk(7),
            chunk({"content": 7, "tool_calls": 7}),
            chunk({"tool_calls": [7, {"function": 7}, {"index": {}, "custom": 7}]}),
            {"usage": 7, "x_groq": 7, "timings": 7},
        )
    ],
)
def test_chunks_that_cannot_be_read_are_ignored(data):
    parts, done = read_stream(data)
    assert not [part for part in parts if type(part) is not Started]
    assert not done


def test_an_answer_is_written():
    written = OPENAI.write_answer(
        [
            Started("msg_1", "claude"),
            ThinkingDelta("Hm", "sig"),
            TextDelta("I look."),
            ToolCallStarted(0, "toolu_1", "f"),
            ToolCallDelta(0, '{"city": '),
            ToolCallDelta(0, '"Oslo"}'),
            ToolCallStarted(1, "toolu_2", "g"),
            Used(Usage(100, 7, 80, 5)),
            Ended("stop"),
        ],
        "gold",
        "chatcmpl-2",
    )
    answer = check_openai_answer(written)
    (choice,) = answer.choices
    assert (answer.id, answer.model, choice.finish_reason) == ("chatcmpl-2", "gold", "tool_calls")
    assert (choice.message.content, choice.message.reasoning_content) == ("I look.", "Hm")
    calls = [
        (one.id, one.function.name, one.function.arguments) for one in choice.message.tool_calls
    ]
    assert calls == [("toolu_1", "f", '{"city": "Oslo"}'), ("toolu_2", "g", "{}")]
    assert answer.usage.prompt_tokens_details.cached_tokens == 80
    assert answer.usage.prompt_tokens_details.cache_write_tokens == 5
    assert answer.usage.total_tokens == 107


def test_a_refusal_and_an_error_are_written():
    answer = check_openai_answer(OPENAI.write_answer([RefusalDelta("No.")], "gold", "c"))
    message = answer.choices[0].message
    assert (message.content, message.refusal) == (None, "No.")
    body = OPENAI.write_answer([TextDelta("Hi"), Failed({"message": "no"})], "gold", "c")
    about = {"message": "no", "type": "api_error", "param": None, "code": None}
    assert json.loads(body) == {"error": about}


def test_a_stream_is_written():
    parts = [
        Started("msg_1", "claude"),
        ThinkingDelta("Hm"),
        ThinkingDelta(signature="sig"),
        TextDelta("I look."),
        ToolCallStarted(0, "toolu_1", "f"),
        ToolCallDelta(0, '{"city": "Oslo"}'),
        Used(Usage(100, 7)),
        Ended("tool_calls"),
    ]
    chunks, over = streamed(*parts)
    assert over
    assert {(one["id"], one["model"]) for one in chunks} == {("chatcmpl-1", "gold")}
    function = {"name": "f", "arguments": ""}
    assert deltas(chunks) == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Hm"},
        {"content": "I look."},
        {"tool_calls": [{"index": 0, "id": "toolu_1", "type": "function", "function": function}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city": "Oslo"}'}}]},
        {},
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert all("usage" not in one for one in chunks)
    with_usage, _ = streamed(*parts, usage=True)
    assert with_usage[-1]["choices"] == []
    assert with_usage[-1]["usage"]["total_tokens"] == 107


def test_the_usage_is_sent_if_the_request_asks():
    fields = {"messages": [], "stream_options": {"include_usage": True}}
    asked, plain = OPENAI.read_request(fields), OPENAI.read_request({"messages": []})
    assert OPENAI.stream_writer("gold", "c", asked).includes_usage
    assert not OPENAI.stream_writer("gold", "c", plain).includes_usage
    assert not OPENAI.stream_writer("gold", "c").includes_usage


def test_nothing_follows_an_error():
    chunks, over = streamed(TextDelta("Hi"), Failed({"message": "no"}), TextDelta("more"))
    assert "error" in chunks[-1]
    assert not over


def test_the_client_gets_its_own_tools():
    long = "mcp__server__" + "x" * 80
    custom = {"type": "custom", "custom": {"name": "shell"}}
    function = {"type": "function", "function": {"name": long}}
    request = OPENAI.read_request({"messages": [], "tools": [custom, function]})
    parts = [
        ToolCallStarted(0, "a", "shell"),
        ToolCallDelta(0, '{"input": '),
        ToolCallDelta(0, '"ls"}'),
        ToolCallStarted(1, "b", short_name(long)),
        ToolCallDelta(1, "{}"),
    ]
    shell = {"id": "a", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    answer = json.loads(OPENAI.write_answer(parts, "gold", "c", request))
    first, second = answer["choices"][0]["message"]["tool_calls"]
    assert first == shell
    assert second["function"]["name"] == long
    chunks, _ = streamed(*parts, request=request, typed=False)
    calls = [one for delta in deltas(chunks) for one in delta.get("tool_calls", [])]
    assert {"index": 0, **shell} in calls
    assert calls[0]["function"]["name"] == long


def test_errors_are_written():
    body = OPENAI.write_error(404, "no", kind="invalid_request_error", code="c", param="model")
    error = {"message": "no", "type": "invalid_request_error", "param": "model", "code": "c"}
    assert json.loads(body) == {"error": error}
    assert OPENAI.write_stream_error(body) == b"data: " + body + b"\n\n"


def test_names_are_kept_without_a_request():
    request = Conversation(turns=[], tools=[Tool("f")])
    chunks, _ = streamed(ToolCallStarted(0, "a", "f"), request=request)
    assert deltas(chunks)[1]["tool_calls"][0]["function"]["name"] == "f"


def test_an_end_for_calls_needs_calls():
    answer = json.loads(OPENAI.write_answer([TextDelta("Hi"), Ended("tool_calls")], "g", "c"))
    assert answer["choices"][0]["finish_reason"] == "stop"
    chunks, _ = streamed(Ended("tool_calls"))
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
