"""Decisions are found by their id or their completion's, however old they are."""

import asyncio

import pytest
from tests.support.gateway_parts import Parts, chat_request

from floorline.events import Recall
from floorline.gateway.auth import Caller
from floorline.gateway.decision_lookup import DecisionLookup
from floorline.gateway.errors import ApiError

ACME, UMBRELLA = Caller("key-1", "acme"), Caller("key-2", "umbrella")


@pytest.fixture
def parts(tmp_path):
    parts = Parts(tmp_path, memory=2)
    yield parts
    parts.store.close()


def find(parts, id, caller=ACME):
    return asyncio.run(parts.decisions.find(id, caller))


def decide(parts, completion=None):
    decision = parts.chat.decide(chat_request(), ACME)
    parts.router.outcome(decision.id, cost=0.5, completion=completion)
    return decision


def test_a_remembered_decision_is_found_by_its_id_and_its_completion(parts):
    decision = decide(parts)
    parts.decisions.remember_completion("c-1", decision.id)
    assert find(parts, decision.id) == find(parts, "c-1") == decision
    assert parts.events(Recall) == []


@pytest.mark.parametrize("by_completion", [False, True])
def test_a_forgotten_decision_is_read_from_the_log_and_restored(parts, by_completion):
    old = decide(parts, completion="c-old")
    parts.router.feedback(old.id, satisfied=True, key="message-1")
    for _ in range(2):
        decide(parts)
    assert parts.router.find(old.id) is None
    found = find(parts, "c-old" if by_completion else old.id)
    assert found.id == old.id
    (recall,) = parts.events(Recall)
    assert (recall.decision.id, recall.scores, recall.keys) == (
        old.id,
        {"small": 1.0},
        ("message-1",),
    )
    # Known feedback changes nothing, and neither does a second search.
    assert parts.router.feedback(old.id, satisfied=True, key="message-1") is False
    find(parts, old.id)
    assert len(parts.events(Recall)) == 1


@pytest.mark.parametrize("caller", [UMBRELLA, Caller()])
def test_other_tenants_find_nothing(parts, caller):
    decision = decide(parts)
    with pytest.raises(ApiError) as caught:
        find(parts, decision.id, caller)
    assert (caught.value.status, caught.value.param) == (404, "id")


def test_an_unknown_id_is_404_and_says_what_to_send(parts):
    with pytest.raises(ApiError, match="there is no decision or completion 'x': send the id of a"):
        find(parts, "x")


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_decision_that_is_too_old_is_410(parts, forgotten):
    decision = decide(parts)
    for _ in range(2 * forgotten):
        decide(parts)
    later = DecisionLookup(
        parts.router, parts.store, lambda: 60.0, clock=lambda: decision.at + 60.5
    )
    with pytest.raises(ApiError, match=r"older than 0\.000694444 days.*\(feedback\.max_age\)") as e:
        asyncio.run(later.find(decision.id, ACME))
    assert e.value.status == 410
    assert parts.events(Recall) == []
    in_time = DecisionLookup(
        parts.router, parts.store, lambda: 60.0, clock=lambda: decision.at + 59.5
    )
    assert asyncio.run(in_time.find(decision.id, ACME)).id == decision.id


def test_as_many_completions_are_remembered_as_decisions(parts):
    for n in range(5):
        parts.decisions.remember_completion(f"c-{n}", f"d-{n}")
    assert list(parts.decisions._by_completion) == ["c-3", "c-4"]
