"""Judges, rules and shadow calls of a gateway, over real sockets."""

import asyncio
import json
import threading

import pytest
from tests.support.judging_provider import JUDGE, judgements, log_of, rest
from tests.support.live_gateway import wait_until

from floorline.errors import ConfigError
from floorline.events import Decision, Outcome
from floorline.gateway.judging.sampling import draw


def test_a_judge_sees_responses_and_not_the_models_name(start, provider):
    live = start(judges=[JUDGE])
    for number in range(10):
        assert live.chat(f"Question {number}?").status_code == 200
    rest(live)
    said, log = judgements(live), log_of(live)
    assert len(said) == 10
    made = {event.id: event for event in log if isinstance(event, Decision)}
    for one in said:
        assert (one.judge, one.rate, one.source, one.failure) == ("strict", 1.0, "judge", "")
        assert made[one.call].model == "judge"
        assert made[one.call].key == "judge:strict"
    assert len(provider.judged) == 10
    for asked in provider.judged:
        shown = asked["messages"][-1]["content"]
        assert "Question" in shown
        assert "[good]" in shown or "[bad]" in shown
        assert not any(name in json.dumps(asked["messages"]) for name in ("small", "large"))
    found = live.http.get("/v1/slas").json()["data"][0]
    assert found["labels"] == 0


def test_a_streamed_response_is_judged_too(start):
    live = start(judges=[JUDGE])
    with live.http.stream(
        "POST",
        "/v1/chat/completions",
        json={
            "model": "floorline/gold",
            "stream": True,
            "messages": [{"role": "user", "content": "Why?"}],
        },
    ) as answer:
        answer.read()
    wait_until(lambda: judgements(live))
    [said] = judgements(live)
    assert said.score in (0.0, 1.0)


def test_a_direct_call_is_not_judged(start, provider):
    live = start(judges=[JUDGE])
    assert live.chat(model="small").status_code == 200
    rest(live)
    assert not provider.judged


def test_the_draws_have_the_rate_and_are_the_same_after_a_start(start):
    live = start(judges=[{**JUDGE, "rate": 0.3}])
    for number in range(60):
        live.chat(f"Question {number}?")
    rest(live)
    said = judgements(live)
    assert 5 <= len(said) <= 32
    assert {one.rate for one in said} == {0.3}


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        ("I can't judge this.", "refused"),
        ("It is fine.", "garbage"),
        ('{"score": 7}', "garbage"),
        ("", "empty"),
    ],
)
def test_what_a_judge_refuses_or_garbles_is_counted(start, provider, reply, failure):
    provider.says = lambda shown: reply
    live = start(judges=[JUDGE])
    live.chat()
    rest(live)
    [said] = judgements(live)
    assert (said.score, said.failure) == (None, failure)
    assert live.gateway.judging.counts["strict", failure] == 1
    text = live.http.get("/metrics").text
    assert f'floorline_judgements_total{{judge="strict",result="{failure}"}} 1.0' in text


def test_a_judge_stays_within_its_budget(start, provider):
    # What a call can cost at most, for a reply of 512 tokens, is several times what it costs.
    live = start(judges=[{**JUDGE, "budget": {"total": 0.01, "period": None}, "concurrency": 8}])
    for number in range(80):
        live.chat(f"Question {number}?")
    rest(live)
    spent = sum(
        event.cost
        for event in log_of(live)
        if isinstance(event, Outcome) and event.key == "judge:strict"
    )
    assert 0.0 < spent <= 0.01
    lost = live.gateway.judging.counts["strict", "budget"]
    assert lost > 0
    # What the budget did not hold is in the log, with the probability of its draw.
    missed = [one for one in judgements(live) if one.failure == "budget"]
    assert [one.rate for one in missed] == [1.0] * lost
    [found] = live.call(lambda: live.gateway.router.certificate("gold")).judged
    assert (found.missed, found.drawn) == (lost, 80 - lost)
    assert found.seen_share == pytest.approx(1.0 - lost / 80)
    [whole, *_] = live.http.get("/v1/judges").json()["agreements"]
    assert whole["missed"] == {"budget": lost}
    assert live.gateway.auth.internal_spending()["judge:strict"].spent == pytest.approx(spent)
    start.stop()
    again = start(judges=[{**JUDGE, "budget": {"total": 0.01, "period": None}}])
    assert again.gateway.auth.internal_spending()["judge:strict"].spent == pytest.approx(spent)


