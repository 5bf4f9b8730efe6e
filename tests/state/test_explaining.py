"""Explanations: one reason for each model, in agreement with the decision that they explain."""

import contextlib

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline import SLA, Bar, Model, RequestContext, Router, Zoo
from floorline.encoders.hashed import HashedNgrams
from floorline.errors import BudgetExhausted, NoModelCanServe, UnknownDecision
from floorline.events import NOT_CALLED, Decision, decode_event, encode_event
from floorline.policies import POLICIES
from floorline.replay.environment import GivenFeatures
from floorline.sla import Budget
from floorline.state.candidate_reasons import best_position
from floorline.state.explaining import explain
from floorline.state.explanation import Reason

ZOO = Zoo(
    [
        Model("small", output_price=0.4, context_window=2000),
        Model("medium", output_price=2.0, capabilities=["tools"]),
        Model("large", output_price=12.0, capabilities=["tools", "vision"]),
    ]
)
GOLD = SLA("gold", floor=0.85)
PAID = SLA("paid", floor=0.5, budget=Budget(total=0.02))
SLOW = SLA("quick", floor=0.5, max_latency=1.0)
OWN = SLA("own", floor=0.5, models=["small", "large"])
SLAS = [GOLD, PAID, SLOW, OWN]
TRUE = {"small": 0.7, "medium": 0.87, "large": 0.95}
X = np.zeros(2, np.float32)
ONLINE = [
    name
    for name, kind in POLICIES.items()
    if kind.knows == "feedback" and not kind.batch > 1 and name != "vowpal_wabbit"
]


def router(policy="primal_dual", slas=SLAS, **more):
    return Router(ZOO, policy, slas, **{"encoder": GivenFeatures(2, "given"), "seed": 1, **more})


def live(served, count, rng, **asked):
    """Route requests and label their answers; return the last decision."""
    made = None
    for number in range(count):
        x = rng.normal(size=2).astype(np.float32)
        try:
            made = served.route(features=x, at=float(number), **asked)
        except BudgetExhausted as error:
            made = served.find(error.decision).decision
            continue
        for name in made.called:
            cost = 0.0001 * ZOO.models[ZOO.index(name)].output_price
            served.outcome(made.id, model=name, cost=cost, latency=0.5, at=number + 0.5)
            score = float(rng.random() < TRUE[name])
            served.feedback(made.id, model=name, score=score, at=number + 0.6)
    return made


def reasons(found):
    return {one.model: one.reason for one in found.candidates}


def check(made, found):
    """What holds of every explanation."""
    assert [one.model for one in found.candidates] == list(made.models)
    known = set(Reason.__args__)
    for one in found.candidates:
        assert one.reason in known
        assert one.explanation
        assert (one.reason == "served") == one.served == (one.model == made.model)
        assert one.propensity == made.propensities[made.models.index(one.model)]
    assert sum(one.served for one in found.candidates) == (not made.declined)
    for name, (code, text) in made.barred.items():
        one = found.candidates[made.models.index(name)]
        assert (one.reason, one.explanation, one.propensity) == (code, text, 0.0)
    # Nothing that JSON has no number for.
    assert "NaN" not in repr(msgspec.json.decode(msgspec.json.encode(found)))
    back = msgspec.json.decode(msgspec.json.encode(found), type=type(found))
    assert back == found
    if made.scores is None or made.declined or made.rule == "session":
        return
    best = best_position(made)
    usable = [m for m, name in enumerate(made.models) if name not in made.barred]
    assert made.scores[best] == min(made.scores[m] for m in usable)
    if made.explored:
        assert reasons(found)[made.models[best]] in ("served", "explored_instead")
    else:
        assert best == made.index


@settings(max_examples=100, deadline=None)
@given(
    policy=st.sampled_from(ONLINE),
    sla=st.sampled_from([sla.name for sla in SLAS]),
    needs=st.sets(st.sampled_from(["tools", "vision"])),
    exclude=st.sets(st.sampled_from(ZOO.names), max_size=2),
    tokens=st.sampled_from([10, 1500, 5000]),
    floor=st.one_of(st.none(), st.floats(0.0, 1.0)),
    before=st.integers(0, 40),
    seed=st.integers(0, 3),
)
def test_every_model_has_one_reason_that_agrees_with_the_choice(
    policy, sla, needs, exclude, tokens, floor, before, seed
):
    served, rng = router(policy), np.random.default_rng(seed)
    live(served, before, rng, sla=sla)
    asked = {"needs": needs, "exclude": exclude, "input_tokens": tokens, "floor": floor}
    with contextlib.suppress(NoModelCanServe):
        live(served, 8, rng, sla=sla, **asked)
    for event in served.log.read():
        if isinstance(event, Decision):
            check(event, served.explain(event.id))


