"""Conversations become requests of Anthropic's dialect."""

import pytest
from tests.support.sdk_types import check_anthropic_request

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

ANTHROPIC = AnthropicDialect()
WHY = Turn("user", [TextPart("Why?")])
OLD, NEW, OTHER = "claude-sonnet-4-5", "claude-opus-5-5", "their-model"


def write(*turns, model=OLD, **fields):
    request = Conversation(turns=list(turns or [WHY]), **fields)
    written = ANTHROPIC.write_request(request, model)
    check_anthropic_request(written)
    return written, request.losses


def texts(message):
    content = message["content"]
    return [content] if isinstance(content, str) else [block.get("text") for block in content]


def test_a_request_has_a_limit():
    assert write() == (
        {
            "model": OLD,
            "messages": [{"role": "user", "content": "Why?"}],
            "max_tokens": 8192,
        },
        [],
    )
    assert write(max_output_tokens=7)[0]["max_tokens"] == 7
    request = Conversation(turns=[WHY])
    assert ANTHROPIC.write_request(request, OLD, max_output_tokens=64)["max_tokens"] == 64


def test_roles_alternate_and_results_come_first():
    call = [ToolCallPart(f"t{n}", "f", "{}") for n in (1, 2)]
    written, losses = write(
        Turn("system", [TextPart("A")]),
        Turn("system", [TextPart("B")]),
        WHY,
        Turn("assistant", [TextPart("I look.")]),
        Turn("assistant", call),
        Turn("user", [ToolResultPart("t1", [TextPart("1")])]),
        Turn("user", [TextPart("Go on.")]),
        Turn("user", [ToolResultPart("t2", [], failed=True)]),
        tools=[Tool("f")],
    )
    assert [block["text"] for block in written["system"]] == ["A", "B"]
    assert [message["role"] for message in written["messages"]] == ["user", "assistant", "user"]
    last = written["messages"][-1]["content"]
    assert [block["type"] for block in last] == ["tool_result", "tool_result", "text"]
    assert last[0]["content"] == "1"
    assert last[1]["is_error"] is True
    assert losses == []


def test_the_first_and_the_last_turn_are_the_users():
    hello = Turn("assistant", [TextPart("Hello! \n")])
    old, _ = write(hello)
    assert [texts(message)[0] for message in old["messages"]] == ["Continue.", "Hello!"]
    new, _ = write(WHY, hello, model=NEW)
    assert [message["role"] for message in new["messages"]] == ["user", "assistant", "user"]
    only, _ = write(Turn("system", [TextPart("Be brief.")]))
    assert only["messages"] == [{"role": "user", "content": "Continue."}]


def test_the_system_among_the_messages():
    later = Turn("system", [TextPart("Be brief.")])
    new, losses = write(WHY, later, model=NEW)
    assert new["messages"][1] == {"role": "system", "content": "Be brief."}
    assert losses == []
    old, losses = write(WHY, later)
    assert texts(old["messages"][0]) == ["Why?", "<system>\nBe brief.\n</system>"]
    assert losses == ["system"]


def test_empty_texts_are_left_out():
    written, _ = write(Turn("user", [TextPart(""), TextPart("Why?"), TextPart(" \n")]))
    assert written["messages"] == [{"role": "user", "content": "Why?"}]


@pytest.mark.parametrize(
    ("arguments", "written", "losses"),
    [
        ("", {}, []),
        ('{"city": "Oslo"}', {"city": "Oslo"}, []),
        ("Oslo", {"_raw": "Oslo"}, ["tool_call.arguments"]),
        ("[1]", {"_raw": "[1]"}, ["tool_call.arguments"]),
        ('{"city": "Os', {"_raw": '{"city": "Os'}, ["tool_call.arguments"]),
        ('{"n": 1234567890123456789012}', {"n": 1234567890123456789012}, []),
    ],
)
def test_arguments_are_an_object(arguments, written, losses):
    call = Turn("assistant", [ToolCallPart("t", "f", arguments)])
    result = Turn("user", [ToolResultPart("t", [])])
    fields, lost = write(WHY, call, result)
    assert fields["messages"][1]["content"][0]["input"] == written
    assert lost == losses


