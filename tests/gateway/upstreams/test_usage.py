"""Tokens of a call and their cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.gateway.upstreams import Usage, cost_of, estimate_usage
from floorline.gateway.upstreams.usage import UsageBounds, check_usage
from floorline.gateway.upstreams.usage_shapes import read_usage
from floorline.zoo import Model


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"prompt_tokens": 1},
        {"prompt_tokens": 1, "completion_tokens": -1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": 1.5, "completion_tokens": 1},
        {"prompt_tokens": 10**30, "completion_tokens": 1},
    ],
)
def test_unsound_usage_is_none(value):
    assert read_usage(value) is None


def test_cached_tokens_are_part_of_the_prompt():
    value = {"prompt_tokens": 5, "completion_tokens": 1}
    for details, cached in [(None, 0), ({"cached_tokens": 3}, 3), ({"cached_tokens": 9}, 5)]:
        usage = read_usage(value | {"prompt_tokens_details": details})
        assert usage == Usage(5, 1, cached)


def test_cost():
    model = Model("m", input_price=2.0, output_price=10.0, call_price=0.5)
    assert cost_of(model, Usage(1_000, 100)) == pytest.approx(0.5 + 0.002 + 0.001)
    assert cost_of(model, Usage(0, 0)) == 0.5
    estimate = estimate_usage(1_000, 399)
    assert estimate.estimated
    assert cost_of(model, estimate) == cost_of(model, Usage(1_000, 100))


def bounds(**changed):
    """A prompt of 400 characters in a request of 480 bytes, and an answer of 800 characters."""
    given = {
        "prompt_tokens": 100,
        "largest_prompt": 480,
        "media": 0,
        "output_characters": 800,
        "output_tokens": 1000,
    }
    return UsageBounds(**{**given, **changed})


@pytest.mark.parametrize(
    ("usage", "changed"),
    [
        (Usage(100, 200), {}),
        # Languages with a token for each character, and code with long runs of spaces.
        (Usage(400, 800), {}),
        (Usage(40, 80), {}),
        # Hidden reasoning is many times longer than the text, up to the limit.
        (Usage(100, 1000), {"output_characters": 10}),
        (Usage(100, 64_000), {"output_characters": 10, "output_tokens": None}),
        (Usage(100, 1000), {"output_characters": 0}),
        # A long system prompt of the provider, cached prompts, images, recordings and files.
        (Usage(900, 200), {}),
        (Usage(100, 200, cached_tokens=96), {}),
        (Usage(48_000, 200), {"media": 1}),
        (Usage(900_000, 200), {"media": 1, "prompt_tokens": 2, "largest_prompt": 300}),
        # Several answers; answers of tool calls, and none at all.
        (Usage(100, 4000), {"answers": 4, "output_characters": 3200}),
        (Usage(100, 0), {"output_characters": 0}),
        (Usage(0, 200), {"prompt_tokens": 0}),
        # A provider that ignores the limit, as the text shows.
        (Usage(100, 1900), {"output_characters": 8000}),
    ],
)
def test_honest_counts_are_kept(usage, changed):
    assert check_usage(usage, bounds(**changed)) == (usage, False)


@pytest.mark.parametrize(
    ("usage", "changed", "charged"),
    [
        (Usage(0, 0), {}, (100, 200)),
        (Usage(1, 1), {}, (100, 200)),
        (Usage(100, 0), {}, (100, 200)),
        (Usage(0, 200), {}, (100, 200)),
        (Usage(2**52, 2**52), {}, (100, 1000)),
        (Usage(100, 2**52), {"output_tokens": None}, (100, 200)),
        (Usage(100, 200_000), {"output_tokens": None}, (100, 200)),
        (Usage(2**52, 200), {"media": 3}, (100, 200)),
        (Usage(1600, 200), {}, (100, 200)),
        (Usage(100, 5000), {"answers": 2}, (100, 2000)),
    ],
)
def test_counts_that_cannot_be_true_are_replaced(usage, changed, charged):
    checked, corrected = check_usage(usage, bounds(**changed))
    assert (checked.prompt_tokens, checked.completion_tokens) == charged
    assert checked.estimated
    assert corrected


def test_a_count_of_the_end_as_well_is_lowered_and_no_wrong_one():
    assert check_usage(Usage(100, 1002), bounds()) == (Usage(100, 1000), False)


def test_estimates_stay_within_the_limit_unless_the_text_is_certainly_longer():
    dense = check_usage(None, bounds(output_characters=7000)).usage
    assert (dense.completion_tokens, dense.estimated) == (1000, True)
    ignored = check_usage(None, bounds(output_characters=80_000)).usage
    assert ignored.completion_tokens == 10_000
    assert check_usage(None, bounds(output_tokens=None)).usage.completion_tokens == 200


COUNTS = st.integers(0, 2**53 - 1)


@given(st.none() | st.builds(Usage, COUNTS, COUNTS, COUNTS), COUNTS, st.integers(0, 10**6))
def test_whatever_is_counted_no_more_than_the_limit_or_the_text_is_charged(
    usage, limit, characters
):
    known = bounds(output_tokens=limit, output_characters=characters)
    checked = check_usage(usage, known).usage
    assert checked.prompt_tokens <= 480 + 1024
    assert checked.completion_tokens <= max(limit, (characters + 3) // 4)
    assert checked.cached_tokens <= checked.prompt_tokens or usage in (checked, None)
