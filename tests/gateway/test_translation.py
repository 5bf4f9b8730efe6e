"""Requests of any dialect for providers of any: translated, or refused with the field."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.dialect_provider import KINDS

from floorline.errors import InvalidInput
from floorline.gateway.chat_request import read_chat
from floorline.gateway.errors import ApiError, api_error
from floorline.gateway.translation import for_provider
from floorline.gateway.upstreams import UpstreamError, UpstreamSettings
from floorline.zoo import Model

MODEL = Model("m", max_output_tokens=1000)
NAMES = re.findall(
    r"\w+",
    """model messages input system instructions stream max_tokens max_output_tokens tools
    tool_choice temperature top_p stop stop_sequences thinking reasoning reasoning_effort
    metadata user store response_format text output_config output_format n
    role content type id call_id tool_use_id
    tool_call_id name arguments output image_url source url data media_type function parameters
    input_schema schema format effort budget_tokens cache_control tool_calls summary
    encrypted_content signature status strict parallel_tool_calls include prompt_cache_key""",
)
WORDS = re.findall(
    r"\w+",
    """user assistant system developer tool text image input_text output_text input_image image_url
    tool_use tool_result function_call function_call_output message reasoning thinking
    redacted_thinking item_reference base64 url function custom auto none any required enabled
    disabled adaptive json_schema json_object low high document file input_file audio web_search""",
)

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(WORDS)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=25,
)
bodies = st.dictionaries(st.sampled_from(NAMES), values, max_size=8)


def provider(kind):
    return UpstreamSettings(model="their-model", endpoint="http://127.0.0.1:1/v1", kind=kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", KINDS)
@settings(max_examples=60)
@given(body=bodies, turns=st.lists(values, max_size=3), extra=st.none() | values)
def test_any_body_is_translated_or_refused(client, kind, body, turns, extra):
    body = {**body, "model": "m", ("input" if client == "responses" else "messages"): turns}
    data = json.dumps(body).encode("utf-8", "replace")
    try:
        chat = read_chat(data, {}, client)
        sent, conversation = for_provider(chat, MODEL, provider(kind))
    except (ApiError, InvalidInput, UpstreamError) as error:
        refusal = api_error(error)
        sent = b""
    if not sent:
        assert 400 <= refusal.status < 500
        assert json.loads(refusal.body())
        return
    written = json.loads(sent)
    assert written["model"] == "their-model"
    if conversation is not None:
        assert bool(written.get("stream")) is chat.stream
        assert all(name.isprintable() and len(name) <= 200 for name in conversation.losses)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", KINDS)
@pytest.mark.parametrize("depth", [100, 900, 5_000, 100_000])
def test_a_deep_body(client, kind, depth):
    field = b"input" if client == "responses" else b"messages"
    deep = b"[" * depth + b"]" * depth
    turn = b'{"role": "user", "content": [{"type": "text", "text": "a", "more": %s}]}' % deep
    data = b'{"model": "m", "tools": %s, "%s": [%s]}' % (deep, field, turn)
    status = None
    try:
        sent, _ = for_provider(read_chat(data, {}, client), MODEL, provider(kind))
    except (ApiError, UpstreamError) as error:
        status = api_error(error).status
    assert status == 400 or b"their-model" in sent


@pytest.mark.parametrize(
    ("client", "body"),
    [
        ("anthropic", {"messages": [{"role": "user", "content": "a"}] * 10_001}),
        ("anthropic", {"messages": [{"role": "user", "content": [{}] * 10_001}]}),
        ("responses", {"input": [{"role": "user", "content": "a"}] * 10_001}),
        ("responses", {"input": [{"type": "function_call_output", "output": [{}] * 10_001}]}),
    ],
)
def test_too_many_messages(client, body):
    data = json.dumps({"model": "m", **body}).encode()
    with pytest.raises(ApiError, match="send at most 10,000"):
        read_chat(data, {}, client)


@pytest.mark.parametrize("client", KINDS)
def test_a_lone_surrogate_is_replaced(client):
    field = "input" if client == "responses" else "messages"
    turns = b'[{"role": "user", "content": "a\\ud83e"}]'
    data = b'{"model": "m", "max_tokens": 9, "%s": %s}' % (field.encode(), turns)
    for kind in KINDS:
        sent, conversation = for_provider(read_chat(data, {}, client), MODEL, provider(kind))
        if conversation is not None:
            assert "a\ufffd" in json.dumps(json.loads(sent), ensure_ascii=False)
