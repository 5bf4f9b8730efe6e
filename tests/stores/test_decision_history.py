"""The events of one decision in a store, next to reading the whole log."""

import numpy as np
import pytest
from tests.state.test_explaining import check_chain, failing, live, router

from floorline import RequestContext
from floorline.events import encode_event
from floorline.state.explaining import decision_history, explain
from floorline.stores.decision_history import cost_unit_of


def same(one, other):
    return list(map(encode_event, one)) == list(map(encode_event, other))


def test_a_store_finds_the_same_history_as_the_whole_log(store):
    served = router(log=store)
    made = failing(served, 3)
    live(served, 20, np.random.default_rng(0))
    made += failing(served, 2, at=100.0)
    check_chain(served.explain, made[:3])
    whole = list(store.read())
    for decision in made:
        found = store.decision_history(decision.id)
        assert same(found, decision_history(whole, decision.id))
        assert served.explain(decision.id) == explain(decision, whole)
    assert store.decision_history("nothing") == []


def test_a_replacement_is_found_among_many_other_requests(store):
    served = router(log=store)
    (first,) = failing(served, 1)
    # The gateway logs a failure and its replacement one after the other.
    other = [served.route(features=np.zeros(2, np.float32), at=1.0) for _ in range(300)]
    served.outcome(other[-1].id, cost=0.0, error="down", at=2.0)
    replaced = replacing(served, other[-1])
    assert served.explain(other[-1].id).replaced_by == replaced.id
    assert served.explain(replaced.id).after == other[-1].id
    assert served.explain(first.id).replaced_by == ""


def replacing(served, failed):
    context = RequestContext("", after=failed.id)
    return served.route(features=np.zeros(2, np.float32), at=3.0, context=context)


def test_a_recalled_decision_keeps_its_score(store):
    served = router(log=store, memory=2)
    made = live(served, 1, np.random.default_rng(0))
    live(served, 5, np.random.default_rng(1))
    assert served.find(made.id) is None
    before = served.explain(made.id)
    served.restore_decision(made, {made.model: 0.25}, at=50.0)
    assert served.explain(made.id).timeline == before.timeline
    assert served.explain(made.id).score == 0.25


def test_a_store_without_a_beginning_counts_in_dollars(store):
    assert cost_unit_of(store) == "USD"


@pytest.mark.parametrize("id", ["\0", "x" * 10_000, ""])
def test_odd_ids_are_unknown(store, id):
    assert store.decision_history(id) == []
