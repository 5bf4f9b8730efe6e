"""Conversations as requests of the Responses API."""

import msgspec
from hypothesis import given
from tests.support.whole_requests import conversations

from floorline.gateway.dialects.answer_parts import ToolCallStarted
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
from floorline.gateway.dialects.losses import WRITTEN
from floorline.gateway.dialects.responses import ResponsesDialect

DIALECT = ResponsesDialect()


def written(turns=(), **fields):
    request = Conversation(list(turns) or [Turn("user", [TextPart("Why?")])], **fields)
    return DIALECT.write_request(request, "gpt-5"), request.losses


def test_turns():
    fields, losses = written(
        [
            Turn("system", [TextPart("Be brief.")]),
            Turn(
                "user", [TextPart("Look:"), MediaPart("image", data="AA", media_type="image/png")]
            ),
            Turn("assistant", [TextPart("Well."), ToolCallPart("c1", "f", "{}"), TextPart("So.")]),
            Turn("user", [ToolResultPart("c1", [TextPart("12")]), TextPart("And?")]),
        ]
    )
    text = "input_text"
    assert fields["input"] == [
        {
            "type": "message",
            "role": "system",
            "content": [{"type": text, "text": "Be brief."}],
        },
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": text, "text": "Look:"},
                {
                    "type": "input_image",
                    "image_url": "data:image/png;base64,AA",
                    "detail": "auto",
                },
            ],
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Well."}],
        },
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "So."}],
        },
        {"type": "function_call_output", "call_id": "c1", "output": "12"},
        {"type": "message", "role": "user", "content": [{"type": text, "text": "And?"}]},
    ]
    assert (fields["model"], fields["store"], losses) == ("gpt-5", False, [])
    assert "stream" not in fields


def test_fields():
    fields, losses = written(
        stream=True,
        tools=[Tool("f", "Does f.", {"type": "object"}), Tool("g")],
        tool_choice="tool:f",
        parallel_tools=False,
        max_output_tokens=100,
        temperature=1,
        top_p=1,
        effort="low",
        output=OutputSchema({"type": "object"}, "city", True),
        user="u",
        cache_key="k",
    )
    assert losses == []
    assert fields["tools"][0] == {
        "type": "function",
        "name": "f",
        "description": "Does f.",
        "parameters": {"type": "object"},
        "strict": False,
    }
    assert fields["tool_choice"] == {"type": "function", "name": "f"}
    assert fields["reasoning"] == {"effort": "low"}
    assert fields["text"]["format"] == {
        "type": "json_schema",
        "name": "city",
        "schema": {"type": "object"},
        "strict": True,
    }
    assert fields["safety_identifier"] == "u"
    assert fields["prompt_cache_key"] == "k"
    assert fields["stream"] is True


LOST = {
    "cached": {"turns": [Turn("user", [TextPart("Why?", cached=True)])]},
    "max_output_tokens": {"max_output_tokens": 1},
    "media": {"turns": [Turn("user", [MediaPart("video", "https://a.example/b.mp4")])]},
    "stop": {"stop": ["."]},
    "thinking": {"turns": [Turn("assistant", [ThinkingPart("Hm.", "EqQB")])]},
    "thinking_tokens": {"thinking_tokens": 8_000},
    "effort": {"effort": "none"},
    "temperature": {"temperature": 0.5},
    "tool_result": {"turns": [Turn("assistant", [ToolCallPart("c", "f", "{}")])]},
    "top_p": {"top_p": 0.5},
    "user": {"user": "u" * 65},
}


def test_losses_are_those_of_the_table():
    assert LOST.keys() == WRITTEN["responses"].keys()
    for name, fields in LOST.items():
        assert written(**fields)[1] == [name]


def test_a_tool_that_failed_says_so():
    call = Turn("assistant", [ToolCallPart("c", "f", "{}")])
    turn = Turn("user", [ToolResultPart("c", [TextPart("no file")], failed=True)])
    _, item = written([call, turn])[0]["input"]
    assert "".join(part["text"] for part in item["output"]) == "Error: no file"


def test_names_of_tools_are_those_that_openai_takes():
    request = Conversation(
        [Turn("assistant", [ToolCallPart("c", "a.b", "{}")])],
        tools=[Tool("a.b")],
        tool_choice="tool:a.b",
    )
    fields = DIALECT.write_request(request, "m")
    name = fields["tools"][0]["name"]
    assert name == fields["tool_choice"]["name"] == fields["input"][0]["name"] != "a.b"
    parts = [ToolCallStarted(0, "c", name)]
    body = DIALECT.write_answer(parts, "m", "", request)
    assert msgspec.json.decode(body)["output"][0]["name"] == "a.b"


def test_the_users_long_name_is_hashed():
    fields, _ = written(user="u" * 65, cache_key="k" * 65)
    assert len(fields["safety_identifier"]) == len(fields["prompt_cache_key"]) == 64


@given(conversations())
def test_what_is_written_is_read_again(request):
    fields = DIALECT.write_request(request, "some-model")
    again = DIALECT.read_request(msgspec.json.decode(msgspec.json.encode(fields)))
    assert request.losses == again.losses == []
    again.echo = {}
    assert again == request


def test_calls_without_arguments_have_an_empty_object():
    turns = [Turn("assistant", [ToolCallPart("a", "f", "")])]
    assert (
        ResponsesDialect().write_request(Conversation(turns), "m")["input"][0]["arguments"] == "{}"
    )
