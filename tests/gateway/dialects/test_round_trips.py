"""What a dialect can say comes back as it was: requests, answers and streams."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.answer_parts import answers, failed, merged
from tests.support.conversations import conversations, turns
from tests.support.sdk_types import (
    anthropic_events,
    check_anthropic_answer,
    check_anthropic_request,
    check_openai_answer,
    check_openai_request,
    events_of,
    openai_chunks,
)

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
from floorline.gateway.dialects.anthropic import AnthropicDialect
from floorline.gateway.dialects.conversation import (
    MediaPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from floorline.gateway.dialects.json_texts import arguments_object
from floorline.gateway.dialects.openai import OpenAIDialect
from floorline.gateway.dialects.responses import ResponsesDialect
from floorline.gateway.errors import ApiError

ANTHROPIC = AnthropicDialect(marks_conversations=False)
OPENAI = OpenAIDialect()
RESPONSES = ResponsesDialect()
MODEL = "their-model"


def sent(fields):
    """A request as it arrives at the other end of a connection."""
    return msgspec.json.decode(msgspec.json.encode(fields))


def with_objects(request):
    """Compare arguments by what they say, not by their spaces."""
    for turn in request.turns:
        for part in turn.parts:
            if type(part) is ToolCallPart:
                part.arguments = json.dumps(arguments_object(part.arguments))
    return request


@settings(max_examples=40)
@given(
    conversations(turns(joined_results=True), cache_key=st.just("")),
    st.sampled_from([{}, {"thinking_tokens": 1024}, {"effort": "none"}]),
)
def test_requests_of_anthropic(request, thinking):
    request = msgspec.structs.replace(request, **thinking)
    if "thinking_tokens" in thinking:
        # Beside thinking there is neither sampling, nor a demanded call, nor an earlier call.
        request.temperature = request.top_p = None
        request.tool_choice, request.parallel_tools = "", None
        request.turns = request.turns[-1:]
        request.turns[0].parts = [p for p in request.turns[0].parts if type(p) is TextPart]
        request.max_output_tokens += 1024
    written = ANTHROPIC.write_request(request, MODEL)
    assert request.losses == []
    check_anthropic_request(written)
    assert with_objects(ANTHROPIC.read_request(sent(written))) == with_objects(request)


@settings(max_examples=40)
@given(
    conversations(
        turns(media_in_results=False),
        effort=st.sampled_from(["", "none", "low", "high", "xhigh"]),
    )
)
def test_requests_of_openai(request):
    request.temperature = request.top_p = None
    request.stop = []
    written = OPENAI.write_request(request, "gpt-5.4")
    assert request.losses == []
    check_openai_request(written)
    found = OPENAI.read_request(sent(written))
    for one in (found, request):
        with_objects(one)
    assert found == request


def essence(request):
    """What no translation may lose, in the order of its kinds."""
    found = []
    for turn in request.turns:
        for part in turn.parts:
            match part:
                case TextPart():
                    found.append((turn.role, part.text))
                case MediaPart():
                    found.append(("media", part.url, part.data, part.media_type))
                case ToolCallPart():
                    found.append(("call", part.id, part.name, arguments_object(part.arguments)))
                case ToolResultPart():
                    found.append(("result", part.call))
                    found += [("inner", one) for one in part.parts]
    return found, request.tools, request.tool_choice, request.output and request.output.schema


@settings(max_examples=40)
@given(conversations(turns(media_in_results=False)))
def test_chat_to_anthropic_and_back_preserves_what_matters(request):
    there = ANTHROPIC.write_request(request, MODEL)
    back = OPENAI.write_request(ANTHROPIC.read_request(sent(there)), MODEL)
    assert essence(OPENAI.read_request(sent(back))) == essence(request)


# Signatures are Anthropic's, and encrypted reasoning is of the provider that wrote it.
def without(parts, *kinds):
    return [part for part in parts if type(part) not in kinds]


def signed(parts):
    """Answers as Anthropic sends them: thinking has a signature, arguments are objects."""
    found = []
    for part in parts:
        if type(part) is ToolCallDelta:
            part = ToolCallDelta(part.index, json.dumps({"text": part.arguments}))
            if any(type(p) is ToolCallDelta and p.index == part.index for p in found):
                continue
        elif type(part) is ThinkingDelta:
            part = ThinkingDelta(part.text or "Hm", part.signature or "sig")
        elif type(part) is RefusalDelta:
            part = TextDelta(part.text)
        found.append(part)
    return found


def canonical(parts):
    found, arguments, used = merged(parts)
    return found, {n: arguments_object(text) for n, text in arguments.items() if text}, used


@settings(max_examples=40)
@given(answers())
def test_whole_answers_of_anthropic(parts):
    parts = signed(parts)
    written = ANTHROPIC.write_answer(parts, "", "")
    check_anthropic_answer(written)
    assert canonical(ANTHROPIC.read_answer(written)) == canonical(parts)


def in_order(parts):
    """The order in which a chat completion has what one message says."""
    kinds = (Started, ThinkingDelta, TextDelta, RefusalDelta, ToolCallStarted, ToolCallDelta)
    kinds += (Used, Ended)
    unsigned = [ThinkingDelta(part.text) if type(part) is ThinkingDelta else part for part in parts]
    kept = [part for part in unsigned if part != ThinkingDelta()]
    return sorted(kept, key=lambda part: kinds.index(type(part)))


@settings(max_examples=40)
@given(answers())
def test_whole_answers_of_openai(parts):
    parts = in_order(parts)
    written = OPENAI.write_answer(parts, "", "")
    check_openai_answer(written)
    assert canonical(OPENAI.read_answer(written)) == canonical(parts)


def chopped(draw, parts):
    """Cut texts and arguments anywhere, and let the deltas of calls take turns."""
    found = []
    for part in parts:
        text = getattr(part, "arguments", None) or getattr(part, "text", None)
        if not text or len(text) < 2 or getattr(part, "signature", ""):
            found.append(part)
            continue
        cut = draw(st.integers(1, len(text) - 1))
        name = "arguments" if type(part) is ToolCallDelta else "text"
        found += [msgspec.structs.replace(part, **{name: one}) for one in (text[:cut], text[cut:])]
    return found


def written_stream(dialect, parts, draw, usage=True):
    writer = dialect.stream_writer("", "")
    if dialect is OPENAI:
        writer.includes_usage = usage
    out = b""
    while parts:
        size = draw(st.integers(1, len(parts)))
        out += writer.write(parts[:size])
        parts = parts[size:]
    return out + writer.end() + writer.end()


def read_stream(dialect, stream):
    reader = dialect.stream_reader()
    parts = []
    for name, data in events_of(stream):
        assert not reader.done
        parts += reader.read(name, data.encode())
    return parts, reader.done


@settings(max_examples=40)
@given(st.data(), answers())
def test_streams_of_anthropic(data, parts):
    parts = chopped(data.draw, signed(parts))
    stream = written_stream(ANTHROPIC, parts, data.draw)
    assert anthropic_events(stream)[-1]["type"] == "message_stop"
    found, done = read_stream(ANTHROPIC, stream)
    assert done
    assert canonical(found) == canonical(parts)


@settings(max_examples=40)
@given(st.data(), answers())
def test_streams_of_openai(data, parts):
    parts = chopped(data.draw, in_order(parts))
    stream = written_stream(OPENAI, parts, data.draw)
    assert openai_chunks(stream)[1]
    found, done = read_stream(OPENAI, stream)
    assert done
    expected = canonical(parts)
    # The usage follows the end there.
    assert canonical(found) == expected


@settings(max_examples=40)
@given(st.data(), answers())
def test_streams_of_one_dialect_become_streams_of_the_other(data, parts):
    parts = chopped(data.draw, signed(parts))
    theirs = written_stream(ANTHROPIC, parts, data.draw)
    ours = written_stream(OPENAI, read_stream(ANTHROPIC, theirs)[0], data.draw)
    again = written_stream(ANTHROPIC, read_stream(OPENAI, ours)[0], data.draw)
    kept = [
        (part if type(part) is not ThinkingDelta else ThinkingDelta(part.text)) for part in parts
    ]
    found = read_stream(ANTHROPIC, again)[0]
    calls = canonical(kept)[1]
    assert canonical(found)[1:] == (calls, canonical(kept)[2])
    for kind in (TextDelta, ThinkingDelta):
        texts = ["".join(p.text for p in each if type(p) is kind) for each in (found, kept)]
        assert texts[0] == texts[1]


@settings(max_examples=40)
@given(st.data())
def test_calls_may_take_turns(data):
    count = data.draw(st.integers(1, 4))
    texts = [json.dumps({"n": number, "text": "}" * number}) for number in range(count)]
    rests = dict(enumerate(texts))
    parts = [ToolCallStarted(number, f"call_{number}", "f") for number in rests]
    while rests:
        number = data.draw(st.sampled_from(sorted(rests)))
        size = data.draw(st.integers(1, len(rests[number])))
        parts.append(ToolCallDelta(number, rests[number][:size]))
        rests[number] = rests[number][size:]
        if not rests[number]:
            del rests[number]
        if data.draw(st.booleans()):
            parts.append(TextDelta("."))
    stream = written_stream(ANTHROPIC, parts, data.draw)
    anthropic_events(stream)
    found, _ = read_stream(ANTHROPIC, stream)
    assert merged(found)[1] == dict(enumerate(texts))
    said = [part for part in found if type(part) is TextDelta]
    assert len("".join(part.text for part in said)) == parts.count(TextDelta("."))


@settings(max_examples=40)
@given(st.data(), answers(), failed)
def test_an_error_is_the_only_end(data, parts, error):
    place = data.draw(st.integers(0, len(parts)))
    parts = [*parts[:place], error, *parts[place:]]
    events = anthropic_events(written_stream(ANTHROPIC, parts, data.draw))
    assert [event["type"] for event in events].count("error") == 1
    assert events[-1]["type"] == "error"
    chunks, over = openai_chunks(written_stream(OPENAI, parts, data.draw))
    assert ("error" in chunks[-1], over) == (True, False)
    for dialect in (ANTHROPIC, OPENAI):
        found, done = read_stream(dialect, written_stream(dialect, parts, data.draw))
        assert done
        assert found[-1].error["message"] == error.error["message"]
        body = dialect.write_answer(parts, "gold", "id")
        assert type(dialect.read_answer(body)[0]) is Failed


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "index",
                    "delta",
                    "content_block",
                    "message",
                    "content",
                    "usage",
                    "error",
                    "choices",
                    "text",
                    "id",
                    "name",
                    "tool_calls",
                    "function",
                    "arguments",
                    "finish_reason",
                    "input_tokens",
                    "partial_json",
                    "role",
                    "input",
                    "stop_reason",
                    "reasoning_content",
                    "custom",
                ]
            ),
            inner | st.sampled_from(["content_block_delta", "text", "tool_use", "error"]),
            max_size=5,
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI], ids=lambda one: one.name)
@settings(max_examples=40)
@given(st.lists(junk, max_size=5))
def test_readers_of_answers_never_raise(dialect, values):
    reader = dialect.stream_reader()
    writers = [one.stream_writer("", "") for one in (ANTHROPIC, OPENAI, RESPONSES)]
    for value in values:
        data = json.dumps(value).encode()
        for parts in (reader.read("", data), dialect.read_answer(data)):
            msgspec.json.decode(msgspec.json.encode(parts))
            for writer in writers:
                writer.write(parts)
    for writer in writers:
        writer.end()


@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI], ids=lambda one: one.name)
@settings(max_examples=40)
@given(
    st.lists(junk, max_size=3),
    st.dictionaries(
        st.sampled_from(
            [
                "system",
                "tools",
                "tool_choice",
                "thinking",
                "output_config",
                "metadata",
                "stop",
                "stop_sequences",
                "response_format",
                "functions",
                "function_call",
                "reasoning",
                "n",
                "user",
            ]
        ),
        junk,
        max_size=4,
    ),
)
def test_readers_of_requests_raise_only_their_errors(dialect, contents, fields):
    roles = ["user", "assistant", "tool"]
    messages = [
        {"role": role, "tool_call_id": "t", "content": content, "tool_calls": content}
        for role, content in zip(roles, contents, strict=False)
    ]
    try:
        request = dialect.read_request({"max_tokens": 5, "messages": messages, **fields})
    except ApiError as error:
        refused = error
    else:
        refused = None
    if refused is not None:
        assert (refused.status, bool(refused.param)) == (400, True)
        return
    for other in (ANTHROPIC, OPENAI, RESPONSES):
        msgspec.json.encode(other.write_request(request, MODEL))
