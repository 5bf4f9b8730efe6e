"""Recognition of conversations, and what each provider has cached of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.conversing import CACHED_ZOO, Talk, cached_router

from floorline import Budget, Model, Zoo
from floorline.core.snapshots import pack, unpack
from floorline.events import CLIENT, RequestContext, decode_event, encode_event
from floorline.policies.reference.promptless import Cheapest
from floorline.state.conversations import Conversations
from floorline.state.fold import Fold
from floorline.zoo import CallLimits

X = np.zeros(2, dtype=np.float32)


@pytest.fixture
def router():
    return cached_router()


def conversations(router):
    return router._fold.conversations_


def expected(router, talk, tokens=3000):
    """Tokens that each model's provider is expected to read for the talk's next request."""
    talk.messages.append({"role": "user", "content": "next"})
    request = router.request(features=X, input_tokens=tokens, at=talk.at, context=talk.context())
    talk.messages.pop()
    return request.cache.read.round().tolist()


def test_the_turns_of_a_conversation_are_one_session(router):
    talk = Talk(router, X)
    made = [talk.turn(f"turn {n}", tokens=2000 + 500 * n) for n in range(4)]
    assert len({decision.session for decision in made}) == 1
    assert made[0].session.startswith("~")
    assert [d.follows for d in made] == ["", *(d.prefix for d in made[:-1])]


def test_conversations_that_begin_equal_are_two_once_they_differ(router):
    one, other = Talk(router, X), Talk(router, X)
    first = [talk.turn("hi") for talk in (one, other)]
    assert first[0].session == first[1].session
    more = [talk.turn(text) for talk, text in ((one, "weather?"), (other, "recipe?"))]
    assert more[0].session != more[1].session
    last = [talk.turn("thanks") for talk in (one, other)]
    assert [d.session for d in last] == [d.session for d in more]


def test_an_edited_message_continues_what_came_before_it(router):
    talk = Talk(router, X)
    talk.turn("one")
    second = talk.turn("two")
    kept = talk.messages[:-2]
    talk.messages = [*kept]
    edited = talk.turn("two, but otherwise")
    assert edited.follows == second.follows
    assert edited.session != second.session


def test_a_repeated_request_continues_itself(router):
    talk = Talk(router, X)
    first = talk.say("hi")
    again = talk.send()
    assert (again.follows, again.session) == (first.prefix, first.session)
    assert conversations(router).turns_.reached_.sum() == 1.0


@pytest.mark.parametrize("named", [False, True])
def test_a_request_after_a_failed_call_is_the_turn_that_it_was(router, named):
    for number in range(100):
        for turn in (1, 2):
            context = _turn_of(number, turn, named)
            router.route(features=X, input_tokens=2000 * turn, at=float(number), context=context)
    context = _turn_of(100, 1, named)
    first = router.request(features=X, input_tokens=2000, at=100.0, context=context)
    failed = router.route(features=X, input_tokens=2000, at=100.0, context=context)
    router.outcome(failed.id, cost=0.0, error="timeout", at=101.0)
    context = context._replace(after=failed.id)
    second = router.request(features=X, input_tokens=2000, at=101.0, context=context)
    assert first.turn.goes_on == second.turn.goes_on > 0.9
    assert first.turn.remaining == second.turn.remaining


def _turn_of(number, turn, named):
    if named:
        return RequestContext(session=f"s-{number}")
    return RequestContext(prefixes=("head", *(f"{number}-{n}" for n in range(1, turn + 1))))


def test_an_agent_with_another_system_prompt_is_another_branch(router):
    main = Talk(router, X, system="You code." * 1000, session="s-17")
    sub = Talk(router, X, system="You search." * 1000, session="s-17")
    main.turn("task", tokens=3000)
    decision = sub.turn("task", tokens=3000)
    assert (decision.session, decision.follows) == ("s-17", "")
    assert main.turn("go on", tokens=4000).follows


@pytest.mark.parametrize("other", [{"tenant": "b"}, {"key": "k2"}])
def test_no_conversation_crosses_owners(router, other):
    mine, theirs = Talk(router, X, key="k1"), Talk(router, X, **other)
    mine.turn("hi")
    assert theirs.turn("hi").follows == ""


def test_a_named_conversation_without_messages_continues_its_last_request(router):
    context = RequestContext(session="s-17")
    for tokens in (2000, 2600):
        decision = router.route(features=X, input_tokens=tokens, at=5.0, context=context)
        router.outcome(decision.id, cost=0.01, at=6.0)
    request = router.request(features=X, input_tokens=3000, at=9.0, context=context)
    assert request.cache.read[0] == pytest.approx(0.9 * 2600)


def test_the_model_that_served_has_the_prompt_cached(router):
    talk = Talk(router, X)
    assert expected(router, talk) == [0.0, 0.0, 0.0]
    assert talk.turn("one", tokens=2000).model == "small"
    assert expected(router, talk) == [1800.0, 0.0, 0.0]
    talk.at += 299.0
    assert expected(router, talk) == [1800.0, 0.0, 0.0]
    talk.at += 2.0
    assert expected(router, talk) == [0.0, 0.0, 0.0]


def test_use_refreshes_a_cache(router):
    talk = Talk(router, X)
    talk.turn("one", tokens=2000)
    talk.turn("two", tokens=2500, after=250.0)
    talk.at += 250.0
    assert expected(router, talk) == [2250.0, 0.0, 0.0]


def test_a_short_prompt_is_not_cached(router):
    talk = Talk(router, X)
    talk.turn("one", tokens=1000)
    assert expected(router, talk) == [0.0, 0.0, 0.0]


def test_a_failed_call_caches_nothing(router):
    talk = Talk(router, X)
    talk.turn("one", tokens=2000, error="boom")
    assert expected(router, talk) == [0.0, 0.0, 0.0]


def test_a_model_keeps_what_it_had_while_another_one_serves(router):
    talk = Talk(router, X)
    talk.turn("one", tokens=2000)
    talk.messages.append({"role": "user", "content": "two"})
    decision = router.route(
        features=X, input_tokens=2500, at=talk.at, exclude=["small"], context=talk.context()
    )
    talk.answered(decision)
    assert decision.model == "plain"
    assert expected(router, talk) == [1800.0, 0.0, 2250.0]


def test_conversations_share_the_system_prompt_of_their_owner(router):
    system = "You are an agent. " * 500
    first = Talk(router, X, system=system)
    first.turn("task one", tokens=3000)
    head = first.turn("more", tokens=3500).head_tokens
    assert head > 2000
    second = Talk(router, X, system=system, seconds=first.at + 10.0)
    assert expected(router, second)[0] == pytest.approx(0.9 * head, abs=1.0)
    assert second.turn("task two", tokens=3000).session != ""
    assert conversations(router).turns_.reached_[0] == 2.0


def test_what_providers_report_is_learned(router):
    for number in range(60):
        talk = Talk(router, X, seconds=1e4 * number)
        talk.turn(f"one {number}", tokens=2000, read=0, written=0)
        talk.turn("two", tokens=2500, read=0, written=0)
    rates = conversations(router).rates_
    assert rates.read_[0] < 0.1
    assert rates.read_[1:].tolist() == [0.9, 0.9]


def test_the_real_counts_of_tokens_are_read_in_the_estimates_measure(router):
    """The provider counts half as many tokens as Floorline estimates."""
    for number in range(30):
        talk = Talk(router, X, seconds=1e4 * number)
        talk.turn(f"one {number}", tokens=4000, cost=0.0024)
        talk.at += 5.0
        decision = talk.say("two", tokens=5000)
        router.outcome(decision.id, cost=0.0011, input_tokens=2500, cached_tokens=2000, at=talk.at)
    assert conversations(router).rates_.read_[0] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("tokens", [0, 3000])
def test_prompts_without_tokens_and_whole_reads_teach_no_wrong_rates(tokens):
    model = Model("a", 1.0, 5.0, cached_input_price=0.1, cache_min_tokens=0)
    router = cached_router(zoo=Zoo([model]))
    context = RequestContext(prefixes=("head", "same"))
    for number, sent in enumerate((3000, tokens, tokens)):
        at = float(number)
        made = router.route(features=X, input_tokens=sent, at=at, context=context)
        counts = {"input_tokens": sent, "cached_tokens": sent, "cache_write_tokens": 0}
        router.outcome(made.id, cost=0.001, at=at, **counts)
    rates = conversations(router).rates_
    assert rates.written_.tolist() == [1.0]
    assert 0.9 <= rates.read_[0] <= 1.0


def test_a_clients_report_teaches_no_rates(router):
    talk = Talk(router, X)
    for number in range(4):
        talk.at += 1.0
        talk.messages.append({"role": "user", "content": str(number)})
        context = talk.context()._replace(call_by=CLIENT)
        decision = router.route(features=X, input_tokens=2000, at=talk.at, context=context)
        talk.answered(decision, read=0, written=0)
    assert conversations(router).rates_.read_[0] == 0.9


def test_a_conversation_keeps_few_nodes(router):
    talk = Talk(router, X)
    for number in range(30):
        talk.turn(str(number), tokens=2000 + number)
    assert len(conversations(router).nodes_) <= 3


def test_one_owner_cannot_make_the_router_forget_the_others(router):
    router._fold.conversations_ = Conversations(CACHED_ZOO, capacity=10, owner_capacity=3)
    kept = [Talk(router, X, tenant=tenant) for tenant in "abc"]
    for talk in kept:
        talk.turn("hi")
    for number in range(50):
        Talk(router, X, tenant="greedy").turn(str(number))
    assert len(conversations(router).nodes_) <= 6
    assert all(talk.turn("more").follows for talk in kept)


def test_without_prices_of_cached_tokens_nothing_changes():
    zoo = Zoo([Model("small", 1.0, 4.0), Model("large", 3.0, 15.0)])
    router = cached_router(zoo=zoo)
    talk = Talk(router, X)
    first, second = talk.turn("one"), talk.turn("two")
    assert (first.session, first.prefix, second.follows) == ("", "", "")
    assert not conversations(router).nodes_
    assert router.request(features=X, input_tokens=9, at=1.0, context=talk.context()).cache is None


def test_without_a_conversation_nothing_is_known_of_caches(router):
    assert router.request(features=X, input_tokens=3000, at=1.0).cache is None


def served_by_chance(zoo, session):
    """Models of the turns of a conversation under a policy that chooses at random."""
    router = cached_router("random", zoo=zoo)
    context = RequestContext(session=session)
    made = [
        router.route(features=X, input_tokens=2000, at=float(n), context=context) for n in range(20)
    ]
    return {decision.model for decision in made}, made[-1].propensity


def test_a_named_conversation_stays_only_where_no_price_of_cached_tokens_decides():
    plain = Zoo([Model("small", 1.0, 4.0), Model("large", 3.0, 15.0)])
    models, propensity = served_by_chance(plain, "s-17")
    assert (len(models), propensity) == (1, 1.0)
    models, propensity = served_by_chance(CACHED_ZOO, "s-17")
    assert len(models) == 3
    assert propensity == pytest.approx(1.0 / 3.0)
    # A name that an agent sends, and that was not given to Floorline.
    assert len(served_by_chance(plain, "~s-17")[0]) == 2


@pytest.mark.parametrize("limits", [None, CallLimits(60_000, 300)])
def test_a_budget_reserves_the_cost_without_a_cache(limits):
    router = cached_router(budget=Budget(total=5.0))
    talk = Talk(router, X)
    talk.turn("one", tokens=50_000)
    talk.at += 1.0
    talk.messages.append({"role": "user", "content": "two"})
    decision = router.route(
        features=X, input_tokens=50_000, at=talk.at, context=talk.context(), limits=limits
    )
    whole = router.policy.expected_cost(50_000)[0]
    assert decision.expected_cost < 0.5 * whole
    assert decision.reservations["small"] >= whole


steps = st.lists(
    st.tuples(
        st.integers(0, 3),  # which talk
        st.sampled_from(["turn", "repeat", "edit", "fork"]),
        st.integers(100, 9000),
        st.floats(0.0, 400.0),
        st.sampled_from([None, 0, 500, 2500]),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps, st.integers(0, 25))
def test_recovery_gives_the_same_state_and_the_same_decisions(done, cut):
    router = cached_router(id_prefix="d")
    events = []
    router.log.append = events.append
    talks = [Talk(router, X, system="S" * 6000 * (n % 2), key=f"k{n // 2}") for n in range(4)]
    clock = 0.0
    for step, (who, what, tokens, pause, read) in enumerate(done):
        clock += pause
        talk = talks[who]
        talk.at = clock
        if what == "edit" and len(talk.messages) > 2:
            del talk.messages[-2:]
        if what == "fork":
            talks[who] = talk = Talk(router, X, key=talk.key, seconds=clock)
            talk.messages = [*talks[(who + 1) % 4].messages]
        if what == "repeat" and talk.messages:
            talk.answered(talk.send(tokens=tokens), read=read)
        else:
            talk.turn(f"{step}", tokens=tokens, after=0.0, read=read, written=0)
    fold = Fold(Cheapest(), CACHED_ZOO, router.slas.values(), 2, memory=50_000)
    middle = min(cut, len(events))
    for event in events[:middle]:
        fold.apply(decode_event(encode_event(event)))
    other = Fold(Cheapest(), CACHED_ZOO, router.slas.values(), 2, memory=50_000)
    other.restore(unpack(pack(fold.snapshot())))
    for event in events[middle:]:
        other.apply(decode_event(encode_event(event)))
    assert pack(other.snapshot()) == pack(router._fold.snapshot())