def test_every_built_in_policy_says_which_rule_decided():
    for name in ONLINE:
        made = live(router(name), 30, np.random.default_rng(0), sla="gold")
        assert made.rule, name


@pytest.mark.parametrize(
    ("asked", "barred"),
    [
        ({"needs": ["vision"]}, {"small": "capability", "medium": "capability"}),
        ({"input_tokens": 3000}, {"small": "window"}),
        ({"exclude": ["large"]}, {"large": "excluded"}),
        ({"exclude": {"large": Bar("breaker", "circuit breaker open")}}, {"large": "breaker"}),
        ({"sla": "own"}, {"medium": "sla"}),
    ],
)
def test_what_bars_a_model_is_its_reason(asked, barred):
    served = router()
    made = served.route(features=X, **asked)
    found = reasons(served.explain(made.id))
    assert {name: found[name] for name in barred} == barred
    assert {name for name, reason in found.items() if reason in barred.values()} == set(barred)


@pytest.mark.parametrize(
    ("why", "kept"),
    [
        ("under\nmaintenance\0", "under\ufffdmaintenance\ufffd"),
        ("x" * 900, "x" * 199 + "…"),
        (Bar("my own code", "why not"), "why not"),
    ],
)
def test_reasons_of_callers_are_kept_as_texts_that_a_log_can_hold(why, kept):
    served = router()
    made = served.route(features=X, exclude={"large": why})
    large = served.explain(made.id).candidates[2]
    assert (large.reason, large.explanation) == ("excluded", kept)
    assert decode_event(encode_event(made)).barred == made.barred


def test_an_explanation_is_a_table_in_a_notebook():
    served = router()
    made = served.route(features=X, exclude={"large": "<too> dear"})
    text = served.explain(made.id)._repr_html_()
    assert "&lt;too&gt; dear" in text
    assert made.id in text
    assert text.count("<tr>") == 1 + 3 + 1


def test_a_spent_budget_is_a_reason_also_where_no_model_serves():
    served = router(slas=[PAID])
    with pytest.raises(BudgetExhausted) as raised:
        live_until_exhausted(served)
    found = served.explain(raised.value.decision)
    assert set(reasons(found).values()) == {"budget"}
    assert found.model == ""
    assert found.expected_cost is None
    assert found.summary.startswith("No model serves this request under SLA 'paid'")
    text = "a call now is too early for the pace at which the budget is spent"
    assert text in [one.explanation for one in found.candidates]


def test_models_are_not_estimated_where_none_can_serve():
    served = router(slas=[SLA("paid", floor=0.5, budget=Budget(total=1e-9))])
    with pytest.raises(BudgetExhausted) as raised:
        served.route(features=X, at=1.0)
    found = served.explain(raised.value.decision)
    assert {(one.quality, one.cost, one.reason) for one in found.candidates} == {
        (None, None, "budget")
    }


def live_until_exhausted(served, cost=0.004):
    for number in range(2000):
        made = served.route(features=X, at=float(number))
        served.outcome(made.id, cost=cost, at=number + 0.5)


def test_a_budget_that_is_spent_bars_models_by_what_is_left():
    served = router(slas=[PAID])
    with pytest.raises(BudgetExhausted) as raised:
        live_until_exhausted(served, cost=0.02)
    found = served.explain(raised.value.decision)
    assert found.candidates[2].explanation.endswith("of the budget, and 0 is left")


def test_under_a_budget_cheaper_models_are_not_too_weak_for_a_floor():
    served = router(slas=[SLA("rich", floor=0.5, budget=Budget(total=1e6))])
    made = live(served, 30, np.random.default_rng(0))
    found = served.explain(made.id)
    assert (found.rule, found.model) == ("budget", "large")
    assert reasons(found) == {"small": "quality", "medium": "quality", "large": "served"}
    assert "2 lose more quality than they save" in found.summary
    assert "The budget asks for" in found.summary


def test_a_slow_model_is_barred_by_the_ceiling_with_its_median():
    served = router(encoder=HashedNgrams(dim=128))
    for number in range(60):
        made = served.log_direct_call("large", "hello", at=float(number))
        served.outcome(made.id, cost=0.001, latency=3.0, output_tokens=10, at=number + 3.0)
    made = served.route("hello", sla="quick", at=100.0)
    large = served.explain(made.id).candidates[2]
    assert large.reason == "latency"
    assert large.explanation == "its median latency of 3 s is above 1 s"


