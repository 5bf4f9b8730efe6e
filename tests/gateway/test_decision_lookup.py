"""Decisions are found by their id or their completion's, however old they are."""

import asyncio

import pytest
from tests.support.gateway_parts import Parts, chat_request

from floorline.errors import StoreUnavailable
from floorline.events import Recall
from floorline.gateway.auth import Caller
from floorline.gateway.completion_ids import CompletionIds
from floorline.gateway.decision_lookup import DecisionLookup
from floorline.gateway.errors import ApiError

ACME, UMBRELLA = Caller("key-1", "acme"), Caller("key-2", "umbrella")


@pytest.fixture
def parts(tmp_path):
    parts = Parts(tmp_path, memory=2)
    yield parts
    parts.store.close()


def find(parts, id, caller=ACME):
    # Clients get an id once its decision is durable.
    parts.store.flush()
    return asyncio.run(parts.decisions.find(id, caller))


def decide(parts, completion=None):
    decision = parts.chat.decide(chat_request(), ACME)
    parts.router.outcome(decision.id, cost=0.5, completion=completion)
    return decision


def test_a_remembered_decision_is_found_by_its_id_and_its_completion(parts):
    decision = decide(parts)
    parts.decisions.note_completion("c-1", decision)
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


def test_what_may_come_later_is_not_404_but_another_tenants_decision_is(parts, monkeypatch):
    monkeypatch.setattr(type(parts.store), "lags", lambda store, id: True)
    for id in ("x", f"d{'0' * 16}-1"):
        with pytest.raises(StoreUnavailable, match="on the disk of the server that answered"):
            find(parts, id)
    with pytest.raises(ApiError, match="there is no decision"):
        find(parts, decide(parts).id, UMBRELLA)


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


def note(parts, completion, caller=ACME):
    decision = parts.chat.decide(chat_request(), caller)
    parts.router.outcome(decision.id, cost=0.5, completion=completion)
    parts.decisions.note_completion(completion, decision)
    return decision


def ambiguous(parts, id, caller=ACME):
    with pytest.raises(ApiError) as caught:
        find(parts, id, caller)
    assert (caught.value.status, caught.value.code) == (409, "ambiguous_id")
    assert "X-Floorline-Decision header" in caught.value.text
    return caught.value.text.rpartition(": ")[2].split(", ")


@pytest.mark.parametrize("between", [0, 3], ids=["in memory", "in the log"])
def test_a_repeated_id_is_ambiguous_and_names_the_latest_decision_first(parts, between):
    made = [note(parts, "c-1").id]
    for _ in range(between):
        decide(parts)
    made.append(note(parts, "c-1").id)
    assert ambiguous(parts, "c-1") == made[::-1]
    for id in made:
        assert find(parts, id).id == id


def test_a_repeated_id_is_ambiguous_after_a_restart_too(parts):
    made = [decide(parts, completion="c-1").id for _ in range(2)]
    assert ambiguous(parts, "c-1") == made[::-1]


def test_one_decision_under_one_id_is_not_ambiguous_however_often_it_is_noted(parts):
    decision = note(parts, "c-1")
    parts.decisions.note_completion("c-1", decision)
    parts.store.flush()
    assert find(parts, "c-1").id == decision.id
    # The provider may have been given our id, too.
    parts.decisions.note_completion(decision.id, decision)
    assert find(parts, decision.id).id == decision.id


def test_an_id_that_two_tenants_share_is_each_ones_own(parts):
    for caller in (ACME, UMBRELLA, Caller("key-3"), Caller("key-4")):
        mine = note(parts, "c-1", caller)
        assert find(parts, "c-1", caller).id == mine.id
    parts.store.flush()
    for _ in range(3):
        decide(parts)
    assert find(parts, "c-1", UMBRELLA).tenant == "umbrella"
    assert find(parts, "c-1", Caller("key-3")).key == "key-3"


def test_a_tenant_cannot_claim_or_shadow_the_id_of_another(parts):
    theirs = note(parts, "c-1", ACME)
    note(parts, "c-1", UMBRELLA)
    note(parts, theirs.id, UMBRELLA)
    assert find(parts, "c-1", ACME).id == theirs.id
    assert find(parts, theirs.id, ACME).id == theirs.id


@pytest.mark.parametrize("forgotten", [False, True])
def test_an_id_that_is_a_decisions_and_another_completions_is_ambiguous(parts, forgotten):
    first = decide(parts)
    second = note(parts, first.id)
    for _ in range(2 * forgotten):
        decide(parts)
    assert ambiguous(parts, first.id) == [second.id, first.id]
    assert asyncio.run(parts.decisions.find_exactly(first.id, ACME)).id == first.id
    assert find(parts, second.id).id == second.id


def test_keys_without_a_tenant_do_not_judge_each_others_decisions(parts):
    decision = note(parts, "c-1", Caller("key-1"))
    assert find(parts, decision.id, Caller("key-1")) == decision
    for other in (Caller("key-2"), Caller("key-1", "acme"), Caller("key-2", "key-1")):
        for id in (decision.id, "c-1"):
            with pytest.raises(ApiError, match="there is no decision"):
                find(parts, id, other)
    # Without keys everyone judges what has no tenant.
    assert find(parts, decision.id, Caller()) == decision


def test_keys_of_one_tenant_judge_each_others_decisions(parts):
    decision = note(parts, "c-1", Caller("key-1", "acme"))
    assert find(parts, "c-1", Caller("key-2", "acme")) == decision


@pytest.mark.parametrize("id", ["x" * 9000, "a\0b", "17", "🦜" * 256, "\u2028"])
def test_ids_that_no_store_holds_are_found_by_their_canonical_form(parts, id):
    decision = decide(parts, completion=id)
    assert find(parts, id).id == decision.id


def test_a_huge_unknown_id_is_not_repeated(parts):
    with pytest.raises(ApiError) as caught:
        find(parts, "x" * 9000)
    assert len(caught.value.text) < 300


def test_completions_that_memory_forgets_before_their_commit_are_found(parts):
    parts.decisions._completions = CompletionIds(capacity=1)
    made = [note(parts, "c-1").id]
    note(parts, "c-2")
    made.append(note(parts, "c-1").id)
    assert ambiguous(parts, "c-1") == made[::-1]


def test_the_messages_of_a_batch_are_looked_up_at_once(parts):
    old = decide(parts, completion="c-1")
    twice = [decide(parts, completion="c-2").id for _ in range(2)]
    for _ in range(2):
        decide(parts)

    async def search():
        logged = await parts.decisions.logged(["c-1", "c-2", old.id, "nothing"], ACME)
        assert logged.completions == {"c-1": [old.id], "c-2": twice[::-1]}
        assert logged.decisions[old.id].id == old.id
        assert (await parts.decisions.find("c-1", ACME, logged)).id == old.id
        assert (await parts.decisions.find(old.id, ACME, logged)).id == old.id
        with pytest.raises(ApiError, match="several answers"):
            await parts.decisions.find("c-2", ACME, logged)
        with pytest.raises(ApiError, match="there is no decision"):
            await parts.decisions.find("nothing", ACME, logged)

    asyncio.run(search())
