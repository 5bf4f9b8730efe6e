"""Requests of any conversation, however odd, keep the rules that providers check."""

import copy

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.provider_rules import check_anthropic_rules, check_openai_rules
from tests.support.sdk_types import check_anthropic_request, check_openai_request

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
from floorline.gateway.dialects.openai import OpenAIDialect
from floorline.gateway.dialects.tool_pairs import NO_RESULT, paired

ANTHROPIC, OPENAI = AnthropicDialect(), OpenAIDialect()
CLAUDES = ["their-model", "claude-3-5-haiku", "claude-sonnet-4-5", "claude-sonnet-4-6"]
CLAUDES += ["claude-opus-4-8", "claude-sonnet-5-5", "claude-fable-5-2"]
CHATS = ["their-model", "gpt-4o", "gpt-5.4", "o3", "deepseek-chat", "mistral-large", "gemini-3-pro"]

words = st.sampled_from(["", " ", "Hi", "So \n", "Grüße"])
ids = st.sampled_from(["a", "b", "functions.f:0", "x" * 50, ""])
marks = st.booleans()
texts = st.builds(TextPart, words, marks)
media = st.builds(
    MediaPart,
    st.sampled_from(["image", "audio", "file"]),
    url=st.sampled_from(["", "https://example.com/a"]),
    data=st.just("aGk="),
    media_type=st.sampled_from(["", "image/png", "application/pdf", "text/plain", "audio/wav"]),
    cached=marks,
)
calls = st.builds(
    ToolCallPart, ids, st.sampled_from(["f", "a.b"]), st.sampled_from(["", "{}", "x"]), marks
)
results = st.builds(ToolResultPart, ids, st.lists(texts | media, max_size=2), marks, marks)
thoughts = st.builds(ThinkingPart, words)
turns = st.one_of(
    st.builds(Turn, st.just("system"), st.lists(texts, max_size=2)),
    st.builds(Turn, st.just("user"), st.lists(texts | media | results, max_size=3)),
    st.builds(Turn, st.just("assistant"), st.lists(texts | thoughts | calls, max_size=3)),
)
conversations = st.builds(
    Conversation,
    turns=st.lists(turns, max_size=7),
    tools=st.lists(
        st.builds(
            Tool,
            st.sampled_from(["f", "a.b", "y" * 70]),
            words,
            st.sampled_from([None, {}, {"type": "object"}]),
            cached=marks,
        ),
        max_size=2,
        unique_by=lambda tool: tool.name,
    ),
    tool_choice=st.sampled_from(["", "auto", "none", "required", "tool:f"]),
    parallel_tools=st.sampled_from([None, True, False]),
    max_output_tokens=st.sampled_from([None, 1, 1500, 50_000]),
    temperature=st.sampled_from([None, 0.0, 2.0]),
    top_p=st.sampled_from([None, 0.5]),
    stop=st.lists(words, max_size=6),
    effort=st.sampled_from(["", "none", "minimal", "low", "high", "max"]),
    thinking_tokens=st.sampled_from([None, 100, 1024, 60_000]),
    output=st.sampled_from([None, OutputSchema(), OutputSchema({"type": "object"})]),
    user=st.sampled_from(["", "u", "u" * 600]),
    cache_key=st.sampled_from(["", "k"]),
).map(copy.deepcopy)


@settings(max_examples=60)
@given(conversations, st.sampled_from(CLAUDES))
def test_requests_for_anthropic(request, model):
    written = ANTHROPIC.write_request(request, model)
    check_anthropic_request(written)
    check_anthropic_rules(written)


@settings(max_examples=60)
@given(conversations, st.sampled_from(CHATS))
def test_requests_for_openai(request, model):
    written = OPENAI.write_request(request, model)
    check_openai_request(written)
    check_openai_rules(written)


def test_a_missing_result_is_named():
    losses = []
    call = Turn("assistant", [ToolCallPart("a", "f", "")])
    found = paired([call, Turn("user", [TextPart("Go on.")])], losses)
    assert found[1] == Turn("user", [ToolResultPart("a", [TextPart(NO_RESULT)], failed=True)])
    assert found[2] == Turn("user", [TextPart("Go on.")])
    assert losses == ["tool_result"]


def test_a_result_without_its_call_is_a_text():
    losses = []
    (turn,) = paired([Turn("user", [ToolResultPart("a", [TextPart("7")])])], losses)
    assert turn.parts == [TextPart("Result of the tool call a:"), TextPart("7")]
    assert losses == ["tool_result"]


def test_results_come_first_and_ids_are_unique():
    losses = []
    loop = [
        Turn("assistant", [ToolCallPart("call_0", "f", "")]),
        Turn("user", [TextPart("Meanwhile.")]),
        Turn("user", [ToolResultPart("call_0", [TextPart("7")])]),
    ]
    found = paired([*loop, *loop], losses)
    assert losses == []
    ids = [
        (turn.parts[0].id, after.parts[0].call)
        for turn, after in zip(found[::3], found[1::3], strict=True)
    ]
    assert ids == [("call_0", "call_0"), ("call_0_2", "call_0_2")]
    assert found[2] == Turn("user", [TextPart("Meanwhile.")])
    # The given turns are as they were.
    assert loop[0].parts[0].id == "call_0"
