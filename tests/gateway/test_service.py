"""Decisions on chat requests, and calls of the chosen models."""

import asyncio
import json

import pytest
from tests.support.gateway_parts import Parts, chat_request
from tests.support.inside import fold_of

from floorline.errors import InvalidInput, StoreUnavailable
from floorline.events import DIRECT, NOT_CALLED, Decision, Outcome, SlaChange
from floorline.gateway.auth import Caller
from floorline.gateway.call_recorder import DISCONNECTED
from floorline.gateway.chat_request import read_chat
from floorline.gateway.errors import ApiError
from floorline.gateway.upstreams import Answer, UpstreamError
from floorline.gateway.upstreams.findings import Findings
from floorline.state.elapsed import elapsed

ANYONE = Caller()


@pytest.fixture
def build(tmp_path):
    """Build parts; their stores are closed after the test."""
    built = []

    def build(**settings):
        built.append(Parts(tmp_path, **settings))
        return built[-1]

    yield build
    for parts in built:
        parts.store.close()


@pytest.fixture
def parts(build):
    return build()


def test_the_policy_decides_on_a_request_for_an_sla(parts):
    caller = Caller("key-1", "acme")
    chat = chat_request(floorline={"session": "s1", "floor": 0.2})
    decision = parts.chat.decide(chat, caller, after="d-before")
    assert (decision.model, decision.sla, decision.floor) == ("small", "gold", 0.2)
    assert (decision.tenant, decision.key, decision.after) == ("acme", "key-1", "d-before")
    assert decision.session == "s1"
    assert [event.id for event in parts.events(Decision)] == [decision.id]
    assert parts.count("floorline_decision_seconds_count") == 1


def test_a_request_may_name_its_model(parts):
    decision = parts.chat.decide(chat_request("large"), ANYONE)
    assert (decision.model, decision.policy, decision.sla) == ("large", DIRECT, "")
    with pytest.raises(ApiError, match="no model 'huge': name one of small, large, or an SLA"):
        parts.chat.decide(chat_request("huge"), ANYONE)


@pytest.mark.parametrize(
    ("asked", "slas", "found"),
    [("auto", None, "gold"), ("auto", ("silver",), "silver"), ("silver", ("silver",), "silver")],
)
def test_the_default_sla_is_the_keys_first_else_the_files(parts, asked, slas, found):
    caller = Caller("key-1", slas=slas)
    assert parts.chat.decide(chat_request(f"floorline/{asked}"), caller).sla == found


@pytest.mark.parametrize("asked", ["bronze", "gold", "silver@acme"])
def test_an_sla_that_the_caller_may_not_use_is_404_and_names_the_others(parts, asked):
    with pytest.raises(ApiError) as caught:
        parts.chat.decide(chat_request(f"floorline/{asked}"), Caller("key-1", slas=("silver",)))
    assert caught.value.status == 404
    assert caught.value.text.endswith("use one of floorline/silver, floorline/auto")
    assert parts.events(Decision) == []


def test_a_tenant_gets_its_own_sla_at_its_first_request(build):
    parts = build(slas=[{"name": "gold", "floor": 0.9, "per_tenant": True}])
    for _ in range(2):
        assert parts.chat.decide(chat_request(), Caller("key-1", "acme")).sla == "gold@acme"
    assert parts.chat.decide(chat_request(), ANYONE).sla == "gold"
    assert [change.sla.name for change in parts.events(SlaChange)] == ["gold@acme"]
    assert parts.router.slas["gold@acme"].floor == 0.9


def test_models_are_excluded_by_the_request_the_caller_and_their_state(parts):
    decide = parts.chat.decide
    assert decide(chat_request(floorline={"exclude": ["small"]}), ANYONE).model == "large"
    assert decide(chat_request(), ANYONE, exclude=["small"]).model == "large"
    parts.upstreams.blocked_models = ["small"]
    assert decide(chat_request(), ANYONE).model == "large"
    with pytest.raises(InvalidInput, match=r"floorline.exclude is 'huge': name models of small"):
        decide(chat_request(floorline={"exclude": ["huge"]}), ANYONE)


