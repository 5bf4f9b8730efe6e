"""Rules that the providers' own servers check, beside the types of their SDKs."""

import itertools
import re

_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def check_anthropic_rules(fields):
    """What Anthropic's server answers with 400, by its documentation and its messages of errors."""
    messages = fields["messages"]
    assert messages[0]["role"] == "user"
    roles = [message["role"] for message in messages if message["role"] != "system"]
    assert all(one != other for one, other in itertools.pairwise(roles))
    marks = 0
    used = set()
    expected = []
    for tool in fields.get("tools", ()):
        assert _ID.fullmatch(tool["name"])
        assert tool["input_schema"]["type"] == "object"
        marks += "cache_control" in tool
    system = fields.get("system", "x")
    for block in [] if isinstance(system, str) else system:
        assert block["text"].strip()
        marks += "cache_control" in block
    assert system
    for message in messages:
        content = message["content"]
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        assert content
        results = [block["tool_use_id"] for block in content if block["type"] == "tool_result"]
        assert sorted(results) == sorted(expected)
        assert all(block["type"] == "tool_result" for block in content[: len(results)])
        expected = []
        for block in content:
            marks += "cache_control" in block
            if block["type"] == "text":
                assert block["text"].strip()
            elif block["type"] == "tool_use":
                assert message["role"] == "assistant"
                assert block["id"] not in used
                assert _ID.fullmatch(block["id"])
                assert isinstance(block["input"], dict)
                used.add(block["id"])
                expected.append(block["id"])
    assert not expected
    assert marks <= 4
    last = messages[-1]
    if last["role"] == "assistant":
        text = last["content"] if isinstance(last["content"], str) else last["content"][-1]["text"]
        assert text == text.rstrip()
    thinking = fields.get("thinking", {})
    if thinking.get("type") == "enabled":
        assert 1024 <= thinking["budget_tokens"] < fields["max_tokens"]
        assert "temperature" not in fields
        assert fields.get("tool_choice", {}).get("type") not in ("any", "tool")
    assert fields["max_tokens"] >= 1


def check_openai_rules(fields):
    """What OpenAI's server answers with 400."""
    expected = []
    for message in fields["messages"]:
        if message["role"] == "tool":
            assert message["tool_call_id"] in expected
            expected.remove(message["tool_call_id"])
            assert isinstance(message["content"], str)
            continue
        assert not expected
        if message["role"] == "assistant":
            assert message.get("content") or message.get("tool_calls")
            for call in message.get("tool_calls", ()):
                assert len(call["id"]) <= 40
                assert _ID.fullmatch(call["function"]["name"])
                expected.append(call["id"])
            assert len(set(expected)) == len(expected)
        else:
            assert message["content"]
    assert not expected
    assert len(fields.get("stop", ())) <= 4
    assert "tools" in fields or not {"tool_choice", "parallel_tool_calls"} & fields.keys()
    for tool in fields.get("tools", ()):
        assert _ID.fullmatch(tool["function"]["name"])