def test_a_response_that_a_user_labels_is_judged_as_a_pair(start):
    live = start(judges=[{**JUDGE, "rate": 1e-9}])
    ids = [live.chat(f"Question {n}?").headers["x-floorline-decision"] for n in range(6)]
    rest(live)
    assert not judgements(live)
    for id in ids[:3]:
        label = {"decision": id, "satisfied": True}
        assert live.http.post("/v1/feedback", json=label).status_code == 200
    rest(live)
    said = judgements(live)
    assert [one.decision for one in said] == ids[:3]
    assert {one.rate for one in said} == {None}
    [found] = live.call(lambda: live.gateway.router.certificate("gold")).judged
    assert (found.drawn, found.pairs) == (0, 3)


def test_operators_see_how_a_judge_differs_from_users(start):
    live = start(judges=[JUDGE])
    for number in range(8):
        id = live.chat(f"Question {number}?").headers["x-floorline-decision"]
        live.http.post("/v1/feedback", json={"decision": id, "satisfied": False})
    rest(live)
    found = live.http.get("/v1/judges").json()
    [whole, *_] = found["agreements"]
    assert (whole["judge"], whole["judged"], whole["pairs"]) == ("strict", 8, 8.0)
    assert whole["bias"] == pytest.approx(whole["judge_mean"])
    [spend] = found["spending"]
    assert (spend["key"], spend["judge"], spend["budget"]) == ("judge:strict", "strict", 10.0)
    spent = sum(e.cost for e in log_of(live) if isinstance(e, Outcome) and e.key == "judge:strict")
    assert spend["spent"] == pytest.approx(spent)
    assert found["counts"] == {"strict": {"judged": 8}}
    [sla] = live.http.get("/v1/slas").json()["data"]
    assert sla["judged"][0]["pairs"] == 8


def test_a_request_with_effects_is_not_sent_again(start, provider):
    shadow = {"rate": 1.0, "judge": "strict", "budget": {"total": 1.0}}
    live = start(judges=[{**JUDGE, "rate": 1e-9}], shadow=shadow)
    assert live.chat(tools=[{"type": "web_search_preview"}]).status_code == 200
    assert live.chat(n=3, store=True).status_code == 200
    wait_until(lambda: len(judgements(live)) == 2)
    rest(live)
    again = [asked for asked in provider.asked if asked["messages"] and "n" not in asked]
    # The first request itself, and the second one in the shadow.
    assert [bool(asked.get("tools")) for asked in again] == [True, False]
    assert "store" not in again[1]


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"labelled": 0.5, "boost": 4}, "judges[0].labelled"),
        ({"rates": [{"model": "small", "rate": 0}]}, "judges[0].rates[0].rate"),
        ({"rates": [{"tenant": "acme", "rate": 0}]}, "judges[0].rates[0].rate"),
        ({"against": "large"}, "shadow.judge"),
    ],
)
def test_what_would_make_bounds_wrong_is_refused(start, changed, path):
    shadow = {"judge": "strict", "budget": {"total": 1}}
    with pytest.raises(ConfigError) as refused:
        start(judges=[{**JUDGE, **changed}], shadow=shadow)
    assert path in str(refused.value)


def test_a_rate_of_zero_keeps_responses_from_a_judge(start, provider):
    live = start(judges=[{**JUDGE, "rates": [{"sla": "gold", "rate": 0}]}])
    id = live.chat().headers["x-floorline-decision"]
    live.http.post("/v1/feedback", json={"decision": id, "satisfied": True}).raise_for_status()
    rest(live)
    assert not provider.judged