def test_a_blocked_model_is_chosen_if_no_other_is_left(parts):
    parts.upstreams.blocked_models = ["small", "large"]
    assert parts.chat.decide(chat_request(), ANYONE).model == "small"
    parts.upstreams.blocked_models = ["large"]
    assert parts.chat.decide(chat_request(), ANYONE, exclude=["small"]).model == "large"


def test_the_longest_answer_must_fit_the_context_window(parts):
    long = chat_request(max_tokens=500)
    with pytest.raises(InvalidInput, match="no model can serve it"):
        parts.chat.decide(long, ANYONE, exclude=["small"])
    assert parts.chat.decide(long, ANYONE).model == "small"


def test_of_the_models_that_a_policy_explores_only_one_is_called(build):
    parts = build(policy={"name": "mess_plus", "options": {"c": 1000.0}})
    decision = parts.chat.decide(chat_request(), ANYONE)
    assert set(decision.called) == {"small", "large"}
    (outcome,) = parts.events(Outcome)
    assert {decision.model, outcome.model} == {"small", "large"}
    assert (outcome.cost, outcome.error) == (0.0, NOT_CALLED)
    # It says nothing of how fast that model is.
    assert not fold_of(parts.router).latency_.latest_


def test_no_decision_is_made_that_could_not_be_logged(parts, monkeypatch):
    monkeypatch.setattr(type(parts.store), "failure", "disk full")
    with pytest.raises(StoreUnavailable, match="the event log cannot be written \\(disk full\\)"):
        parts.chat.decide(chat_request(), ANYONE)
    assert len(parts.store) == 0


def test_prompts_are_stored_only_if_the_settings_say_so(build, tmp_path):
    parts = build()
    decision = parts.chat.decide(chat_request(), ANYONE)
    parts.store.flush()
    assert parts.store.prompt(decision.id) is None
    parts.store.close()
    for path in tmp_path.glob("log.db*"):
        path.unlink()
    keeping = build(store={"store_prompts": True})
    decision = keeping.chat.decide(chat_request(text="Keep this"), ANYONE)
    keeping.store.flush()
    assert b"Keep this" in keeping.store.prompt(decision.id)


def call(parts, planned, chat=None):
    chat = chat_request("large", seed=1) if chat is None else chat
    decision = parts.chat.decide(chat, ANYONE)
    parts.upstreams.planned = [planned]
    return decision, asyncio.run(parts.chat.call(decision, chat, {"traceparent": "00-1"}))


def test_a_call_has_the_clients_fields_and_the_providers_name_of_the_model(parts):
    answer = Answer("large", 200, {}, b"{}", Findings())
    _, (returned, span) = call(parts, answer)
    assert returned is answer
    assert span.headers == {"traceparent": "00-1"}
    ((model, body),) = parts.upstreams.requests
    assert (model, body["model"], body["seed"]) == ("large", "their-large", 1)
    assert parts.events(Outcome) == []


def test_a_call_that_fails_is_recorded_at_no_cost(parts):
    with pytest.raises(UpstreamError):
        call(parts, UpstreamError("model 'large': no connection", "connect"))
    (outcome,) = parts.events(Outcome)
    assert (outcome.cost, outcome.error) == (0.0, "model 'large': no connection")


def test_a_request_that_cannot_be_translated_makes_no_model_late(parts):
    part = {"type": "input_image", "file_id": "file-1"}
    body = {"model": "large", "input": [{"role": "user", "content": [part]}]}
    with pytest.raises(UpstreamError, match="cannot be translated into the dialect openai"):
        call(parts, None, read_chat(json.dumps(body).encode(), {}, "responses"))
    (outcome,) = parts.events(Outcome)
    assert elapsed(outcome, "latency", began=0.0) is None
    assert not fold_of(parts.router).latency_.latest_


def test_a_call_whose_client_leaves_is_recorded_at_its_expected_cost(parts):
    with pytest.raises(asyncio.CancelledError):
        call(parts, asyncio.CancelledError())
    (decision,), (outcome,) = parts.events(Decision), parts.events(Outcome)
    assert (outcome.cost, outcome.error) == (decision.expected_cost, DISCONNECTED)
    assert outcome.estimated
    labels = {"model": "large", "sla": "", "outcome": "disconnected"}
    assert parts.count("floorline_requests_total", **labels) == 1
