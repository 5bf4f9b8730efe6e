"""A minute of chaos; ``benchmarks/chaos.py`` does it for a quarter of an hour and more."""

import asyncio
import tempfile

import pytest
from tests.support.chaos.balancer import TcpBalancer
from tests.support.chaos.faults import KINDS, make_plan
from tests.support.chaos.run import Given, run

_KINDS = tuple(kind for kind in KINDS if kind != "all models down")
"""No upgrade, which takes a minute of its own."""


@pytest.mark.chaos
def test_a_minute_of_chaos_breaks_no_rule():
    given = Given(seed=5, duration=60.0, rate=10.0, replicas=2, kinds=_KINDS)
    # PostgreSQL does not run as root, and only root may read pytest's folders.
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(run(given, folder, balancer=TcpBalancer))
    assert not found.broken, "\n".join(map(str, found.rules))
    text = "\n".join(found.lines)
    assert "kill replica" in text or "kill learner" in text
    assert "/v1/chat/completions 200" in text


def test_a_plan_follows_from_its_seed():
    plans = [make_plan(seed, 960.0, 3, 2) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]
    assert {fault.kind for fault in plans[0]} == {*KINDS, "upgrade"}
    assert all(0.0 < fault.at < 960.0 for fault in plans[0])