def test_a_comparison_is_made_in_both_orders(start, provider):
    # This judge always prefers what it reads first.
    provider.says = lambda shown: '{"better": 1}'
    live = start(judges=[{**JUDGE, "against": "large"}])
    live.chat()
    rest(live)
    [said] = judgements(live)
    assert said.score == 0.5
    first, second = (asked["messages"][-1]["content"] for asked in provider.judged)
    assert first != second


def test_a_shadow_call_teaches_of_a_model_that_did_not_serve(start):
    shadow = {"rate": 1.0, "judge": "strict", "budget": {"total": 1.0}}
    live = start(judges=[{**JUDGE, "rate": 1e-9}], shadow=shadow)
    answer = live.chat()
    served = answer.headers["x-floorline-model"]
    wait_until(lambda: len(judgements(live)) == 2)
    rest(live)
    said = judgements(live)
    assert said[0].model == served
    assert said[1].model in {"small", "large"} - {served}
    assert {one.decision for one in said} == {answer.headers["x-floorline-decision"]}
    assert live.gateway.auth.internal_spending()["shadow"].spent > 0.0
    # What it cost is in no SLA's account.
    assert live.call(lambda: live.gateway.router.status("gold")).requests == 1


def test_a_shadowed_response_is_judged_once(start, provider):
    shadow = {"rate": 1.0, "judge": "strict", "budget": {"total": 1.0}}
    live = start(judges=[{**JUDGE, "rate": 0.7}], shadow=shadow)
    ids = [live.chat(f"Question {n}?").headers["x-floorline-decision"] for n in range(8)]
    wait_until(lambda: len(judgements(live)) == 16)
    for id in ids:
        label = {"decision": id, "satisfied": True}
        live.http.post("/v1/feedback", json=label).raise_for_status()
    rest(live)
    assert len(provider.judged) == len(judgements(live)) == 16
    rates = [one.rate for one in judgements(live)]
    drawn = [id for id in ids if draw(0, "judge:strict", id) < 0.7]
    assert rates.count(0.7) == len(drawn)


def test_a_rate_of_zero_keeps_responses_from_shadow_calls(start, provider):
    shadow = {"rate": 1.0, "judge": "strict", "budget": {"total": 1.0}}
    live = start(
        judges=[{**JUDGE, "rate": 1e-9, "rates": [{"sla": "gold", "rate": 0}]}], shadow=shadow
    )
    live.chat()
    rest(live)
    assert not provider.judged
    assert len(provider.asked) == 1


def test_a_failed_shadow_call_costs_no_drawn_judgement(start, provider):
    shadow = {"rate": 1.0, "judge": "strict", "budget": {"total": 1e-9}}
    live = start(judges=[JUDGE], shadow=shadow)
    live.chat(max_tokens=100)
    rest(live)
    assert [one.rate for one in judgements(live)] == [1.0]


def test_a_fault_in_judging_breaks_no_answer(start, monkeypatch):
    live = start(judges=[JUDGE])

    def fail(*given, **named):
        raise RuntimeError("a fault")

    monkeypatch.setattr(live.gateway.judging, "saw", fail)
    for _ in range(2):
        assert live.chat().json()["choices"]
    asked = {"model": "floorline/gold", "stream": True}
    asked["messages"] = [{"role": "user", "content": "Why?"}]
    with live.http.stream("POST", "/v1/chat/completions", json=asked) as answer:
        assert answer.read().rstrip().endswith(b"[DONE]")
    outcomes = [event for event in log_of(live) if isinstance(event, Outcome)]
    assert [event.error for event in outcomes] == [None] * 3


def test_prompts_of_judges_and_shadow_calls_are_not_stored(start):
    shadow = {"rate": 1.0, "judge": "strict", "budget": {"total": 1.0}}
    store = {"url": "sqlite:///log.db", "store_prompts": True}
    live = start(judges=[JUDGE], shadow=shadow, store=store)
    id = live.chat().headers["x-floorline-decision"]
    wait_until(lambda: len(judgements(live)) == 2)
    rest(live)
    live.call(live.gateway.store.flush)
    made = [event.id for event in log_of(live) if isinstance(event, Decision)]
    assert len(made) == 4
    stored = [one for one in made if live.call(live.gateway.store.prompt, one) is not None]
    assert stored == [id]


