"""Tokens of a call and their cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.gateway.upstreams import Usage, cost_of, estimate_usage
from floorline.gateway.upstreams.usage import UsageBounds, bill_of, check_usage
from floorline.gateway.upstreams.usage_shapes import read_usage
from floorline.zoo import CallLimits, Model, Zoo


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


PARTS = Model(
    "m",
    input_price=1.0,
    output_price=10.0,
    cached_input_price=0.1,
    cache_write_price=1.25,
    cache_write_1h_price=2.0,
    reasoning_price=12.0,
    image_price=0.5,
    audio_input_price=8.0,
    audio_output_price=20.0,
    batch_factor=0.5,
    priority_factor=2.0,
)
MILLION = 10**6


@pytest.mark.parametrize(
    ("parts", "cost"),
    [
        ({}, 20.0),
        ({"cached_tokens": MILLION}, 20.0 - 0.9),
        ({"cache_write_tokens": MILLION}, 20.0 + 0.25),
        ({"cache_write_tokens": MILLION, "cache_write_1h_tokens": MILLION}, 20.0 + 1.0),
        ({"reasoning_tokens": MILLION}, 20.0 + 2.0),
        ({"audio_input_tokens": MILLION}, 20.0 + 7.0),
        ({"audio_output_tokens": MILLION}, 20.0 + 10.0),
        ({"images": 2}, 20.0 + 1.0),
        ({"tier": "batch"}, 10.0),
        ({"tier": "priority", "images": 2}, 40.0 + 1.0),
    ],
)
def test_parts_cost_their_own_prices(parts, cost):
    usage = Usage(10 * MILLION, MILLION, **parts)
    assert cost_of(PARTS, usage) == pytest.approx(cost, abs=1e-9)


def test_long_prompts_cost_more():
    model = Model(
        "m",
        input_price=1.0,
        output_price=10.0,
        cached_input_price=0.5,
        long_prompt_tokens=MILLION,
        long_prompt_input_factor=2.0,
        long_prompt_output_factor=1.5,
    )
    assert cost_of(model, Usage(MILLION, MILLION)) == pytest.approx(11.0)
    longer = Usage(2 * MILLION, MILLION, cached_tokens=MILLION)
    assert cost_of(model, longer) == pytest.approx(2 * 1.5 + 1.5 * 10.0)


def test_parts_without_a_price_cost_as_much_as_the_others():
    plain = Model("m", input_price=1.0, output_price=10.0)
    usage = Usage(50, 30, 10, 20, False, 5, 9, 8, 7, 3, "batch")
    assert cost_of(plain, usage) == cost_of(plain, Usage(50, 30))
    # Those for an hour cost what the other written ones do.
    written = Model("m", cache_write_price=3.0)
    assert cost_of(written, usage) == pytest.approx(20 * 3e-6)


@pytest.mark.parametrize(
    ("bill", "model", "unit", "cost"),
    [
        (1.5, PARTS, "USD", 1.5),
        (0.06, PARTS, "USD", 0.06),
        (7.9, PARTS, "USD", 7.9),
        # Below a twentieth and above eight times the list price.
        (0.04, PARTS, "USD", None),
        (8.1, PARTS, "USD", None),
        # No dollars.
        (1.5, PARTS, "J", None),
        # All that is known of a model without prices; up to what tokens cost anywhere.
        (1.5, Model("m"), "USD", 1.5),
        (2_000.0, Model("m"), "USD", None),
        # A model that is said to cost nothing bills nothing.
        (1.5, Model("m", free=True), "USD", None),
    ],
)
def test_a_bill_is_believed_if_it_can_be_true(bill, model, unit, cost):
    usage = Usage(MILLION, 0, bill=bill)
    found = bill_of(model, usage, unit)
    expected = cost_of(model, usage) if cost is None else cost
    assert found == (expected, cost is not None, cost is None and unit == "USD")


def test_what_is_counted_wrongly_is_not_billed_by_the_provider_either():
    wrong = Usage(2**52, 200, 2**51, 2**51, bill=3.0, reasoning_tokens=100)
    assert check_usage(wrong, bounds()).usage == Usage(
        100, 200, estimated=True, reasoning_tokens=100
    )


def test_recordings_are_believed_of_requests_that_may_have_them():
    usage = Usage(100, 200, audio_input_tokens=60, audio_output_tokens=90)
    assert check_usage(usage, bounds()).usage == Usage(100, 200)
    assert check_usage(usage, bounds(has_audio=True)).usage == usage


def test_images_are_those_of_the_request():
    assert check_usage(Usage(100, 200, images=9), bounds(images=2)).usage.images == 2
    assert check_usage(None, bounds(images=2)).usage.images == 2


PRICE = st.floats(0, 100)
SOME_PRICE = st.none() | PRICE


@given(
    st.builds(
        Model,
        st.just("m"),
        input_price=PRICE,
        output_price=PRICE,
        call_price=PRICE,
        cached_input_price=SOME_PRICE,
        cache_write_price=SOME_PRICE,
        cache_write_1h_price=SOME_PRICE,
        reasoning_price=SOME_PRICE,
        image_price=PRICE,
        audio_input_price=SOME_PRICE,
        audio_output_price=SOME_PRICE,
        batch_factor=st.floats(0, 1),
        priority_factor=st.floats(0, 3),
        long_prompt_tokens=st.none() | st.integers(1, 16_000),
        long_prompt_input_factor=st.floats(0, 3),
        long_prompt_output_factor=st.floats(0, 3),
    ),
    st.lists(st.integers(0, 2000), min_size=6, max_size=6),
    st.booleans(),
    st.sampled_from(["", "batch", "priority"]),
)
def test_no_honest_call_costs_more_than_what_is_reserved(model, parts, has_audio, tier):
    cached, written, written_1h, heard, reasoning, spoken = parts
    is_priority = tier == "priority"
    limits = CallLimits(8000, 4000, images=3, has_audio=has_audio, is_priority=is_priority)
    usage = Usage(
        8000,
        4000,
        cached,
        written,
        False,
        min(written_1h, written),
        reasoning,
        heard,
        spoken,
        tier=tier,
    )
    known = bounds(
        prompt_tokens=8000,
        largest_prompt=8000,
        output_characters=100,
        output_tokens=4000,
        images=3,
        has_audio=has_audio,
    )
    cost = cost_of(model, check_usage(usage, known).usage)
    assert cost <= Zoo([model]).largest_costs(limits)[0] * (1 + 1e-12)


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


@given(
    st.none()
    | st.builds(
        Usage,
        COUNTS,
        COUNTS,
        COUNTS,
        COUNTS,
        st.just(False),
        COUNTS,
        COUNTS,
        COUNTS,
        COUNTS,
        COUNTS,
    ),
    COUNTS,
    st.integers(0, 10**6),
)
def test_whatever_is_counted_no_more_than_the_limit_or_the_text_is_charged(
    usage, limit, characters
):
    known = bounds(output_tokens=limit, output_characters=characters)
    checked = check_usage(usage, known).usage
    assert checked.prompt_tokens <= 480 + 1024
    assert checked.completion_tokens <= max(limit, (characters + 3) // 4)
    heard, spoken = checked.audio_input_tokens, checked.audio_output_tokens
    assert checked.cached_tokens + checked.cache_write_tokens + heard <= checked.prompt_tokens
    assert checked.cache_write_1h_tokens <= checked.cache_write_tokens
    assert checked.reasoning_tokens + spoken <= checked.completion_tokens
    assert checked.images == 0
