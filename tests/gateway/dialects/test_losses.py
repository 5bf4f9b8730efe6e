"""The table of losses says what readers and writers of Anthropic's and OpenAI's dialect lose."""

from fnmatch import fnmatch

import pytest

from floorline.gateway.dialects.anthropic import AnthropicDialect
from floorline.gateway.dialects.conversation import (
    Conversation,
    MediaPart,
    OutputSchema,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from floorline.gateway.dialects.losses import READ, WRITTEN
from floorline.gateway.dialects.openai import OpenAIDialect

DIALECTS = {"anthropic": AnthropicDialect(), "openai": OpenAIDialect()}
CUSTOM = {"type": "custom", "custom": {"name": "s", "format": {"type": "grammar"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "a", "description": "b", "schema": {}}}
MARK = {"type": "ephemeral", "ttl": "1h"}
CONTEXT = {
    "type": "document",
    "context": "x",
    "source": {"type": "text", "media_type": "text/plain", "data": "x"},
}
SCALED = {
    "type": "image",
    "transformations": {"x": 1},
    "source": {"type": "url", "url": "https://example.com"},
}


def anthropic_request(name):
    """A request that loses the named field."""
    fields = {"max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    blocks = {
        "cache_control.ttl": {"type": "text", "text": "a", "cache_control": MARK},
        "messages.content.citations": {"type": "text", "text": "a", "citations": [{}]},
        "messages.content.context": CONTEXT,
        "messages.content.transformations": SCALED,
    }
    head, _, tail = name.rpartition(".")
    if name in blocks or head == "messages.content":
        fields["messages"][0]["content"] = [blocks.get(name, {"type": tail})]
    elif name == "output_config.effort":
        fields |= {"output_config": {"effort": "low"}, "thinking": {"type": "disabled"}}
    elif name == "thinking.display":
        fields["thinking"] = {"type": "adaptive", "display": "omitted"}
    elif head == "tools":
        if tail.endswith("*"):
            fields["tools"] = [{"type": tail.replace("*", "20250101"), "name": "t"}]
        else:
            fields["tools"] = [{"name": "t", "input_schema": {}, tail: ["x"]}]
    elif name == "thread":
        fields["thread"] = {"type": "create"}
    elif head == "metadata":
        fields["metadata"] = {"color": 1}
    else:
        assert not head
        fields[name] = "x"
    return fields


def openai_request(name):
    fields = {"messages": [{"role": "user", "content": "Hi"}]}
    head, _, tail = name.rpartition(".")
    if head == "messages":
        fields["messages"][0][tail] = "x"
    elif head == "response_format.json_schema":
        fields["response_format"] = FORM
    elif head == "tools.custom":
        fields["tools"] = [CUSTOM]
    else:
        assert not head
        fields[name] = "x"
    return fields


REQUESTS = {"anthropic": anthropic_request, "openai": openai_request}


@pytest.mark.parametrize(
    ("dialect", "name"), [(dialect, name) for dialect in REQUESTS for name in READ[dialect]]
)
def test_a_reader_loses_what_the_table_says(dialect, name):
    (lost,) = DIALECTS[dialect].read_request(REQUESTS[dialect](name)).losses
    assert fnmatch(lost, name)


ASKED = [Turn("user", [TextPart("Why?")])]
LOOP = [
    *ASKED,
    Turn("assistant", [ToolCallPart("t", "f", "")]),
    Turn("user", [ToolResultPart("t", [])]),
]


def media(**fields):
    return {"turns": [Turn("user", [MediaPart(**fields)])]}


THOUGHT = {"turns": [*ASKED, Turn("assistant", [ThinkingPart("Hm"), TextPart("Hi")]), *ASKED]}
PNG = {"kind": "image", "data": "aGk=", "media_type": "image/png"}
OLD, NEW = "claude-sonnet-4-5", "claude-opus-5-5"
WRITES = [
    ("anthropic", OLD, "cache_key", {"cache_key": "k"}),
    ("anthropic", OLD, "effort", {"effort": "high", "max_output_tokens": 1500}),
    ("anthropic", OLD, "effort", {"effort": "high", "turns": LOOP}),
    (
        "anthropic",
        OLD,
        "effort",
        {"effort": "low", "tools": [Tool("f")], "tool_choice": "required"},
    ),
    ("anthropic", OLD, "max_output_tokens", {"max_output_tokens": 101}),
    ("anthropic", "claude-3-5-haiku", "output", {"output": OutputSchema({})}),
    ("anthropic", OLD, "media", media(kind="audio", data="aGk=", media_type="audio/wav")),
    ("anthropic", OLD, "media", media(kind="video", url="https://example.com")),
    ("anthropic", OLD, "media.detail", media(**PNG, detail="low")),
    ("anthropic", OLD, "media.name", media(**PNG, name="a.png")),
    ("anthropic", OLD, "output", {"output": OutputSchema()}),
    ("anthropic", OLD, "stop", {"stop": ["\n"]}),
    ("anthropic", OLD, "system", {"turns": [*ASKED, Turn("system", [TextPart("Hi")])]}),
    ("anthropic", OLD, "temperature", {"temperature": 1.5}),
    ("anthropic", NEW, "temperature", {"temperature": 0.5}),
    ("anthropic", OLD, "thinking", THOUGHT),
    ("anthropic", NEW, "thinking_tokens", {"thinking_tokens": 2000}),
    (
        "anthropic",
        OLD,
        "tool_call.arguments",
        {"turns": [*ASKED, Turn("assistant", [ToolCallPart("t", "f", "x")]), *LOOP[2:]]},
    ),
    ("anthropic", NEW, "tool_choice", {"tools": [Tool("f")], "tool_choice": "required"}),
    ("anthropic", OLD, "tool_result", {"turns": LOOP[:2]}),
    ("openai", "llama", "tool_result", {"turns": LOOP[::2]}),
    ("anthropic", OLD, "top_p", {"temperature": 0.5, "top_p": 0.5}),
    ("openai", "llama", "cache_key", {"cache_key": "k"}),
    ("openai", "llama", "cached", {"turns": [Turn("user", [TextPart("Why?", cached=True)])]}),
    ("openai", "llama", "effort", {"effort": "low"}),
    ("openai", "o3", "effort", {"effort": "max"}),
    ("openai", "llama", "media", media(kind="file", url="https://example.com")),
    ("openai", "llama", "stop", {"stop": list("abcde")}),
    ("openai", "o3", "stop", {"stop": ["a"]}),
    ("openai", "o3", "temperature", {"temperature": 0.5}),
    ("openai", "llama", "thinking", THOUGHT),
    ("openai", "o3", "thinking_tokens", {"thinking_tokens": 4096}),
    ("openai", "o3", "top_p", {"top_p": 0.5}),
    ("openai", "llama", "user", {"user": "u" * 65}),
]


@pytest.mark.parametrize(("dialect", "model", "name", "fields"), WRITES)
def test_a_writer_loses_what_the_table_says(dialect, model, name, fields):
    request = Conversation(**{"turns": ASKED, **fields})
    limit = {"max_output_tokens": 100} if name == "max_output_tokens" else {}
    DIALECTS[dialect].write_request(request, model, **limit)
    assert request.losses == [name]


def test_each_loss_of_a_writer_has_an_example():
    for dialect in DIALECTS:
        assert {name for one, _, name, _ in WRITES if one == dialect} == WRITTEN[dialect].keys()