def test_media():
    written, losses = write(
        Turn(
            "user",
            [
                MediaPart("image", data="aGk=", media_type="image/png"),
                MediaPart("image", url="https://example.com/a.png"),
                MediaPart("image", data="aGk=", media_type="image/tiff"),
                MediaPart("file", data="aGk=", media_type="application/pdf", name="Report"),
                MediaPart("file", data="aGk=", media_type="text/markdown", name="notes.md"),
                MediaPart("file", url="https://example.com/a.pdf"),
                MediaPart("audio", data="aGk=", media_type="audio/wav"),
            ],
        )
    )
    sources = [block["source"] for block in written["messages"][0]["content"]]
    assert [source["type"] for source in sources] == ["base64", "url", "base64", "text", "url"]
    assert sources[3]["data"] == "hi"
    assert written["messages"][0]["content"][2]["title"] == "Report"
    assert losses == ["media"]


@pytest.mark.parametrize(
    ("model", "fields", "thinking", "config"),
    [
        (OLD, {"effort": "high"}, {"type": "enabled", "budget_tokens": 20480}, None),
        (OLD, {"thinking_tokens": 2000}, {"type": "enabled", "budget_tokens": 2000}, None),
        (OLD, {"effort": "none"}, {"type": "disabled"}, None),
        (OTHER, {"effort": "low"}, {"type": "enabled", "budget_tokens": 4096}, None),
        (NEW, {"effort": "minimal"}, {"type": "adaptive"}, {"effort": "low"}),
        (NEW, {"effort": "max"}, {"type": "adaptive"}, {"effort": "max"}),
        (NEW, {"effort": "none"}, None, {"effort": "low"}),
        (NEW, {"thinking_tokens": 31_999}, {"type": "adaptive"}, {"effort": "high"}),
        ("claude-opus-4-8", {"effort": "none"}, None, None),
        ("claude-sonnet-5-5", {"effort": "none"}, {"type": "between_tools"}, None),
        ("claude-sonnet-4-6", {"effort": "xhigh"}, {"type": "adaptive"}, {"effort": "high"}),
    ],
)
def test_how_much_to_think(model, fields, thinking, config):
    written, _ = write(model=model, **fields)
    assert written.get("thinking") == thinking
    assert written.get("output_config") == config
    if thinking and "budget_tokens" in thinking:
        assert written["max_tokens"] > thinking["budget_tokens"]


def test_thinking_leaves_room_for_the_answer():
    written, _ = write(effort="high", max_output_tokens=4096)
    assert written["thinking"]["budget_tokens"] == 3072
    written, losses = write(effort="high", max_output_tokens=1500)
    assert "thinking" not in written
    assert losses == ["effort"]


def test_no_thinking_after_calls_without_signed_thinking():
    turns = [
        WHY,
        Turn("assistant", [ThinkingPart("Hm"), ToolCallPart("t", "f", "")]),
        Turn("user", [ToolResultPart("t", [])]),
    ]
    written, losses = write(*turns, effort="high")
    assert "thinking" not in written
    assert losses == ["thinking", "effort"]
    assert write(*turns, effort="high", model=NEW)[0]["thinking"] == {"type": "adaptive"}


def test_sampling():
    sampling = {"temperature": 0.5, "top_p": 0.9}
    written, losses = write(**sampling)
    assert (written["temperature"], "top_p" in written, losses) == (0.5, False, ["top_p"])
    written, losses = write(**sampling, model=NEW)
    assert "temperature" not in written
    assert losses == ["temperature", "top_p"]
    written, losses = write(**sampling, model=OTHER)
    assert {**written, **sampling} == written
    written, losses = write(temperature=1.5)
    assert (written["temperature"], losses) == (1.0, ["temperature"])
    written, losses = write(temperature=0.5, effort="high")
    assert "temperature" not in written


def test_tools():
    schema = {"properties": {"a": {}}}
    written, _ = write(
        tools=[
            Tool("f", "Does f.", schema, strict=True, cached=True),
            Tool("mcp.server/" + "x" * 80),
        ],
        tool_choice="tool:f",
        parallel_tools=False,
    )
    first, second = written["tools"]
    assert first == {
        "name": "f",
        "description": "Does f.",
        "input_schema": {"type": "object", **schema},
        "strict": True,
        "cache_control": {"type": "ephemeral"},
    }
    assert len(second["name"]) == 64
    assert written["tool_choice"] == {
        "type": "tool",
        "name": "f",
        "disable_parallel_tool_use": True,
    }
    assert "tool_choice" not in write(tool_choice="auto")[0]


