"""Minutes of chaos; ``benchmarks/chaos.py`` does it for a quarter of an hour and more."""

import asyncio
import tempfile

import pytest
from tests.support.chaos.balancer import TcpBalancer
from tests.support.chaos.faults import KINDS, make_plan
from tests.support.chaos.namespaces import not_permitted
from tests.support.chaos.run import Given, run

_KINDS = tuple(kind for kind in KINDS if kind != "all models down")
"""No upgrade, which takes a minute of its own."""


def check(given):
    # PostgreSQL does not run as root, and only root may read pytest's folders.
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(run(given, folder, balancer=TcpBalancer))
    assert not found.broken, "\n".join(map(str, found.rules))
    text = "\n".join(found.lines)
    assert "/v1/chat/completions 200" in text
    return text


@pytest.mark.chaos
def test_a_minute_of_chaos_breaks_no_rule():
    text = check(Given(seed=5, duration=60.0, rate=10.0, replicas=2, kinds=_KINDS))
    assert "kill replica" in text or "kill learner" in text


@pytest.mark.chaos
def test_half_a_minute_of_lost_packets_breaks_no_rule():
    if why := not_permitted():
        pytest.skip(f"network namespaces cannot be made: {why}")
    kinds = ("partition", "kill replica", "kill learner")
    given = Given(seed=5, duration=30.0, rate=10.0, replicas=2, kinds=kinds, namespaces=True)
    assert "partition" in check(given)


def test_a_plan_follows_from_its_seed():
    plans = [make_plan(seed, 960.0, 3, 2) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]
    assert {fault.kind for fault in plans[0]} == {*KINDS, "upgrade"}
    assert all(0.0 < fault.at < 960.0 for fault in plans[0])
    assert "partition" in {fault.kind for fault in make_plan(1, 960.0, 3, 2, namespaces=True)}
