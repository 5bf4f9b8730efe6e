from __future__ import annotations

import pytest

from floorline.encoders.messages import PromptText, read_prompt
from floorline.errors import InvalidInput


def test_a_string_is_the_focus_without_context():
    assert read_prompt("hi") == PromptText("", "hi")


def test_the_last_user_turn_is_the_focus_and_system_turns_the_context():
    messages = [
        {"role": "system", "content": "S"},
        {"role": "developer", "content": "D"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "tool_call_id": "1", "content": "42"},
        {"role": "user", "content": "second"},
        {"role": "assistant", "content": "so far"},
        {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "43"}]},
    ]
    assert read_prompt(messages) == PromptText("S\nD", "second")


def test_parts_are_joined_and_images_are_replaced_by_their_type():
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:..."}},
        {"type": "refusal", "refusal": "no"},
    ]
    focus = read_prompt([{"role": "user", "content": content}]).focus
    assert focus == "What is this?\n[image_url]\nno"


def test_without_a_user_turn_the_last_text_is_the_focus():
    assert read_prompt([{"role": "system", "content": "S"}]) == PromptText("", "S")
    messages = [{"role": "system", "content": "S"}, {"role": "assistant", "content": "A"}]
    assert read_prompt(messages) == PromptText("S", "A")
    assert read_prompt([{"role": "assistant", "content": None}]) == PromptText("", "")


@pytest.mark.parametrize(
    ("prompt", "field"),
    [
        (None, "prompt"),
        (b"bytes", "prompt"),
        (7, "prompt"),
        ({"role": "user", "content": "x"}, "prompt"),
        ([], "messages"),
        (["x"], "messages[0]"),
        ([{"content": "x"}], "messages[0].role"),
        ([{"role": "king", "content": "x"}], "messages[0].role"),
        ([{"role": ["user"], "content": "x"}], "messages[0].role"),
        ([{"role": "user", "content": "x"}, {"role": "user", "content": 1}], "messages[1].content"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"text": "x"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "refusal"}]}], "messages[0].content[0].refusal"),
    ],
)
def test_malformed_messages_name_the_field(prompt, field):
    with pytest.raises(InvalidInput) as caught:
        read_prompt(prompt)
    assert caught.value.field == field
