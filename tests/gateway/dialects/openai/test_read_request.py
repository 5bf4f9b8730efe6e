"""Requests of OpenAI's chat completions become conversations."""

import pytest

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

OPENAI = OpenAIDialect()
WHY = {"role": "user", "content": "Why is the sky blue?"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def read(*messages, **fields):
    return OPENAI.read_request({"model": "gold", "messages": list(messages or [WHY]), **fields})


def function(name):
    return {"type": "function", "function": {"name": name, "parameters": SCHEMA}}


def test_roles():
    request = read(
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        WHY,
        {"role": "assistant", "content": "Because.", "name": "me", "refusal": None},
    )
    assert request.turns == [
        Turn("system", [TextPart("Be brief.")]),
        Turn("system", [TextPart("Be kind.")]),
        Turn("user", [TextPart("Why is the sky blue?")]),
        Turn("assistant", [TextPart("Because.")]),
    ]
    assert request.losses == ["messages.name"]


def test_the_tool_loop_of_the_documentation():
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for n in (1, 2)
    ]
    request = read(
        WHY,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "one"},
        {
            "role": "tool",
            "tool_call_id": "call_2",
            "content": [{"type": "text", "text": "two"}],
        },
        tools=[function("f")],
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=True,
    )
    assert request.turns[1:] == [
        Turn("assistant", [ToolCallPart("call_1", "f", "{}"), ToolCallPart("call_2", "f", "{}")]),
        Turn(
            "user",
            [
                ToolResultPart("call_1", [TextPart("one")]),
                ToolResultPart("call_2", [TextPart("two")]),
            ],
        ),
    ]
    assert request.tools == [Tool("f", parameters=SCHEMA)]
    assert (request.tool_choice, request.parallel_tools) == ("tool:f", True)


def test_functions_of_before():
    request = read(
        WHY,
        {"role": "assistant", "function_call": {"name": "f", "arguments": '{"a": 1}'}},
        {"role": "function", "name": "f", "content": "one"},
        functions=[{"name": "f"}],
        function_call={"name": "f"},
    )
    call, result = request.turns[1].parts[0], request.turns[2].parts[0]
    assert call == ToolCallPart("call_0", "f", '{"a": 1}')
    assert result == ToolResultPart("call_0", [TextPart("one")])
    assert (request.tools, request.tool_choice) == ([Tool("f")], "tool:f")


def test_media():
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
        },
        {"type": "file", "file": {"filename": "b.pdf", "file_data": "aGk="}},
        {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
    ]
    request = read({"role": "user", "content": parts})
    assert request.turns[0].parts == [
        MediaPart("image", data="aGk=", media_type="image/png", detail="low"),
        MediaPart("image", url="https://example.com/a.png"),
        MediaPart("audio", data="aGk=", media_type="audio/mpeg"),
        MediaPart("file", data="aGk=", media_type="application/pdf", name="a.pdf"),
        MediaPart("file", data="aGk=", media_type="application/pdf", name="b.pdf"),
        MediaPart("video", url="https://example.com/a.mp4"),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "Hm"},
        {"reasoning": "Hm"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "Hm"}]},
    ],
)
def test_reasoning_of_every_provider(fields):
    request = read(WHY, {"role": "assistant", "content": "Hi", **fields})
    assert request.turns[1].parts == [ThinkingPart("Hm"), TextPart("Hi")]


def test_marks_for_the_cache():
    text = {"type": "text", "text": "Why?"}
    for mark in ("cache_control", "prompt_cache_breakpoint"):
        request = read({"role": "user", "content": [{**text, mark: {"type": "ephemeral"}}]})
        assert request.turns[0].parts == [TextPart("Why?", cached=True)]


def test_only_allowed_tools_are_kept():
    allowed = {"mode": "required", "tools": [function("g")]}
    request = read(
        tools=[function("f"), function("g")],
        tool_choice={"type": "allowed_tools", "allowed_tools": allowed},
    )
    assert [tool.name for tool in request.tools] == ["g"]
    assert request.tool_choice == "required"


def test_custom_tools_become_functions():
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}
    custom = {"name": "shell", "description": "Runs a command.", "format": grammar}
    call = {"id": "c", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    request = read(
        WHY,
        {"role": "assistant", "tool_calls": [call]},
        tools=[{"type": "custom", "custom": custom}],
    )
    assert request.tools[0].parameters["required"] == ["input"]
    assert request.turns[1].parts == [ToolCallPart("c", "shell", '{"input":"ls"}')]
    assert request.losses == ["tools.custom.format"]


def test_the_other_fields():
    request = read(
        max_tokens=5,
        max_completion_tokens=7,
        temperature=0.5,
        top_p=0.9,
        stop="END",
        stream=True,
        stream_options={"include_usage": True},
        reasoning_effort="xhigh",
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "city", "schema": SCHEMA, "strict": True},
        },
        user="u-1",
        prompt_cache_key="k",
    )
    assert request.max_output_tokens == 7
    assert (request.temperature, request.top_p, request.stop) == (0.5, 0.9, ["END"])
    assert (request.stream, request.effort) == (True, "xhigh")
    assert request.output == OutputSchema(SCHEMA, "city", strict=True)
    assert (request.user, request.cache_key) == ("u-1", "k")
    assert request.losses == []
    assert read(response_format={"type": "json_object"}).output == OutputSchema()
    assert read(response_format={"type": "text"}).output is None
    assert read(reasoning={"effort": "low", "max_tokens": 3000}).thinking_tokens == 3000


def test_what_is_lost_has_a_name():
    request = read(seed=1, logprobs=True, logit_bias={}, verbosity="low", hologram=1, store=None)
    assert request.losses == ["seed", "logprobs", "logit_bias", "verbosity", "hologram"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "robot"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": ""}]}, "messages[0].tool_call_id"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0].image_url",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}
                ]
            },
            "messages[0].content[0].file.file_id",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]},
            "messages[0].tool_calls[0].function",
        ),
        ({"n": 2}, "n"),
        ({"stop": {}}, "stop"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"temperature": True}, "temperature"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tool_choice": {"type": "x"}}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
    ],
)
def test_what_is_malformed_is_named(fields, param):
    with pytest.raises(ApiError) as found:
        read(**fields)
    assert (found.value.status, found.value.param) == (400, param)
    assert param in found.value.text
