"""Conversations become requests of OpenAI's chat completions."""

import pytest
from tests.support.sdk_types import check_openai_request

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
from floorline.gateway.dialects.openai import OpenAIDialect

OPENAI = OpenAIDialect()
WHY = Turn("user", [TextPart("Why?")])
PNG = MediaPart("image", data="aGk=", media_type="image/png")


def write(*turns, model="their-model", **fields):
    request = Conversation(turns=list(turns or [WHY]), **fields)
    written = OPENAI.write_request(request, model)
    check_openai_request(written)
    return written, request.losses


def test_a_tool_loop_of_anthropics_form():
    written, losses = write(
        Turn("system", [TextPart("Be brief."), TextPart("Be kind.")]),
        Turn("user", [TextPart("Why?"), TextPart("Now.")]),
        Turn(
            "assistant",
            [ThinkingPart("Hm", "sig"), TextPart("I look."), ToolCallPart("t1", "f", "")],
        ),
        Turn("user", [ToolResultPart("t1", [TextPart("1")]), TextPart("Go on.")]),
        tools=[Tool("f")],
    )
    assert written["messages"] == [
        {"role": "system", "content": "Be brief.\n\nBe kind."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Why?"}, {"type": "text", "text": "Now."}],
        },
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "1"},
        {"role": "user", "content": "Go on."},
    ]
    assert losses == ["thinking"]


def test_media_of_results_follow_the_last_result():
    written, losses = write(
        WHY,
        Turn("assistant", [ToolCallPart("a", "f", ""), ToolCallPart("b", "f", "")]),
        Turn("user", [ToolResultPart("a", [PNG]), ToolResultPart("b", [TextPart("2")])]),
        Turn("user", [TextPart("Go on.")]),
    )
    roles = [message["role"] for message in written["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "user", "user"]
    head, image = written["messages"][4]["content"]
    assert "call a" in head["text"]
    assert image["image_url"]["url"] == "data:image/png;base64,aGk="
    assert losses == []


def test_a_failed_tool_says_so():
    said = {"a": "not found", "b": "Error: 7"}
    calls = [ToolCallPart(id, "f", "") for id in said]
    results = [ToolResultPart(id, [TextPart(text)], failed=True) for id, text in said.items()]
    written, _ = write(WHY, Turn("assistant", calls), Turn("user", results))
    contents = [message["content"] for message in written["messages"][2:]]
    assert contents == ["Error: not found", "Error: 7"]


def test_media():
    written, losses = write(
        Turn(
            "user",
            [
                PNG,
                MediaPart("image", url="https://example.com/a.png", detail="high"),
                MediaPart("audio", data="aGk=", media_type="audio/mpeg"),
                MediaPart("file", data="aGk=", media_type="application/pdf", name="a.pdf"),
                MediaPart("file", url="https://example.com/a.pdf"),
            ],
        )
    )
    content = written["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "image_url", "input_audio", "file"]
    assert content[1]["image_url"]["detail"] == "high"
    assert content[2]["input_audio"]["format"] == "mp3"
    assert losses == ["media"]


def test_reasoning_goes_back_to_models_that_want_it():
    turns = [
        WHY,
        Turn("assistant", [ThinkingPart("old"), TextPart("a")]),
        WHY,
        Turn("assistant", [ThinkingPart("new"), ToolCallPart("t", "f", "")]),
        Turn("user", [ToolResultPart("t", [])]),
    ]
    written, losses = write(*turns, model="deepseek-v3.2")
    assert "reasoning_content" not in written["messages"][1]
    assert written["messages"][3]["reasoning_content"] == "new"
    assert losses == ["thinking"]
    assert "reasoning_content" not in str(write(*turns, model="gpt-5")[0])


@pytest.mark.parametrize(
    ("model", "fields", "expected", "losses"),
    [
        ("gpt-4o", {"effort": "high"}, {}, ["effort"]),
        ("gpt-4o", {"effort": "none"}, {}, []),
        ("gpt-5", {"effort": "none"}, {"reasoning_effort": "minimal"}, ["effort"]),
        ("gpt-5.1", {"effort": "none"}, {"reasoning_effort": "none"}, []),
        ("openai/gpt-5.4-mini", {"effort": "max"}, {"reasoning_effort": "xhigh"}, ["effort"]),
        ("o3", {"thinking_tokens": 4096}, {"reasoning_effort": "low"}, ["thinking_tokens"]),
        ("gpt-oss-120b", {"effort": "medium"}, {"reasoning_effort": "medium"}, []),
        ("llama-3", {"max_output_tokens": 5}, {"max_tokens": 5}, []),
        ("gpt-5", {"max_output_tokens": 5}, {"max_completion_tokens": 5}, []),
        ("gpt-5", {"temperature": 0.5, "top_p": 1.0}, {}, ["temperature"]),
        ("gpt-5", {"stop": ["END"]}, {}, ["stop"]),
        ("llama-3", {"stop": list("abcde")}, {"stop": list("abcd")}, ["stop"]),
        ("llama-3", {"cache_key": "k"}, {}, ["cache_key"]),
        ("gpt-5", {"cache_key": "k"}, {"prompt_cache_key": "k"}, []),
        ("llama-3", {"user": "u"}, {"user": "u"}, []),
        ("llama-3", {"stream": True}, {"stream": True}, []),
    ],
)
def test_fields(model, fields, expected, losses):
    written, lost = write(model=model, **fields)
    del written["model"], written["messages"]
    assert (written, lost) == (expected, losses)


def test_long_names_of_users_are_hashed():
    written, losses = write(user="u" * 65)
    assert len(written["user"]) == 64
    assert losses == ["user"]


def test_tools_and_forms():
    schema = {"type": "object"}
    written, _ = write(
        tools=[Tool("f", "Does f.", schema, strict=True)],
        tool_choice="tool:f",
        parallel_tools=False,
        output=OutputSchema(schema, "city", strict=True),
    )
    assert written["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "Does f.",
                "parameters": schema,
                "strict": True,
            },
        }
    ]
    assert written["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert written["parallel_tool_calls"] is False
    about = {"name": "city", "schema": schema, "strict": True}
    assert written["response_format"] == {"type": "json_schema", "json_schema": about}
    assert write(output=OutputSchema())[0]["response_format"] == {"type": "json_object"}
    assert "tool_choice" not in write(tool_choice="auto", parallel_tools=True)[0]
