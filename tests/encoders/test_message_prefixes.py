import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.encoders.message_prefixes import message_prefixes


def user(text):
    return {"role": "user", "content": text}


def answer(text):
    return {"role": "assistant", "content": text}


texts = st.text(max_size=5)
turns = st.lists(st.builds(user, texts) | st.builds(answer, texts), min_size=1, max_size=8)


@given(turns, turns)
def test_a_request_that_goes_on_has_the_last_ones_hashes_at_its_beginning(first, more):
    short, long = message_prefixes(first).hashes, message_prefixes([*first, *more]).hashes
    assert long[: len(short)] == short
    assert len(long) == 1 + len(first) + len(more)


@given(turns, turns)
def test_other_messages_have_another_hash(one, other):
    same = message_prefixes(one).hashes[-1] == message_prefixes(other).hashes[-1]
    assert same == (one == other)


def test_tools_and_system_prompts_come_before_the_messages():
    system = {"role": "system", "content": "x" * 400}
    tools = b'[{"name":"' + b"f" * 400 + b'"}]'
    plain = message_prefixes([user("hi")])
    told = message_prefixes([system, user("hi")])
    armed = message_prefixes([system, user("hi")], [tools])
    assert len({plain.hashes[-1], told.hashes[-1], armed.hashes[-1]}) == 3
    assert len(told.hashes) == 2
    assert (plain.head_tokens, told.head_tokens >= 100, armed.head_tokens >= 200) == (0, True, True)
    assert message_prefixes([system, user("ho")], [tools]).hashes[0] == armed.hashes[0]


@pytest.mark.parametrize("kind", ["text", "input_text"])
def test_marks_of_caches_are_no_part_of_a_message(kind):
    mark = {"type": "ephemeral"}
    plain, text = user("hi"), {"type": kind, "text": "hi"}
    image = {"type": "image", "source": {"data": "AA"}}
    assert message_prefixes([user([text])]) == message_prefixes([plain])
    assert message_prefixes([user([{**text, "cache_control": mark}])]) == message_prefixes([plain])
    both = [text, {**image, "cache_control": mark}]
    assert message_prefixes([user(both)]) == message_prefixes([user([text, image])])
    head = b'[{"name":"f","cache_control":{"type":"ephemeral"}}]'
    assert message_prefixes([plain], [head]) == message_prefixes([plain], [b'[{"name":"f"}]'])


def test_of_a_very_long_request_the_longest_prefixes_are_kept():
    long = [user(str(number)) for number in range(2000)]
    hashes = message_prefixes(long).hashes
    assert len(hashes) == 513
    assert hashes[-1] == message_prefixes([*long, user("more")]).hashes[-2]


@given(st.recursive(st.none() | st.text() | st.floats() | st.booleans(), st.lists))
def test_any_messages_have_hashes(messages):
    assert message_prefixes(messages).hashes == message_prefixes(messages).hashes


def test_a_deep_message_has_a_hash():
    deep = "end"
    for _ in range(3000):
        deep = [deep]
    assert message_prefixes([user(deep)]).hashes


def test_the_number_of_a_request_in_claude_codes_system_prompt_is_no_part_of_it():
    heads = [
        b'[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.197; cch=%d;"},'
        b'{"type":"text","text":"You are Claude Code."}]' % number
        for number in (1, 2)
    ]
    one, other = (message_prefixes([user("hi")], [head]) for head in heads)
    assert one.hashes == other.hashes


@pytest.mark.parametrize("odd", [["user"], {"name": "user"}, 5, None])
def test_odd_roles_and_kinds_are_hashed_like_others(odd):
    messages = [{"role": odd, "content": "a"}, {"role": "user", "content": [{"type": odd}]}]
    assert len(message_prefixes(messages).hashes) == 3
