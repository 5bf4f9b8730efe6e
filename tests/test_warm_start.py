"""A warm start is an event: the log alone gives the state that it led to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline.errors import InvalidInput
from floorline.events import WarmStart, decode_event, encode_event
from floorline.policies import POLICIES, History
from floorline.sla import SLA
from floorline.state.event_log import MemoryLog

LEARNERS = sorted(name for name, kind in POLICIES.items() if kind.knows == "feedback")


def history(vector, rows=120, seed=0):
    rng = np.random.default_rng(seed)
    quality = (rng.random((rows, 3)) < [0.4, 0.65, 0.9]).astype(float)
    quality[rng.random((rows, 3)) < 0.2] = np.nan
    return History(
        features=[vector(number) for number in range(rows)],
        quality=quality,
        cost=rng.random((rows, 3)) * [2.0, 8.0, 40.0],
        input_tokens=rng.integers(1, 999, rows),
    )


def two():
    return [SLA("gold", floor=0.8), SLA("silver", floor=0.5)]


@pytest.mark.parametrize("policy", LEARNERS)
@given(before=st.integers(0, 60), seed=st.integers(0, 100))
@settings(max_examples=2)
def test_a_fold_of_the_log_alone_is_exact(policy, before, seed, build_router, vector, some_life):
    router = build_router(policy, two(), memory=40)
    some_life(router, before, seed)
    # Models may have come and gone since the beginning.
    made = history(vector)
    column = np.arange(len(router.zoo)) % 3
    given_history = made._replace(quality=made.quality[:, column], cost=made.cost[:, column])
    assert router.warm_start(given_history, source="a file")
    saved = router.snapshot()
    some_life(router, 80, seed + 1)
    rebuilt = build_router(policy, two(), memory=40)
    rebuilt.apply(decode_event(encode_event(event)) for event in router.log.read())
    assert rebuilt.snapshot() == router.snapshot()
    recovered = build_router(policy, two(), memory=40)
    recovered.restore(saved)
    recovered.apply(router.log.read(recovered.position))
    assert recovered.snapshot() == router.snapshot()


@pytest.mark.parametrize("policy", LEARNERS)
def test_the_policy_learns_what_it_learns_of_the_history_itself(policy, build_router, vector):
    router, direct = build_router(policy, two()), build_router(policy, two())
    router.warm_start(history(vector))
    direct.policy.warm_start(history(vector))
    for number in range(40):
        made = [r.route(features=vector(200 + number)) for r in (router, direct)]
        assert made[0].model == made[1].model
        assert made[0].quality == made[1].quality
        assert made[0].cost == made[1].cost
        for one in (router, direct):
            one.feedback(made[0].id, satisfied=number % 3 > 0)


def test_the_same_history_again_changes_nothing(build_router, vector):
    router = build_router("primal_dual")
    assert router.warm_start(history(vector))
    before = router.snapshot()
    assert not router.warm_start(history(vector))
    assert (router.snapshot(), len(router.log)) == (before, 1)
    (event,) = router.log.read()
    router.apply([event])
    assert router.position == 2
    assert router.warm_start(history(vector, seed=1))
    assert [type(event) for event in router.log.read()] == [WarmStart, WarmStart]


def test_the_event_says_what_was_learned(build_router, vector):
    router = build_router("primal_dual")
    router.warm_start(history(vector), source="logs.parquet", at=7.0)
    (event,) = router.log.read()
    assert (event.rows, event.source, event.at) == (120, "logs.parquet", 7.0)
    assert len(event.digest) == 64
    assert repr(event) == (
        f"WarmStart(digest={event.digest[:12]!r}…, rows=120, source='logs.parquet')"
    )


def test_arrays_changed_afterwards_do_not_change_the_log(build_router, vector):
    router, made = build_router("primal_dual"), history(vector)
    router.warm_start(made)
    made.quality[:], made.cost[:] = 0.0, 0.0
    for x in made.features:
        x.flags.writeable = True
        x[:] = 0.0
    rebuilt = build_router("primal_dual")
    rebuilt.apply(router.log.read())
    assert rebuilt.snapshot() == router.snapshot()


@pytest.mark.parametrize("field", ["features", "quality", "cost", "input_tokens"])
def test_a_bad_history_is_refused_and_leaves_no_trace(field, build_router, vector):
    router, made = build_router("primal_dual"), history(vector)
    before = router.snapshot()
    bad = {
        "features": [*made.features[:-1], np.full(6, np.inf, np.float32)],
        "quality": np.where(np.arange(120)[:, None] == 119, 2.0, made.quality),
        "cost": np.where(np.arange(120)[:, None] == 119, -1.0, made.cost),
        "input_tokens": made.input_tokens[:-1],
    }[field]
    with pytest.raises(InvalidInput, match=f"history.{field}"):
        router.warm_start(made._replace(**{field: bad}))
    assert (router.snapshot(), len(router.log)) == (before, 0)


def test_a_history_counts_towards_the_size_of_the_log(build_router, vector):
    log = MemoryLog(max_bytes=20_000)
    router = build_router("primal_dual", log=log)
    router.warm_start(history(vector, rows=2000))
    router.route(features=vector(0))
    with pytest.raises(InvalidInput, match="older events are dropped"):
        log.read(0)
    assert len(list(log.read(1))) == 1
