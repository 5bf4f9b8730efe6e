"""Tokens of a call and their cost."""

import pytest

from floorline.gateway.upstreams import Usage, cost_of, estimate_usage
from floorline.gateway.upstreams.usage import read_usage
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
