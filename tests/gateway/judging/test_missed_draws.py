"""Responses that a judge was to see and did not are in the log, and count, in each case."""

import asyncio

from tests.support.judging_provider import JUDGE, judgements, rest
from tests.support.live_gateway import wait_until

RARELY = {**JUDGE, "rate": 1e-9}
SHADOW = {"rate": 1.0, "judge": "strict", "budget": {"total": 10}}


def thumb(live, answer):
    told = {"decision": answer.headers["x-floorline-decision"], "satisfied": True}
    assert live.http.post("/v1/feedback", json=told).status_code == 200
    rest(live)


def certificate(live):
    return live.call(lambda: live.gateway.router.certificate("gold")).judged


def test_a_label_of_a_response_that_is_too_large_is_a_missed_pair(start, provider):
    live = start(judges=[RARELY], judging={"max_response": 4096})
    thumb(live, live.chat())
    provider.endless = True
    thumb(live, live.chat("And again?"))
    said = [(one.failure, one.rate) for one in judgements(live)]
    assert said == [("", None), ("too large", None)]
    # A bound of users with the judge counts it with the worst value.
    labels = live.call(lambda: live.gateway.router._fold.ledgers_["gold"].judges_.of("strict"))
    assert (labels.pairs_, labels.missed_pair_weight_) == (1, 1.0)


def test_a_draw_whose_shadow_call_runs_at_the_end_is_lost(start, monkeypatch):
    live = start(judges=[JUDGE], shadow=SHADOW)
    judging = live.gateway.judging
    begun = []

    async def never(*_):
        begun.append(True)
        await asyncio.Event().wait()

    monkeypatch.setattr(judging._calls, "repeat", never)
    live.chat()
    wait_until(lambda: begun)
    live.call(judging.stop)
    [said] = judgements(live)
    assert (said.failure, said.rate) == ("lost", 1.0)


def test_a_draw_beside_a_shadow_call_that_breaks_is_judged(start, monkeypatch):
    live = start(judges=[JUDGE], shadow=SHADOW)

    async def broken(*_):
        raise RuntimeError("a fault")

    monkeypatch.setattr(live.gateway.judging._calls, "repeat", broken)
    live.chat()
    rest(live)
    [said] = judgements(live)
    assert (said.failure, said.rate) == ("", 1.0)


def test_a_label_after_a_failed_shadow_call_makes_a_pair(start):
    shadow = {**SHADOW, "budget": {"total": 1e-9}}
    live = start(judges=[RARELY], shadow=shadow)
    answer = live.chat()
    rest(live)
    assert live.gateway.judging.counts["shadow", "budget"] == 1
    thumb(live, answer)
    [found] = certificate(live)
    assert found.pairs == 1


def test_a_rule_that_breaks_is_a_missed_draw(start, monkeypatch):
    def broken(*_):
        raise RuntimeError("a fault")

    monkeypatch.setattr("floorline.gateway.judging.rule_tests._tested", broken)
    live = start(rules=[{"kind": "empty"}])
    live.chat()
    rest(live)
    [said] = judgements(live)
    assert (said.judge, said.failure, said.rate, said.source) == ("rules", "lost", 1.0, "rule")


def test_a_draw_of_a_decision_that_was_forgotten_is_missed_too(start, monkeypatch):
    live = start(judges=[{**JUDGE, "concurrency": 1}], memory=2)
    judging = live.gateway.judging
    begun = []

    async def never(*_):
        begun.append(True)
        await asyncio.Event().wait()

    monkeypatch.setattr(judging._calls, "ask", never)
    for number in range(5):
        live.chat(f"Question {number}?")
    wait_until(lambda: begun)
    live.call(judging.stop)
    assert [(one.failure, one.rate) for one in judgements(live)] == [("lost", 1.0)] * 5
    [found] = certificate(live)
    assert (found.missed, found.seen_share) == (5, 0.0)