def test_a_request_that_names_its_model_asked_no_other():
    served = router(encoder=HashedNgrams(dim=128))
    made = served.log_direct_call("medium", "hello", at=0.0)
    found = served.explain(made.id)
    assert reasons(found) == {"small": "not_asked", "medium": "served", "large": "not_asked"}
    assert (found.rule, found.expected_quality, found.sla) == ("direct", None, "")
    assert found.summary == "medium serves, because the request names it."


def test_a_conversation_that_stays_says_so():
    served = router("cheapest")
    context = RequestContext("acme", "k1", session="talk")
    first = served.route(features=X, exclude=["small"], context=context, at=0.0)
    again = served.route(features=X, context=context, at=1.0)
    assert first.model == again.model == "medium"
    found = served.explain(again.id)
    assert (found.rule, found.session, found.tenant) == ("session", "talk", "acme")
    assert reasons(found) == {"small": "conversation", "medium": "served", "large": "conversation"}


def test_exploration_names_the_model_that_was_preferred():
    served, rng = router("sla_router"), np.random.default_rng(0)
    live(served, 300, rng, sla="gold")
    explored = [
        event
        for event in served.log.read()
        if isinstance(event, Decision) and event.explored and best_position(event) != event.index
    ]
    assert explored
    for made in explored:
        found = served.explain(made.id)
        best = made.models[best_position(made)]
        assert reasons(found)[best] == "explored_instead"
        assert "chosen to explore, with probability" in found.summary


def test_models_that_the_gateway_left_out_were_not_called():
    served = router("mess_plus")
    rng = np.random.default_rng(0)
    while not (made := served.route(features=rng.normal(size=2).astype(np.float32))).explored:
        pass
    for name in made.called[1:]:
        served.outcome(made.id, model=name, cost=0.0, error=NOT_CALLED)
    served.outcome(made.id, cost=0.001)
    found = served.explain(made.id)
    assert {one.model for one in found.candidates if one.called} == {made.model}
    assert found.cost == 0.001
    assert found.error is None


def test_the_timeline_has_the_call_and_every_label():
    served = router()
    made = served.route(features=X, at=1.0)
    before = served.explain(made.id)
    assert (before.cost, before.score) == (None, None)
    assert [step.kind for step in before.timeline] == ["decision"]
    counted = {"output_tokens": 1800, "input_tokens": 9}
    served.outcome(made.id, cost=0.0002, latency=1.25, first_token=0.5, at=2.0, **counted)
    served.feedback(made.id, satisfied=True, at=3.0)
    served.feedback(made.id, satisfied=False, source="judge", at=4.0)
    found = served.explain(made.id)
    assert [(step.kind, step.at) for step in found.timeline] == [
        ("decision", 1.0),
        ("outcome", 2.0),
        ("feedback", 3.0),
        ("feedback", 4.0),
    ]
    call, first, second = found.timeline[1:]
    name = made.model
    assert call.text == f"the call to {name} ended after 1.25 s, 1,800 tokens for 0.0002 USD"
    assert (call.first_token, call.input_tokens, call.cached_tokens) == (0.5, 9, None)
    assert (first.text, first.score) == (f"score 1 of {name} from user", 1.0)
    assert second.text == f"score 0 of {name} from judge, in place of 1"
    assert (found.cost, found.score) == (0.0002, 0.0)


def test_messages_that_came_again_are_no_steps():
    served = router()
    made = served.route(features=X, at=1.0)
    for at in (2.0, 3.0):
        served.outcome(made.id, cost=0.5, at=at)
    for at, score, key in [
        (4.0, 1.0, "a"),
        (5.0, 1.0, ""),
        (6.0, 0.0, "b"),
        (7.0, 1.0, "a"),
        (8.0, 0.25, ""),
    ]:
        served.feedback(made.id, score=score, key=key, at=at)
    found = served.explain(made.id)
    assert [step.at for step in found.timeline] == [1.0, 2.0, 4.0, 6.0, 8.0]
    assert found.timeline[-1].text.endswith("in place of 0")
    assert found.cost == 0.5
    # What the router itself counts.
    assert found.score == served.find(made.id).scores[made.model] == 0.25


