"""Requests, answers and events as the types of the official SDKs have them."""

import functools
import json
from collections.abc import Mapping

import pydantic
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsBase
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsBase


def _consumed(value):
    """Look at all of a value: pydantic checks what may be any iterable only then."""
    if isinstance(value, Mapping):
        return {name: _consumed(one) for name, one in value.items()}
    if isinstance(value, str | bytes | int | float | None):
        return value
    if isinstance(value, pydantic.BaseModel):
        return value
    return [_consumed(one) for one in value]


@functools.cache
def _adapter(kind):
    return pydantic.TypeAdapter(kind)


def check_anthropic_request(fields):
    _consumed(_adapter(MessageCreateParamsBase).validate_python(fields))


def check_openai_request(fields):
    _consumed(_adapter(CompletionCreateParamsBase).validate_python(fields))


def check_anthropic_answer(body):
    return _adapter(Message).validate_json(body, strict=True)


def check_openai_answer(body):
    return _adapter(ChatCompletion).validate_json(body, strict=True)


def check_openai_chunk(data):
    return _adapter(ChatCompletionChunk).validate_json(data, strict=True)


def check_anthropic_event(data):
    return _adapter(RawMessageStreamEvent).validate_json(data, strict=True)


def events_of(stream):
    """Split a stream into the names and the data of its events."""
    found = []
    *events, rest = stream.decode().split("\n\n")
    assert rest == ""
    for event in events:
        name, data = "", None
        for line in event.split("\n"):
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            else:
                assert field == "data"
                assert data is None
                data = value
        found.append((name, data))
    return found


def anthropic_events(stream):
    """Check the events of a stream of Anthropic's, in their order too; return their data."""
    found, open_block, blocks, over = [], None, 0, False
    for name, data in events_of(stream):
        assert not over
        fields = json.loads(data)
        assert fields["type"] == name
        found.append(fields)
        if name == "error":
            over = True
            continue
        check_anthropic_event(data)
        assert (name == "message_start") == (len(found) == 1)
        match name:
            case "content_block_start":
                assert open_block is None
                assert fields["index"] == blocks
                open_block, blocks = blocks, blocks + 1
            case "content_block_delta":
                assert fields["index"] == open_block
            case "content_block_stop":
                assert fields["index"] == open_block
                open_block = None
            case "message_delta":
                assert open_block is None
            case "message_stop":
                assert found[-2]["type"] == "message_delta"
                over = True
    return found


def openai_chunks(stream, typed=True):
    """Check the chunks of a stream of OpenAI's; return them, and whether its end came.

    The SDK's type of a chunk has no calls of custom tools, though the API sends them.
    """
    found, over = [], False
    for name, data in events_of(stream):
        assert name == ""
        assert not over
        if data == "[DONE]":
            over = True
            continue
        fields = json.loads(data)
        if typed and "error" not in fields:
            check_openai_chunk(data)
        found.append(fields)
    return found, over
