"""The next turn of a conversation at another replica, before a state has the turn before."""

import pytest
from tests.replication.cluster import Cluster, new_fold

from floorline import Model, Zoo
from floorline.encoders.message_prefixes import message_prefixes
from floorline.events import RequestContext
from floorline.replication.recalled_sessions import unknown_names
from floorline.state.sessions import SESSION

CACHING = Zoo(
    [
        Model("small", input_price=1.0, cached_input_price=0.1, cache_min_tokens=0),
        Model("large", input_price=5.0, cached_input_price=0.5, cache_min_tokens=0),
    ]
)


@pytest.fixture
def cluster(url, engine):
    made = Cluster(url, engine)
    made.settle()
    yield made
    made.close()


def recall(member, context):
    names = member.router.unknown_sessions(context)
    if names:
        turns = member.store.turns_of(names, context.owner, 20)
        member.router.recall_session(context, turns)
    return names


def say(member, context, number, **given):
    made = member.router.route(
        f"Question {number}", input_tokens=1000 * number, at=float(number), context=context, **given
    )
    member.store.flush()
    return made


def state_of(router):
    return router.snapshot(records=False)


def test_a_named_conversation_stays_on_its_model(cluster):
    a, b = cluster.members.values()
    context = RequestContext(tenant="acme", session="mine")
    first = say(a, context, 1, exclude=["small"])
    before = state_of(b.router)
    assert recall(b, context) == ["mine"]
    assert state_of(b.router) == before
    second = say(b, context, 2)
    assert (second.model, second.rule) == (first.model, SESSION)
    assert b.router.unknown_sessions(context) == []
    # Once the learner has both, both replicas agree with it.
    cluster.settle()
    assert state_of(a.router) == state_of(b.router) == state_of(cluster.learner._router)
    assert a.router.unknown_sessions(context) == []


def test_a_conversation_of_another_owner_is_not_found(cluster):
    a, b = cluster.members.values()
    say(a, RequestContext(tenant="acme", session="mine"), 1, exclude=["small"])
    for owner in ({"tenant": "other"}, {"key": "k1"}, {}):
        context = RequestContext(session="mine", **owner)
        assert recall(b, context) == ["mine"]
        assert b.router.unknown_sessions(context) == ["mine"]


def test_the_latest_turn_decides_wherever_it_lies(cluster):
    """One turn is in the log, which the state of the other replica lacks, and one in the inbox."""
    a, b = cluster.members.values()
    context = RequestContext(key="k1", session="mine")
    say(a, context, 1, exclude=["large"])
    cluster.step()
    say(a, context, 2, exclude=["small"])
    recall(b, context)
    assert say(b, context, 3).model == "large"


def test_names_that_are_not_needed_are_not_looked_up():
    fold = new_fold()
    assert unknown_names(fold, RequestContext()) == []
    assert unknown_names(fold, RequestContext(session="~recognised")) == []
    assert unknown_names(fold, RequestContext(session="given")) == ["given"]


def prompt(*texts):
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]
    return message_prefixes(messages)


def context_of(*texts, **fields):
    hashes, head_tokens = prompt(*texts)
    return RequestContext(prefixes=hashes, head_tokens=head_tokens, **fields)


@pytest.mark.parametrize("named", [{}, {"session": "~named by a header"}])
def test_what_a_provider_has_cached_is_known_at_the_other_replica(cluster, named):
    a, b = cluster.members.values()
    cluster.learner._router.change_zoo(CACHING, at=0.0)
    cluster.settle()
    first = say(a, context_of("hi", **named), 1, exclude=["small"])
    third = context_of("hi", "hello", "how are you?", **named)
    assert recall(b, third)
    request = b.router.request("Question 2", input_tokens=2000, at=2.0, context=third)
    assert request.cache.read.tolist() == [0.0, 900.0]
    second = say(b, third, 2)
    assert (second.session, second.follows) == (first.session, first.prefix)
    assert b.router.unknown_sessions(third) == []
    cluster.settle()
    learned = cluster.learner._router
    assert state_of(b.router) == state_of(learned)
    assert learned._fold.conversations_.node(second.owner, second.prefix).turn == 2


def test_prompts_that_begin_with_the_same_examples_are_no_conversation(cluster):
    a, b = cluster.members.values()
    cluster.learner._router.change_zoo(CACHING, at=0.0)
    cluster.settle()
    first = say(a, context_of("example", "answer", "one"), 1)
    other = context_of("example", "answer", "two")
    names = recall(b, other)
    assert names
    assert first.session not in names
    assert say(b, other, 2).session != first.session