def test_signed_thinking_goes_back():
    turns = [
        Turn("user", [TextPart("Weather?")]),
        Turn(
            "assistant",
            [
                ThinkingPart("Hm.", signature="sig"),
                ThinkingPart(encrypted="x"),
                ToolCallPart("c", "weather", "{}"),
            ],
        ),
        Turn("user", [ToolResultPart("c", [TextPart("rain")])]),
    ]
    written, losses = write(*turns, effort="high", model=OLD)
    assert written["messages"][1]["content"][:2] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
        {"type": "redacted_thinking", "data": "x"},
    ]
    assert written["thinking"]["type"] == "enabled"
    assert losses == []


def test_demanded_calls_come_without_thinking():
    fields = {"tools": [Tool("f")], "tool_choice": "required"}
    written, losses = write(**fields, effort="high")
    assert ("thinking" in written, losses) == (False, ["effort"])
    written, losses = write(**fields, model=NEW)
    assert (written["tool_choice"], losses) == ({"type": "auto"}, ["tool_choice"])


def test_the_form_of_the_answer():
    written, losses = write(output=OutputSchema({"type": "object"}), effort="low", model=NEW)
    assert written["output_config"] == {
        "effort": "low",
        "format": {
            "type": "json_schema",
            "schema": {"type": "object", "additionalProperties": False},
        },
    }
    written, losses = write(output=OutputSchema())
    assert written["system"] == "Answer with one JSON object and nothing else."
    assert losses == ["output"]


def test_an_agents_prompt_is_marked_for_the_cache():
    agent, _ = write(Turn("system", [TextPart("Be brief.")]), WHY, tools=[Tool("f"), Tool("g")])
    assert "cache_control" in agent["system"][0]
    assert "cache_control" in agent["messages"][0]["content"][0]
    assert "cache_control" not in agent["tools"][-1]
    once, _ = write(Turn("system", [TextPart("Be brief.")]), WHY)
    assert once["system"] == "Be brief."
    marked, _ = write(Turn("user", [TextPart("Why?", cached=True)]), tools=[Tool("f")])
    assert "cache_control" not in marked["tools"][0]
    unmarked = AnthropicDialect(marks_conversations=False)
    request = Conversation(turns=[WHY], tools=[Tool("f")])
    assert "cache_control" not in str(unmarked.write_request(request, OLD))


def test_at_most_four_marks():
    parts = [TextPart(str(number), cached=True) for number in range(9)]
    written, _ = write(Turn("user", parts))
    marked = [b["text"] for b in written["messages"][0]["content"] if "cache_control" in b]
    assert marked == ["0", "6", "7", "8"]


def test_names_of_users_have_a_limit():
    assert write(user="u-1")[0]["metadata"] == {"user_id": "u-1"}
    assert len(write(user="u" * 600)[0]["metadata"]["user_id"]) == 64


def test_a_schema_has_only_what_anthropic_enforces():
    item = {"oneOf": [{"type": "string", "minLength": 2, "format": "uri"}, {"$ref": "#/$defs/a"}]}
    schema = {
        "type": "object",
        "properties": {"list": {"type": "array", "items": item, "minItems": 3}},
        "required": ["list"],
        "additionalProperties": True,
        "$defs": {"a": {"type": "integer", "description": "A number.", "maximum": 5}},
    }
    written, _ = write(output=OutputSchema(schema), model=NEW)
    string = {"type": "string", "format": "uri", "description": "{minLength: 2}"}
    assert written["output_config"]["format"]["schema"] == {
        "type": "object",
        "properties": {
            "list": {
                "type": "array",
                "items": {"anyOf": [string, {"$ref": "#/$defs/a"}]},
                "description": "{minItems: 3}",
            }
        },
        "required": ["list"],
        "additionalProperties": False,
        "$defs": {"a": {"type": "integer", "description": "A number.\n\n{maximum: 5}"}},
    }
    old, losses = write(output=OutputSchema(schema), model="claude-3-5-haiku-20241022")
    assert '"minLength":2' in old["system"]
    assert losses == ["output"]


def test_the_limit_of_the_answer_is_the_models():
    request = Conversation(turns=[WHY], max_output_tokens=9000)
    assert ANTHROPIC.write_request(request, OLD, max_output_tokens=8000)["max_tokens"] == 8000
    assert request.losses == ["max_output_tokens"]
