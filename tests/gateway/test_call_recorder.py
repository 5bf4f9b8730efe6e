"""What is recorded of a call: outcome, budget of its key, metrics and trace."""

import asyncio
import json

import pytest
from tests.support.gateway_parts import Parts, RecordingSpan, chat_request, whole_answer

from floorline.core.bounds import MAX_COST, MAX_ERROR, MAX_LATENCY
from floorline.errors import StoreUnavailable
from floorline.events import CLIENT, Outcome
from floorline.gateway.auth import Caller
from floorline.gateway.call_recorder import UNREPORTED, Measured
from floorline.gateway.upstreams import Answer, UpstreamError, cost_of
from floorline.gateway.upstreams.completions import read_completion
from floorline.gateway.upstreams.findings import Findings
from floorline.sla import SLA, Budget
from floorline.stores.keys import ApiKey
from floorline.zoo import DEFAULT_MAX_OUTPUT_TOKENS

KEY = ApiKey(
    id="key-1",
    digest=b"",
    name="app",
    scopes=("chat",),
    budget=1.0,
    period=1e9,
    created=0.0,
)
WITH_USAGE = (
    b'{"id": "c-1", "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],'
    b' "usage": {"prompt_tokens": 100, "completion_tokens": 1000}}'
)
WITHOUT_USAGE = b'{"id": "c-1", "choices": [{"message": {"content": "12345678"}}]}'


@pytest.fixture
def parts(tmp_path):
    parts = Parts(tmp_path, keys=[KEY])
    yield parts
    parts.store.close()


def answer(body, status=200):
    found = Findings()
    if status == 200:
        found.add(read_completion(body))
    made = Answer("small", status, {}, body, found)
    made.first_byte_s, made.total_s, made.attempts = 0.25, 0.5, 3
    return made


def decide(parts):
    return parts.chat.decide(chat_request(), Caller("key-1"))


def spent(parts):
    return pytest.approx(1.0 - parts.auth.left("key-1"), abs=1e-12)


def test_an_answer_is_recorded_everywhere(parts):
    decision, span = decide(parts), RecordingSpan()
    parts.answered(decision, answer(WITH_USAGE), span, "ok", content=b"body")
    cost = 1000 * 1.0 / 1e6
    (outcome,) = parts.events(Outcome)
    assert (outcome.decision, outcome.completion, outcome.error) == (decision.id, "c-1", None)
    assert (outcome.cost, outcome.input_tokens, outcome.output_tokens) == (cost, 100, 1000)
    assert (outcome.latency, outcome.estimated) == (0.5, False)
    assert spent(parts) == cost
    where = {"model": "small", "sla": "gold"}
    assert parts.count("floorline_requests_total", **where, outcome="ok") == 1
    assert parts.count("floorline_cost_usd_total", **where) == cost
    assert parts.count("floorline_retries_total", model="small") == 2
    assert parts.count("floorline_upstream_first_byte_seconds_sum", model="small") == 0.25
    assert (span.noted["cost"], span.noted["content"], span.ended) == (cost, b"body", (None, ""))
    found = asyncio.run(parts.decisions.find("c-1", Caller()))
    assert found.id == decision.id


def test_parts_of_the_tokens_and_the_time_to_content_are_recorded(tmp_path):
    model = {
        "name": "small",
        "endpoint": "http://127.0.0.1:1/v1",
        "input_price": 1.0,
        "cached_input_price": 0.1,
        "cache_write_price": 1.25,
    }
    parts = Parts(tmp_path, models=[model])
    usage = {"input_tokens": 1, "cache_read_input_tokens": 8, "cache_creation_input_tokens": 4}
    body = {"id": "c-1", "choices": [], "usage": {**usage, "output_tokens": 1}}
    span = RecordingSpan()
    parts.answered(
        parts.chat.decide(chat_request(), Caller("")), answer(json.dumps(body).encode()), span
    )
    (outcome,) = parts.events(Outcome)
    assert (outcome.input_tokens, outcome.cached_tokens, outcome.cache_write_tokens) == (13, 8, 4)
    assert (outcome.first_token, outcome.latency, outcome.billed) == (0.25, 0.5, False)
    assert outcome.cost == pytest.approx((1 + 8 * 0.1 + 4 * 1.25) / 1e6)
    where = {"model": "small", "sla": "gold"}
    assert parts.count("floorline_cache_tokens_total", **where, use="read") == 8
    assert parts.count("floorline_cache_tokens_total", **where, use="write") == 4
    assert (span.noted["cached_tokens"], span.noted["cache_write_tokens"]) == (8, 4)
    parts.store.close()


