"""Upper bounds of a call's tokens, as they follow from the request's body."""

import json

import pytest

from floorline.errors import InvalidInput
from floorline.gateway.chat_request import read_chat
from floorline.gateway.upstreams import Answer
from floorline.gateway.upstreams.findings import Findings
from floorline.gateway.usage_check import usage_bounds

DATA_URL = "data:image/png;base64," + "A" * 1_000_000


def limits(content="Why?", **fields):
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": content}]}
    data = json.dumps({**body, **fields}, ensure_ascii=False).encode()
    return read_chat(data, {}).limits, len(data)


@pytest.mark.parametrize(
    ("fields", "output_tokens", "answers"),
    [
        ({}, None, 1),
        ({"max_tokens": 50}, 50, 1),
        ({"max_completion_tokens": 70}, 70, 1),
        # Some providers read the one, some the other.
        ({"max_tokens": 50, "max_completion_tokens": 7}, 50, 1),
        ({"max_tokens": 0}, None, 1),
        ({"max_tokens": -1, "n": 0}, None, 1),
        ({"max_tokens": 50, "n": 4}, 50, 4),
        ({"max_tokens": None, "n": None}, None, 1),
    ],
)
def test_the_largest_answer_is_the_larger_limit_times_the_number(fields, output_tokens, answers):
    found, _ = limits(**fields)
    assert (found.output_tokens, found.answers) == (output_tokens, answers)


@pytest.mark.parametrize("text", ["Why?", "x" * 10_000, "🦉" * 500, "\u0000\u0001" * 50, '"' * 99])
def test_a_prompt_has_at_most_a_token_for_each_byte(text):
    found, size = limits(text, tools=[{"type": "function", "function": {"name": "f" * 900}}])
    assert len(text.encode()) <= found.input_tokens == size


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": DATA_URL}},
        {"type": "input_audio", "input_audio": {"data": DATA_URL, "format": "wav"}},
        {"type": "file", "file": {"file_data": DATA_URL, "filename": "a.pdf"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ],
)
def test_images_and_files_count_by_piece_and_not_by_byte(part):
    found, _ = limits([{"type": "text", "text": "What is it?"}, part, part])
    assert 2 * 2048 < found.input_tokens < 2 * 2048 + 600


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "n"])
def test_counts_beyond_their_bound_are_refused(field):
    with pytest.raises(InvalidInput, match=rf"{field} is .*: give a number up to"):
        limits(**{field: 2**60})


@pytest.mark.parametrize(
    ("tier", "is_priority"),
    [(None, False), ("default", False), ("flex", False), ("priority", True), ("auto", True)],
)
def test_the_dear_tier_is_reserved_for_requests_that_may_get_it(tier, is_priority):
    assert limits(service_tier=tier)[0].is_priority is is_priority
    assert limits()[0].is_priority is False


@pytest.mark.parametrize(("n", "times"), [({}, 1), ({"n": 2, "best_of": 5}, 2)])
def test_each_answer_repeats_its_own_prompt(n, times):
    asked = {"model": "m", "prompt": ["Why?", "How so?"], "echo": True, **n}
    chat = read_chat(json.dumps(asked).encode(), {}, path="/completions")
    answer = Answer("m", 200, {}, b"", Findings())
    answer._found.output_characters = times * (len("Why?How so?") + 50)
    assert usage_bounds(chat, answer, None).output_characters == times * 50
