import msgspec
import numpy as np
import pytest
from tests.support.inside import fold_of

from floorline.core.snapshots import pack, unpack
from floorline.errors import SnapshotMismatch, UnknownDecision
from floorline.events import Feedback, Outcome
from floorline.sla import SLA


@pytest.fixture
def router(build_router, vector):
    router = build_router("mess_plus", [SLA("gold", floor=0.8), SLA("silver", floor=0.5)])
    for t in range(20):
        decision = router.route(features=vector(t))
        router.outcome(decision.id, cost=1.0, latency=0.5)
        router.feedback(decision.id, satisfied=t % 2 == 0)
    return router


def test_folding_all_events_twice_is_folding_them_once(router, build_router):
    once = build_router("mess_plus", [SLA("gold", floor=0.8), SLA("silver", floor=0.5)])
    once.apply(router.log.read())
    twice = build_router("mess_plus", [SLA("gold", floor=0.8), SLA("silver", floor=0.5)])
    for event in router.log.read():
        assert fold_of(twice).apply(event)
        assert not fold_of(twice).apply(event)
    fold_of(twice).events_ = once.position
    assert twice.snapshot() == once.snapshot() == router.snapshot()


def test_every_event_is_counted_so_that_a_log_can_be_read_from_there(router):
    assert router.position == len(router.log) == 60


def test_events_of_unknown_decisions_change_nothing(router):
    before = router.snapshot()
    for event in (
        Outcome(decision="never", model="small", cost=1.0),
        Feedback(decision="never", model="small", score=1.0),
    ):
        with pytest.raises(UnknownDecision, match="'never' is unknown: give the id of one of the"):
            router.apply([event])
    assert router.snapshot() == before


def test_latencies_are_medians_of_outcomes_that_have_one(build_router, vector):
    router = build_router("cheapest")
    for latency in (1.0, None, 4.0, 2.0):
        router.outcome(router.route(features=vector(0)).id, cost=1.0, latency=latency)
    assert fold_of(router).latency_.median("small") == 2.0
    assert fold_of(router).latency_.median("large") == 0.0


@pytest.mark.parametrize("change", ["drop", "add", "rename"])
def test_snapshots_with_other_fields_are_refused_by_name(change, router):
    state = unpack(pack(fold_of(router).snapshot()))
    if change != "add":
        state.pop("latency_")
    if change != "drop":
        state["extra_"] = 1
    named = "latency_" if change == "drop" else "extra_"
    with pytest.raises(SnapshotMismatch, match=rf"does not fit a router: fields differ .*{named}"):
        fold_of(router).restore(state)


def test_a_policy_folds_decisions_of_another_policy(router, build_router):
    """What-if needs it: another policy learns from the log of the one that ran."""
    other = build_router("carrot", [SLA("gold", floor=0.8), SLA("silver", floor=0.5)])
    other.apply(router.log.read())
    assert other.status() == router.status()
    assert other.policy.t_ == 20


def test_the_number_of_remembered_decisions_is_bounded(build_router, vector):
    router = build_router("random", memory=5)
    ids = [router.route(features=vector(t)).id for t in range(50)]
    assert list(router.remembered) == ids[-5:]


def test_labels_of_models_that_left_teach_nothing_and_do_no_harm(router, vector):
    decision = router.route(features=vector(1))
    router.remove_model(decision.model)
    before = pack(router.policy.snapshot())
    assert router.outcome(decision.id, cost=2.0)
    assert router.feedback(decision.id, satisfied=True)
    assert pack(router.policy.snapshot()) == before
    assert router.status().labels == 21


def test_decisions_in_a_snapshot_keep_every_bit(router):
    saved = {id: router.find(id).decision for id in router.remembered}
    router.restore(router.snapshot())
    for id in router.remembered:
        for field, value in msgspec.structs.asdict(router.find(id).decision).items():
            np.testing.assert_array_equal(value, getattr(saved[id], field))