def test_the_bill_of_the_provider_is_booked_and_marked_if_it_can_be_true(parts, caplog):
    def serve(bill):
        usage = {"prompt_tokens": 100, "completion_tokens": 1000, "cost": bill}
        body = {"id": "c-1", "choices": [], "usage": usage}
        parts.answered(decide(parts), answer(json.dumps(body).encode()))
        return parts.events(Outcome)[-1]

    listed = 1000 * 1.0 / 1e6
    for bill in (listed / 10, listed * 3):
        outcome = serve(bill)
        assert (outcome.cost, outcome.billed) == (bill, True)
    assert parts.usage_check.warnings() == []
    for bill in (listed / 100, listed * 100):
        outcome = serve(bill)
        assert (outcome.cost, outcome.billed) == (listed, False)
    (warning,) = parts.usage_check.warnings()
    assert "model 'small' named 2 bills" in warning
    assert caplog.text.count("correct the model's prices") == 1


def test_tokens_that_the_provider_does_not_count_are_estimated(parts):
    decision = decide(parts)
    parts.answered(decision, answer(WITHOUT_USAGE), RecordingSpan(), "ok")
    (outcome,) = parts.events(Outcome)
    assert (outcome.input_tokens, outcome.output_tokens) == (decision.input_tokens, 2)
    assert outcome.estimated


def test_an_error_of_the_provider_costs_nothing(parts):
    span = RecordingSpan()
    refused = answer(b'{"error": {}}', 422)
    parts.answered(decide(parts), refused, span, "client_error", error="answered 422")
    (outcome,) = parts.events(Outcome)
    assert (outcome.cost, outcome.output_tokens, outcome.error) == (0.0, 0, "answered 422")
    assert span.ended == ("client_error", "answered 422")
    assert spent(parts) == 0.0


def test_an_answer_of_a_model_that_was_removed_costs_what_was_expected(parts):
    decision = decide(parts)
    parts.router.remove_model("small")
    parts.answered(decision, answer(WITH_USAGE), RecordingSpan(), "ok")
    (outcome,) = parts.events(Outcome)
    assert outcome.cost == spent(parts) == decision.expected_cost > 0.0


def test_a_failed_call_costs_nothing(parts):
    span = RecordingSpan()
    parts.recorder.failed(decide(parts), UpstreamError("no connection", "connect"), span)
    (outcome,) = parts.events(Outcome)
    assert (outcome.cost, outcome.error, outcome.latency) == (0.0, "no connection", None)
    assert (span.ended, spent(parts)) == (("connect", "no connection"), 0.0)


def test_an_abandoned_call_costs_what_was_expected(parts):
    decision, span = decide(parts), RecordingSpan()
    parts.recorder.abandoned(decision, span)
    (outcome,) = parts.events(Outcome)
    assert outcome.estimated
    assert outcome.cost == spent(parts) == decision.expected_cost > 0.0
    assert span.ended == ("disconnected", "the client disconnected")


LIES = {"all": 2**52, "nothing": 0}


@pytest.mark.parametrize("lie", list(LIES))
def test_a_count_that_cannot_be_true_moves_no_money_and_is_reported(lie, parts, caplog):
    count = LIES[lie]
    for _ in range(3):
        lying = whole_answer(text="x" * 400, tokens=count, prompt_tokens=count)
        parts.answered(decide(parts), lying)
    outcomes = parts.events(Outcome)
    assert {(o.input_tokens, o.output_tokens, o.estimated) for o in outcomes} == {(5, 100, True)}
    assert parts.count("floorline_usage_corrected_total", model="small") == 3
    (warning,) = parts.usage_check.warnings()
    assert "model 'small' sent 3 token counts that cannot be true" in warning
    assert caplog.text.count("cannot be true by the lengths of the texts") == 1


def test_honest_and_missing_counts_are_not_reported(parts):
    parts.answered(decide(parts), whole_answer(text="x" * 400, tokens=90))
    parts.answered(decide(parts), whole_answer(text="x" * 400))
    assert parts.usage_check.warnings() == []
    assert parts.count("floorline_usage_corrected_total", model="small") is None


