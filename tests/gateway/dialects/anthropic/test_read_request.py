"""Requests of Anthropic's dialect become conversations."""

import jsonschema
import pydantic
import pytest
from anthropic.types.beta import BetaMemoryTool20250818Command

from floorline.gateway.dialects.anthropic import AnthropicDialect
from floorline.gateway.dialects.conversation import (
    MediaPart,
    OutputSchema,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from floorline.gateway.dialects.openai import OpenAIDialect
from floorline.gateway.errors import ApiError

ANTHROPIC, OPENAI = AnthropicDialect(), OpenAIDialect()
WHY = {"role": "user", "content": "Why is the sky blue?"}
PNG = {"type": "base64", "media_type": "image/png", "data": "aGk="}


def read(*messages, **fields):
    base = {"model": "gold", "max_tokens": 100, "messages": list(messages or [WHY])}
    return ANTHROPIC.read_request({**base, **fields})


def read_blocks(*blocks, role="user"):
    request = read({"role": role, "content": list(blocks)})
    (turn,) = request.turns
    return turn.parts, request.losses


def test_a_text_is_a_turn():
    request = read()
    assert request.turns == [Turn("user", [TextPart("Why is the sky blue?")])]
    assert request.max_output_tokens == 100
    assert request.losses == []


@pytest.mark.parametrize(
    "system", ["Be brief.", [{"type": "text", "text": "Be brief."}]], ids=["text", "blocks"]
)
def test_the_system_is_the_first_turn(system):
    assert read(system=system).turns[0] == Turn("system", [TextPart("Be brief.")])


def test_a_turn_of_the_system_may_stand_among_the_messages():
    later = {"role": "system", "content": "Be brief."}
    assert read(WHY, later).turns[1] == Turn("system", [TextPart("Be brief.")])


def test_the_tool_loop_of_the_documentation():
    call = {
        "type": "tool_use",
        "id": "toolu_01D7FLrfh4GYq7yT1ULFeyMV",
        "name": "get_stock_price",
        "input": {"ticker": "^GSPC"},
    }
    result = {
        "type": "tool_result",
        "tool_use_id": "toolu_01D7FLrfh4GYq7yT1ULFeyMV",
        "content": "259.75 USD",
    }
    tool = {
        "name": "get_stock_price",
        "description": "Get the current stock price for a given ticker symbol.",
        "input_schema": {"type": "object", "properties": {"ticker": {"type": "string"}}},
    }
    request = read(
        WHY,
        {"role": "assistant", "content": [{"type": "text", "text": "I look."}, call]},
        {"role": "user", "content": [result]},
        tools=[tool],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )
    assert request.turns[1].parts[1] == ToolCallPart(
        call["id"], "get_stock_price", '{"ticker":"^GSPC"}'
    )
    assert request.turns[2].parts == [ToolResultPart(call["id"], [TextPart("259.75 USD")])]
    assert request.tools == [Tool(tool["name"], tool["description"], tool["input_schema"])]
    assert (request.tool_choice, request.parallel_tools) == ("required", False)


def test_results_may_have_images_and_failures():
    parts, _ = read_blocks(
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "is_error": True,
            "content": [{"type": "text", "text": "see"}, {"type": "image", "source": PNG}],
        },
        {"type": "tool_result", "tool_use_id": "u"},
    )
    image = MediaPart("image", data="aGk=", media_type="image/png")
    assert parts == [
        ToolResultPart("t", [TextPart("see"), image], failed=True),
        ToolResultPart("u", []),
    ]


def test_media():
    url = {"type": "url", "url": "https://example.com/a.png"}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "aGk="}
    parts, losses = read_blocks(
        {"type": "image", "source": PNG},
        {"type": "image", "source": url},
        {"type": "document", "title": "Report", "source": pdf},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {
            "type": "document",
            "title": "Notes",
            "source": {"type": "text", "media_type": "text/plain", "data": "hello"},
            "citations": {"enabled": True},
        },
        {"type": "document", "source": {"type": "content", "content": "inner"}},
        {
            "type": "search_result",
            "title": "Sky",
            "source": "https://example.com",
            "content": [{"type": "text", "text": "blue"}],
        },
    )
    assert parts == [
        MediaPart("image", data="aGk=", media_type="image/png"),
        MediaPart("image", url="https://example.com/a.png"),
        MediaPart("file", data="aGk=", media_type="application/pdf", name="Report"),
        MediaPart("file", url="https://example.com/a.pdf", media_type="application/pdf"),
        TextPart("Notes\n\nhello"),
        TextPart("inner"),
        TextPart("Sky\nhttps://example.com\n\nblue"),
    ]
    assert losses == ["messages.content.citations"]


