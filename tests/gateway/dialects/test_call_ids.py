"""Ids of tool calls that every provider takes."""

import json
import re

import pytest

from floorline.gateway.dialects.answer_parts import ToolCallStarted
from floorline.gateway.dialects.anthropic import AnthropicDialect
from floorline.gateway.dialects.conversation import (
    Conversation,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from floorline.gateway.dialects.openai import OpenAIDialect

ANTHROPIC, OPENAI = AnthropicDialect(), OpenAIDialect()
ODD = ["functions.weather:0", "x" * 41, "", "é"]
VALID = re.compile(r"[a-zA-Z0-9_-]{1,40}")


def loop(id):
    return Conversation(
        turns=[
            Turn("user", [TextPart("Why?")]),
            Turn("assistant", [ToolCallPart(id, "f", "")]),
            Turn("user", [ToolResultPart(id, [TextPart("1")])]),
        ]
    )


@pytest.mark.parametrize("id", [*ODD, "toolu_01D7FLrfh4GYq7yT1ULFeyMV"])
def test_requests(id):
    written = ANTHROPIC.write_request(loop(id), "claude-opus-5")["messages"]
    used, result = written[1]["content"][0]["id"], written[2]["content"][0]["tool_use_id"]
    written = OPENAI.write_request(loop(id), "gpt-5")["messages"]
    ids = {used, result, written[1]["tool_calls"][0]["id"], written[2]["tool_call_id"]}
    (one,) = ids
    assert VALID.fullmatch(one)
    assert (one == id) is (VALID.fullmatch(id) is not None)


@pytest.mark.parametrize("id", [*ODD, "toolu_01D7FLrfh4GYq7yT1ULFeyMV"])
def test_mistral_has_nine_letters(id):
    written = OPENAI.write_request(loop(id), "mistral-large-latest")["messages"]
    assert written[1]["tool_calls"][0]["id"] == written[2]["tool_call_id"]
    assert re.fullmatch("[a-zA-Z0-9]{9}", written[2]["tool_call_id"])


@pytest.mark.parametrize("id", ODD)
@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI], ids=lambda one: one.name)
def test_answers(dialect, id):
    parts = [ToolCallStarted(0, id, "f")]
    whole = dialect.write_answer(parts, "gold", "a").decode()
    writer = dialect.stream_writer("gold", "a")
    stream = (writer.write(parts) + writer.end()).decode()
    (one,) = set(re.findall(r'"id":"(call_[^"]*)"', whole + stream))
    assert VALID.fullmatch(one)


@pytest.mark.parametrize("model", ["gemini-3-pro-preview", "google/gemini-3.1-flash"])
def test_googles_models_get_calls_without_a_signature(model):
    (call,) = OPENAI.write_request(loop("call_1"), model)["messages"][1]["tool_calls"]
    signature = "skip_thought_signature_validator"
    assert call["extra_content"] == {"google": {"thought_signature": signature}}
    assert "extra_content" not in json.dumps(OPENAI.write_request(loop("call_1"), "gemini-2.5"))