def test_three_hundred_answers_without_tokens_do_not_cheapen_a_model(parts):
    def expected():
        return float(parts.router.call_costs(5, chat_request().limits)[0][0])

    def learn(count, tokens):
        for _ in range(count):
            decision = parts.chat.decide(chat_request(), Caller())
            parts.answered(decision, whole_answer(text="x" * 4000, tokens=tokens))

    learn(300, 1000)
    before = expected()
    learn(300, 0)
    assert expected() == pytest.approx(before, rel=0.01)
    # The least that is believed of such texts is a quarter of it.
    learn(3000, 250)
    assert expected() > before / 4


def test_an_abandoned_call_costs_no_more_than_was_reserved(parts):
    parts.router.set_sla(SLA("gold", floor=0.5, budget=Budget(total=1.0)))
    decision = parts.chat.decide(chat_request(max_tokens=10), Caller("key-1"))
    assert decision.expected_cost > decision.reserved[0]
    parts.recorder.abandoned(decision, RecordingSpan())
    (outcome,) = parts.events(Outcome)
    assert outcome.cost == spent(parts) == 10 / 1e6


@pytest.mark.parametrize("tokens", [10, 2**53 - 1])
def test_no_usage_and_no_price_make_an_outcome_that_cannot_be_kept(tokens, tmp_path):
    model = {"name": "small", "endpoint": "http://127.0.0.1:1/v1", "output_price": 1e9}
    parts = Parts(tmp_path, models=[model])
    decision = parts.chat.decide(chat_request(), Caller())
    found = Findings()
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens}
    body = {"id": "x" * 9000, "choices": [], "usage": usage}
    found.add(read_completion(json.dumps(body).encode()))
    whole = Answer("small", 200, {}, b"", found)
    whole.total_s = 1e12
    measured = Measured(found.usage, cost_of(parts.router.zoo.models[0], found.usage))
    parts.recorder.answered(decision, whole, measured, RecordingSpan(), "ok", error="\0" * 5000)
    (outcome,) = parts.events(Outcome)
    assert (outcome.output_tokens, outcome.latency) == (tokens, MAX_LATENCY)
    assert outcome.cost == min(tokens * 1000.0, MAX_COST)
    assert len(outcome.error) == MAX_ERROR
    parts.store.close()


def test_an_outcome_that_the_log_does_not_take_waits_and_is_charged(parts, monkeypatch):
    first, second = decide(parts), decide(parts)
    append = parts.store.append

    def refuse(event):
        raise StoreUnavailable("20000 events are not committed yet")

    monkeypatch.setattr(parts.store, "append", refuse)
    parts.answered(first, whole_answer(tokens=100))
    # The other call still holds the largest answer.
    assert spent(parts) == (100 + DEFAULT_MAX_OUTPUT_TOKENS) / 1e6
    assert {r.decision.id for r in parts.router.open_calls()} == {first.id, second.id}
    monkeypatch.setattr(parts.store, "append", append)
    parts.answered(second, whole_answer(tokens=50))
    assert [(o.decision, o.cost) for o in parts.events(Outcome)] == [
        (first.id, 100 / 1e6),
        (second.id, 50 / 1e6),
    ]
    assert parts.router.open_calls() == []
    assert spent(parts) == 150 / 1e6


def test_a_call_that_its_client_does_not_report_is_ended_after_an_hour(parts, monkeypatch):
    now = parts.router.clock()
    monkeypatch.setattr(parts.router, "clock", lambda: now)
    lost = parts.chat.decide(chat_request(), Caller("key-1"), call_by=CLIENT)
    own = decide(parts)
    now += 3599.0
    parts.recorder.close_unreported()
    assert parts.events(Outcome) == []
    now += 2.0
    parts.recorder.close_unreported()
    parts.recorder.close_unreported()
    (outcome,) = parts.events(Outcome)
    assert (outcome.decision, outcome.error, outcome.estimated) == (lost.id, UNREPORTED, True)
    assert outcome.cost == lost.expected_cost
    assert [r.decision.id for r in parts.router.open_calls()] == [own.id]
    parts.recorder.uncalled(own, "")
    assert spent(parts) == lost.expected_cost