def test_thinking():
    parts, losses = read_blocks(
        {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        {"type": "thinking", "thinking": "Hm", "signature": "floorline-unsigned"},
        {"type": "redacted_thinking", "data": "enc"},
        {"type": "redacted_thinking", "data": "floorline-encrypted:abc"},
        {"type": "text", "text": "Hi"},
        role="assistant",
    )
    assert parts == [
        ThinkingPart("Hm", "sig"),
        ThinkingPart("Hm"),
        ThinkingPart(encrypted="enc"),
        ThinkingPart(encrypted="abc"),
        TextPart("Hi"),
    ]
    assert losses == []


def test_marks_for_the_cache():
    mark = {"cache_control": {"type": "ephemeral"}}
    request = read(
        {"role": "user", "content": [{"type": "text", "text": "Why?", **mark}]},
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"ttl": "1h"}}],
        tools=[{"name": "f", "input_schema": {}, **mark}],
    )
    assert [turn.parts[0].cached for turn in request.turns] == [True, True]
    assert request.tools[0].cached
    assert request.losses == ["cache_control.ttl"]
    (turn,) = read(cache_control={"type": "ephemeral"}).turns
    assert turn.parts[0].cached


@pytest.mark.parametrize(
    ("fields", "effort", "tokens"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, "", 2048),
        ({"thinking": {"type": "adaptive"}}, "", None),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, "high", None),
        ({"thinking": {"type": "disabled"}}, "none", None),
        ({"output_config": {"effort": "xhigh"}}, "xhigh", None),
    ],
)
def test_how_much_to_think(fields, effort, tokens):
    request = read(**fields)
    assert (request.effort, request.thinking_tokens) == (effort, tokens)
    assert request.losses == []


@pytest.mark.parametrize("place", ["output_format", "output_config"])
def test_the_form_of_the_answer(place):
    form = {"type": "json_schema", "schema": {"type": "object"}}
    fields = {place: form if place == "output_format" else {"format": form}}
    assert read(**fields).output == OutputSchema({"type": "object"})


def test_the_other_fields():
    request = read(
        stop_sequences=["END"],
        temperature=0.5,
        top_p=1,
        stream=True,
        metadata={"user_id": "u-1"},
        tool_choice={"type": "none"},
    )
    assert (request.stop, request.temperature, request.top_p) == (["END"], 0.5, 1)
    assert (request.stream, request.user, request.tool_choice) == (True, "u-1", "none")


def test_what_is_lost_has_a_name():
    request = read(
        {
            "role": "user",
            "content": [
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                {"type": "hologram"},
                {"type": "text", "text": "Why?"},
            ],
        },
        top_k=5,
        service_tier="auto",
        context_management={"edits": []},
        container=None,
        tools=[{"type": "web_search_20250305", "name": "web_search"}],
        **{"a field\nwith a line": 1},
    )
    assert request.tools == []
    assert request.losses == [
        "top_k",
        "service_tier",
        "context_management",
        "unknown",
        "messages.content.server_tool_use",
        "messages.content.hologram",
        "tools.web_search_20250305",
    ]


def test_empty_texts_and_turns_are_left_out():
    request = read(
        {"role": "user", "content": ""},
        {"role": "assistant", "content": [{"type": "text", "text": ""}]},
        WHY,
    )
    assert len(request.turns) == 1


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": [7]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [WHY, {"role": "user", "content": [{}]}]}, "messages[1].content[0].type"),
        ({"messages": [WHY, {"role": "user", "content": [[]]}]}, "messages[1].content[0]"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"stop_sequences": [3]}, "stop_sequences[0]"),
        ({"thinking": {"type": "deep"}}, "thinking.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id"),
    ],
)
def test_what_is_malformed_is_named(fields, param):
    with pytest.raises(ApiError) as found:
        read(**fields)
    assert (found.value.status, found.value.param) == (400, param)
    assert param in found.value.text


