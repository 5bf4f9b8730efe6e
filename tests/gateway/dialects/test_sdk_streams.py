"""The official SDKs put the written streams together, over real HTTP."""

import json
from types import SimpleNamespace

import anthropic
import openai
import pytest
from hypothesis import given, settings
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from tests.support.answer_parts import answers
from tests.support.live_gateway import InThread, http_server

from floorline.gateway.dialects.answer_parts import (
    Ended,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Used,
)
from floorline.gateway.dialects.anthropic import AnthropicDialect
from floorline.gateway.dialects.json_texts import arguments_object
from floorline.gateway.dialects.openai import OpenAIDialect

ANTHROPIC, OPENAI = AnthropicDialect(), OpenAIDialect()
ASKED = {"model": "gold", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def server():
    """A server whose answer is ``body``."""
    held = SimpleNamespace(body=b"", media_type="text/event-stream")

    async def answer(request):
        return Response(held.body, media_type=held.media_type)

    paths = ["/v1/messages", "/v1/chat/completions"]
    app = Starlette(routes=[Route(path, answer, methods=["POST"]) for path in paths])
    served = InThread(http_server(app))
    held.url = served.value
    yield held
    served.stop()


@pytest.fixture(scope="module")
def client(server):
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0) as one:
        yield one


@pytest.fixture(scope="module")
def openai_client(server):
    with openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0) as one:
        yield one


def streamed(dialect, parts):
    writer = dialect.stream_writer("gold", "id_1")
    if dialect is OPENAI:
        writer.includes_usage = True
    return b"".join(writer.write([part]) for part in parts) + writer.end()


def said(parts, *kinds):
    return "".join(part.text for part in parts if type(part) in kinds)


def calls(parts):
    found = {
        part.index: [part.id, part.name, ""] for part in parts if type(part) is ToolCallStarted
    }
    for part in parts:
        if type(part) is ToolCallDelta:
            found[part.index][2] += part.arguments
    return list(found.values())


def valid(parts):
    """Whether each call's arguments are no beginning of an object that is malformed later."""
    for _, _, text in calls(parts):
        start = text.lstrip()
        if start.startswith("{") and "_raw" in arguments_object(text):
            return False
    return True


@settings(max_examples=25)
@given(answers())
def test_anthropics_sdk(server, client, parts):
    if not valid(parts):
        return
    server.body, server.media_type = streamed(ANTHROPIC, parts), "text/event-stream"
    with client.messages.stream(**ASKED, max_tokens=5) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == said(parts, TextDelta, RefusalDelta)
    whole = ANTHROPIC.write_answer(parts, "gold", "id_1")
    server.body, server.media_type = whole, "application/json"
    # The SDK adds details of the end to a stream's message.
    assert {**message.to_dict(), "stop_details": None} == {
        **client.messages.create(**ASKED, max_tokens=5).to_dict(),
        "stop_details": None,
    }
    thoughts = "".join(block.thinking for block in message.content if block.type == "thinking")
    assert thoughts == said(parts, ThinkingDelta)
    used = [block for block in message.content if block.type == "tool_use"]
    assert [(one.id, one.name, one.input) for one in used] == [
        (id, name, arguments_object(text)) for id, name, text in calls(parts)
    ]


@settings(max_examples=25)
@given(answers())
def test_openais_sdk(server, openai_client, parts):
    # The SDK raises errors of its own where an answer was cut off.
    parts[-1] = Ended("stop")
    server.body, server.media_type = streamed(OPENAI, parts), "text/event-stream"
    with openai_client.chat.completions.stream(**ASKED) as stream:
        completion = stream.until_done().get_final_completion()
    message = completion.choices[0].message
    assert (message.content or "") == said(parts, TextDelta)
    assert (message.refusal or "") == said(parts, RefusalDelta)
    found = [(c.id, c.function.name, c.function.arguments) for c in message.tool_calls or ()]
    assert found == [(id, name, text) for id, name, text in calls(parts)]
    (used,) = [part.usage for part in parts if type(part) is Used]
    assert completion.usage.prompt_tokens == used.prompt_tokens
    whole = OPENAI.write_answer(parts, "gold", "id_1")
    server.body, server.media_type = whole, "application/json"
    other = openai_client.chat.completions.create(**ASKED)
    assert other.choices[0].finish_reason == completion.choices[0].finish_reason
    assert (other.choices[0].message.content or "") == (message.content or "")


def test_an_error_raises(server, client, openai_client):
    body = json.dumps({"error": {"message": "overloaded"}}).encode()
    failed = OPENAI.read_answer(body)
    server.media_type = "text/event-stream"
    server.body = streamed(ANTHROPIC, [TextDelta("Hi"), *failed])
    with (
        pytest.raises(anthropic.APIStatusError, match="overloaded"),
        client.messages.stream(**ASKED, max_tokens=5) as stream,
    ):
        stream.until_done()
    server.body = streamed(OPENAI, [TextDelta("Hi"), *failed])
    with pytest.raises(openai.APIError, match="overloaded"):
        list(openai_client.chat.completions.create(**ASKED, stream=True))
