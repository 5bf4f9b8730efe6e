from __future__ import annotations

import pytest

from floorline.core.features import is_finite
from floorline.encoders.hashed import HashedNgrams
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
    ("messages", "text"),
    [
        (["x"], PromptText("", "x")),
        ([{"role": "user", "content": "a"}, 7, None, ["b"]], PromptText("", "a")),
        ([{"content": "x"}], PromptText("", "x")),
        ([{"role": "king", "content": "x"}], PromptText("", "x")),
        ([{"role": "king", "content": "x"}, {"role": "user", "content": "y"}], PromptText("", "y")),
        ([{"role": ["user"], "content": "x"}], PromptText("", "x")),
        ([{"role": "user", "content": 1}], PromptText("", "")),
        ([{"role": "tool", "content": {}}], PromptText("", "")),
        ([{"role": "user", "content": {"type": "text", "text": "x"}}], PromptText("", "x")),
        ([{"role": "user", "content": ["x", "y"]}], PromptText("", "x\ny")),
        ([{"role": "user", "content": [{"text": "x"}]}], PromptText("", "x")),
        ([{"role": "user", "content": [{"type": "paragraph", "text": "x"}]}], PromptText("", "x")),
        ([{"role": "user", "content": [{"type": 7}, "x", None]}], PromptText("", "\nx\n")),
        ([{"role": "user", "content": [{"type": "text"}]}], PromptText("", "[text]")),
        ([{"role": "user", "content": [{"type": "refusal"}]}], PromptText("", "[refusal]")),
        ([{"role": "user", "parts": [{"text": "x"}, {"inline_data": {"data": "AA"}}]}],
         PromptText("", "x\n[inline_data]")),
        ([{"role": "system", "content": ["S"]}, {"role": "user", "content": "a\ud800b"}],
         PromptText("S", "a\ufffdb")),
    ],
)  # fmt: skip
def test_the_text_of_odd_messages_is_read(messages, text):
    assert read_prompt(messages) == text


@pytest.mark.parametrize("encoder", [HashedNgrams(96), HashedNgrams(96, output="sparse")])
def test_lone_surrogates_can_be_encoded(encoder):
    for prompt in ("a\ud800b", [{"role": "user", "content": "a\udfffb"}]):
        assert is_finite(encoder.encode(prompt))


@pytest.mark.parametrize(
    ("prompt", "field"),
    [
        (None, "prompt"),
        (b"bytes", "prompt"),
        (7, "prompt"),
        ({"role": "user", "content": "x"}, "prompt"),
        ([], "messages"),
    ],
)
def test_what_is_no_prompt_names_the_field(prompt, field):
    with pytest.raises(InvalidInput) as caught:
        read_prompt(prompt)
    assert caught.value.field == field