@pytest.mark.parametrize(
    ("block", "param"),
    [
        ({"type": "image"}, "source"),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "source"),
        ({"type": "image", "source": {"type": "base64", "data": "x"}}, "source.media_type"),
        ({"type": "tool_use", "id": "t", "name": "f", "input": "x"}, "input"),
        ({"type": "tool_result"}, "tool_use_id"),
        (
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image"}]},
            "content[0].source",
        ),
    ],
)
def test_what_is_malformed_within_a_block_is_named(block, param):
    with pytest.raises(ApiError) as found:
        read(WHY, WHY, WHY, {"role": "user", "content": [{"type": "text", "text": "a"}, block]})
    assert found.value.param == f"messages[3].content[1].{param}"


def test_a_demanded_tool_that_is_lost_is_an_error():
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    with pytest.raises(ApiError, match="no other provider has this tool"):
        read(tools=tools, tool_choice={"type": "tool", "name": "web_search"})


def test_counting_needs_no_limit():
    request = ANTHROPIC.read_request({"messages": [WHY]}, counted=True)
    assert request.max_output_tokens is None


def test_a_summary_stands_for_what_was_before_it():
    summary = {"type": "compaction", "content": "They talked."}
    request = read(
        WHY,
        {"role": "assistant", "content": [summary, {"type": "text", "text": "Go on."}]},
        {"role": "user", "content": [{"type": "compaction", "content": None}]},
        WHY,
        system="Be brief.",
    )
    assert [turn.role for turn in request.turns] == ["system", "user", "assistant", "user"]
    assert request.turns[1].parts[0].text.endswith("They talked.")
    assert request.losses == []


def test_messages_may_change_the_tools():
    def change(kind, **tool):
        return {"role": "system", "content": [{"type": kind, "tool": tool}]}

    g = {"name": "g", "input_schema": {}}
    request = read(
        change("tool_addition", type="tool_definition", definition=g),
        change("tool_removal", type="tool_reference", name="f"),
        WHY,
        tools=[{"name": "f", "input_schema": {}}],
    )
    assert [tool.name for tool in request.tools] == ["g"]
    assert len(request.turns) == 1


@pytest.mark.parametrize(
    ("kind", "name", "has"),
    [
        ("bash_20250124", "bash", "restart"),
        ("text_editor_20250728", "str_replace_based_edit_tool", "insert_text"),
        ("text_editor_20250124", "str_replace_editor", "new_str"),
        ("memory_20250818", "memory", "old_path"),
    ],
)
def test_tools_of_anthropic_that_the_client_runs_become_functions(kind, name, has):
    request = read(tools=[{"type": kind, "name": name}], tool_choice={"type": "tool", "name": name})
    (tool,) = request.tools
    assert (tool.name, request.tool_choice, request.losses) == (name, f"tool:{name}", [])
    assert has in tool.parameters["properties"]
    assert ("insert_text" in tool.parameters["properties"]) == (kind[-8:] > "20250700")
    written = OPENAI.write_request(request, "gpt-5")
    jsonschema.Draft202012Validator.check_schema(written["tools"][0]["function"]["parameters"])


def test_the_commands_of_the_sdk_fit_the_memory_tool():
    (tool,) = read(tools=[{"type": "memory_20250818", "name": "memory"}]).tools
    commands = [
        {"command": "view", "path": "/memories", "view_range": [1, 2]},
        {"command": "insert", "path": "/memories/a", "insert_line": 0, "insert_text": "b"},
        {"command": "rename", "old_path": "/memories/a", "new_path": "/memories/b"},
    ]
    for command in commands:
        pydantic.TypeAdapter(BetaMemoryTool20250818Command).validate_python(command)
        jsonschema.validate(command, tool.parameters)