def failing(served, models, at=0.0):
    """Decide, fail and decide again, as the gateway does; return the decisions."""
    made, tried = [], {}
    for number in range(models):
        context = RequestContext("acme", after=made[-1].id if made else "")
        decision = served.route(features=X, exclude=dict(tried), context=context, at=at + number)
        made.append(decision)
        last = number == models - 1
        error = None if last else f"{decision.model} is down"
        served.outcome(decision.id, cost=0.0, error=error, at=at + number + 0.5)
        tried[decision.model] = Bar("failed", "its call failed")
    return made


def check_chain(explained, made):
    first, second, third = (explained(decision.id) for decision in made)
    assert (first.after, first.replaced_by) == ("", second.id)
    assert (second.after, second.replaced_by) == (first.id, third.id)
    assert (third.after, third.replaced_by) == (second.id, "")
    assert [s.kind for s in first.timeline] == ["decision", "outcome", "fallback", "fallback"]
    assert [s.kind for s in second.timeline] == ["fallback", "decision", "outcome", "fallback"]
    assert [s.decision for s in second.timeline] == [first.id, second.id, second.id, third.id]
    assert first.error == f"{first.model} is down"
    assert third.timeline[0].error == first.error
    assert reasons(third)[first.model] == "failed"
    assert "in place of a call that failed" in third.summary


def test_fallbacks_are_steps_before_and_after():
    served = router()
    made = failing(served, 3)
    check_chain(served.explain, made)


def test_an_explanation_is_that_of_the_log_in_every_router():
    served = router()
    made = live(served, 50, np.random.default_rng(0))
    events = [decode_event(encode_event(event)) for event in served.log.read()]
    again = router()
    again.apply(events)
    for event in events:
        again.log.append(event)
    assert again.explain(made.id) == served.explain(made.id)


def test_what_is_only_remembered_is_explained_without_a_timeline():
    served = router()
    made = served.route(features=X, at=1.0)
    forgetful = router()
    forgetful.restore(served.snapshot())
    found = forgetful.explain(made.id)
    assert [step.kind for step in found.timeline] == ["decision"]
    assert reasons(found) == reasons(served.explain(made.id))


def test_an_unknown_decision_is_an_error_that_names_it():
    with pytest.raises(UnknownDecision, match="decision 'nothing' is unknown"):
        router().explain("nothing")


def test_a_decision_of_version_4_is_explained_by_its_estimates():
    served = router()
    made = live(served, 30, np.random.default_rng(0), sla="gold")
    older = msgspec.structs.replace(made, rule="", scores=None, multipliers={}, v=4)
    found = explain(older, [])
    check(older, found)
    assert found.rule == ""


# Previews.


@pytest.mark.parametrize("policy", ["primal_dual", "sla_router", "mess_plus", "cheapest"])
def test_a_preview_is_what_routing_would_decide_and_changes_nothing(policy):
    served, rng = router(policy), np.random.default_rng(0)
    live(served, 60, rng, sla="gold")
    x = rng.normal(size=2).astype(np.float32)
    before, events = served.snapshot(), len(served.log)
    floors = [0.0, 0.5, 0.85, 1.0]
    seen = served.preview(features=x, sla="gold", floors=floors, needs=["tools"], at=100.0)
    assert (served.snapshot(), len(served.log)) == (before, events)
    assert [made.floor for made in seen] == floors
    for made in seen:
        other = router(policy)
        other.restore(before)
        routed = other.route(
            features=x, sla="gold", floor=made.floor, needs=["tools"], at=100.0, id="id"
        )
        assert encode_event(msgspec.structs.replace(made, id="id")) == encode_event(routed)


def test_a_preview_has_the_floor_of_the_sla_by_default():
    (made,) = router().preview(features=X, sla="gold", at=0.0)
    assert (made.floor, made.sla, made.id) == (0.85, "gold", "")


def test_a_preview_without_money_is_declined():
    served = router(slas=[PAID])
    with pytest.raises(BudgetExhausted):
        live_until_exhausted(served)
    (made,) = served.preview(features=X, at=5000.0)
    assert made.declined
    assert set(reasons(explain(made, [])).values()) == {"budget"}
    unnamed = explain(made, [], may_name=lambda model: False)
    assert unnamed.candidates == []
    assert unnamed.summary.startswith(f"No model serves this request under SLA {made.sla!r}.")


def test_too_many_floors_are_refused():
    with pytest.raises(ValueError, match=r"floors is '102 numbers': give at most 101 floors"):
        router().preview(features=X, floors=[0.5] * 102)
    with pytest.raises(ValueError, match=r"floor is 1\.5"):
        router().preview(features=X, floors=[1.5])
