"""Calls at the same time cannot spend more than a budget: the statement of docs/gateway.md."""

import pytest
from tests.support.overspending import PRICE, UNLIMITED_TOKENS, overspend

CALL = 137 * PRICE / 1e6
"""Cost of a call of the cheap model with an answer of 133 tokens and a prompt of 4."""


@pytest.mark.parametrize("of", ["key", "sla", "direct", "route", "key route"])
@pytest.mark.parametrize("budget", [0.3, 1.0, 3.0])
def test_sixty_calls_at_once_stay_within_the_budget(of, budget, tmp_path):
    found = overspend(tmp_path, budget, of=of, max_tokens=133)
    assert found.books <= budget
    assert found.billed <= budget
    assert found.books == pytest.approx(found.billed)
    # At most a call that could not be made is left over.
    assert found.statuses[200] >= 1
    assert found.statuses[200] + found.statuses[429] == 60


@pytest.mark.parametrize(
    ("of", "fields"),
    [
        ("key", {"stream": True}),
        ("sla", {"stream": True, "stream_options": {"include_usage": True}}),
        ("key", {"n": 4}),
        ("sla", {"n": 3, "stream": True}),
        ("route", {"n": 2}),
        ("key", {"failing": 4}),
        ("sla", {"failing": 4, "stream": True}),
        ("direct", {"failing": 3, "n": 2}),
        ("sla", {"per_model": {"cheap": 0.5, "dear": 0.7}}),
    ],
)
def test_neither_streams_nor_choices_nor_failures_exceed_it(of, fields, tmp_path):
    found = overspend(tmp_path, 1.5, of=of, max_completion_tokens=100, **fields)
    assert 0.0 < found.billed <= 1.5
    assert found.books == pytest.approx(found.billed)


@pytest.mark.parametrize("of", ["key", "sla", "direct"])
def test_the_dearest_tokens_are_reserved(of, tmp_path):
    found = overspend(tmp_path, 1.5, of=of, dearest=True, max_tokens=100)
    assert 0.0 < found.billed <= 1.5
    assert found.books == pytest.approx(found.billed)


@pytest.mark.parametrize("of", ["key", "sla", "direct"])
def test_without_a_limit_in_the_request_one_answer_at_most_is_above_it(of, tmp_path):
    """A budget below the assumed largest answer serves one call after the other."""
    found = overspend(tmp_path, 0.4, of=of)
    assert found.statuses[200] >= 1
    assert found.billed <= 0.4 + (UNLIMITED_TOKENS + 4) * PRICE * 4 / 1e6


@pytest.mark.parametrize("of", ["key", "sla"])
def test_a_request_that_could_cost_more_than_the_budget_is_refused(of, tmp_path):
    found = overspend(tmp_path, 0.5, of=of, calls=5, max_tokens=10_000)
    assert (found.billed, found.statuses) == (0.0, {429: 5})


TOOLS = [{"type": "function", "function": {"name": "f", "description": "x" * 400}}]


@pytest.mark.parametrize(
    ("of", "fields"),
    [
        ("key", {"max_tokens": 133.0}),
        ("sla", {"max_tokens": "133", "n": "2"}),
        ("direct", {"max_tokens": 100, "n": "3"}),
        ("sla", {"max_tokens": 100, "tools": TOOLS}),
        ("key", {"max_tokens": "100", "n": 2.0, "tools": TOOLS, "stream": True}),
    ],
)
def test_neither_odd_counts_nor_tools_exceed_it(of, fields, tmp_path):
    found = overspend(tmp_path, 1.5, of=of, pause=0.03, **fields)
    assert 0.0 < found.billed <= 1.5
    assert found.books == pytest.approx(found.billed)


@pytest.mark.parametrize(
    ("of", "count"), [("key", "1"), ("sla", "1"), ("direct", True), ("sla", [10]), ("key", "0x10")]
)
def test_a_count_that_the_provider_ignores_is_no_limit(of, count, tmp_path):
    found = overspend(tmp_path, 4.0, of=of, strict_provider=True, pause=0.03, max_tokens=count)
    assert found.statuses[200] >= 1
    assert found.billed <= 4.0 + (UNLIMITED_TOKENS + 4) * PRICE * 4 / 1e6


@pytest.mark.parametrize(
    ("of", "count"),
    [("key", 1e15), ("sla", "10000"), ("direct", "1e9"), ("sla", 2**53 - 1), ("key", 10**400)],
)
def test_a_huge_count_in_any_form_is_refused(of, count, tmp_path):
    found = overspend(tmp_path, 0.5, of=of, calls=5, max_tokens=count)
    assert found.billed == 0.0
    assert set(found.statuses) <= {400, 429}