def test_what_waits_for_judges_fits_into_their_memory(start):
    judging = {"memory": 2**16}
    judges = [{**JUDGE, "concurrency": 1}]
    live = start(judges=judges, judging=judging)
    hold = threading.Event()
    live.call(lambda: setattr(live.gateway.judging, "_judge", _held(hold)))
    for _ in range(8):
        live.chat("x" * 20_000)
    judging = live.gateway.judging
    wait_until(lambda: judging.counts["strict", "lost"] == 5)
    assert judging._held <= 2**16
    live.call(judging._forget_waiting, float("inf"))
    assert judging.counts["strict", "lost"] == 7
    live.call(hold.set)
    rest(live)
    assert judging._held == 0


def _held(event):
    async def judge(judge, item):
        await asyncio.to_thread(event.wait, 60)

    return judge


def test_rules_judge_every_response(start):
    live = start(rules=[{"kind": "empty"}, {"kind": "json", "weight": 0.4}])
    live.chat("Give me JSON.", response_format={"type": "json_object"})
    live.chat("Give me a text.")
    rest(live)
    live.call(live.gateway.judging._rules.settle, float("inf"))
    said = judgements(live)
    assert [(one.judge, one.source, one.score) for one in said] == [
        ("rules", "rule", pytest.approx(0.6)),
        ("rules", "rule", 1.0),
    ]
    assert live.gateway.judging.counts["rules", "json"] == 1


def test_a_question_that_comes_again_breaks_a_rule(start):
    live = start(rules=[{"kind": "asked_again", "name": "again"}])
    session = {"x-floorline-session": "s1"}
    ids = [
        live.chat(text, headers=session).headers["x-floorline-decision"]
        for text in ("What is the capital of Peru?", "no, what is the capital of Peru", "Thanks!")
    ]
    rest(live)
    assert not judgements(live)
    live.call(live.gateway.judging._rules.settle, float("inf"))
    assert {one.decision: one.score for one in judgements(live)} == {
        ids[0]: 0.0,
        ids[1]: 1.0,
        ids[2]: 1.0,
    }


def test_judges_that_end_lose_only_what_they_judge(start, provider):
    live = start(judges=[JUDGE], rules=[{"kind": "asked_again"}])
    live.chat()
    wait_until(lambda: judgements(live))
    rest(live)
    start.stop()
    again = start(judges=[JUDGE])
    assert [one.judge for one in judgements(again) if one.source == "rule"] == ["rules"]


def test_rules_judge_what_the_router_has_forgotten(start):
    live = start(rules=[{"kind": "asked_again"}], memory=2)
    ids = [live.chat(f"Question {n}?").headers["x-floorline-decision"] for n in range(5)]
    rest(live)
    live.call(live.gateway.judging._rules.settle, float("inf"))
    assert [one.decision for one in judgements(live)] == ids
    assert not live.gateway.judging.counts["rules", "error"]


def test_what_waits_at_a_stop_is_logged_as_lost(start):
    live = start(judges=[{**JUDGE, "concurrency": 1}])
    hold = threading.Event()
    live.call(lambda: setattr(live.gateway.judging, "_judge", _held(hold)))
    for number in range(3):
        live.chat(f"Question {number}?")
    wait_until(lambda: live.gateway.admission.in_flight == 0)
    hold.set()
    live.call(live.gateway.judging.stop)
    said = judgements(live)
    assert {(one.failure, one.rate) for one in said} == {("lost", 1.0)}
    assert len(said) >= 2


def test_a_response_that_is_too_large_is_logged_as_not_seen(start, provider):
    provider.endless = True
    live = start(judges=[JUDGE], rules=[{"kind": "empty"}], judging={"max_response": 1024})
    live.chat(max_tokens=500)
    rest(live)
    said = [(one.judge, one.source, one.failure, one.rate) for one in judgements(live)]
    assert said == [
        ("strict", "judge", "too large", 1.0),
        ("rules", "rule", "too large", 1.0),
    ]
