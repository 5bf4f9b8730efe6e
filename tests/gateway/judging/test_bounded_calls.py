"""Calls of judges and of shadows cost no more than is reserved, and say what their model takes."""

import msgspec
import pytest
from tests.support.judging_provider import (
    JUDGE,
    judged_configuration,
    judgements,
    log_of,
    rest,
)

from floorline.call_bounds import DEFAULT_MAX_OUTPUT_TOKENS
from floorline.config import load_text
from floorline.errors import ConfigError
from floorline.events import Outcome
from floorline.gateway.chat_request import read_chat
from floorline.gateway.judging.repeated_request import Target, to_model
from floorline.zoo import Zoo

RARELY = {**JUDGE, "rate": 1e-9}


def spent_by(live, key):
    return sum(e.cost for e in log_of(live) if isinstance(e, Outcome) and e.key == key)


def ask(live, count):
    for number in range(count):
        assert live.chat(f"Question {number}?").status_code == 200
    rest(live)


@pytest.mark.parametrize("largest", [None, 300])
def test_long_answers_in_the_shadow_exceed_no_budget(start, provider, largest):
    provider.endless = True
    # The clients' own answers, mostly of the cheaper model, are as long: no SLA has a budget.
    budget = {"total": 0.01, "period": None}
    live = start(
        slas=[{"name": "gold", "floor": 0, "models": ["small", "large"]}],
        judges=[RARELY],
        shadow={"rate": 1.0, "judge": "strict", "budget": budget},
        max_output_tokens=largest,
    )
    ask(live, 12)
    spent = spent_by(live, "shadow")
    assert spent <= 0.01
    counts = live.gateway.judging.counts
    assert counts["shadow", "budget"] > 0
    if largest is not None:
        assert counts["shadow", "called"] > 0
        assert spent > 0.005


def test_long_answers_to_compare_with_exceed_no_budget(start, provider):
    provider.endless = True
    provider.says = lambda shown: '{"better": 1}'
    budget = {"total": 0.05, "period": None}
    live = start(judges=[{**JUDGE, "against": "large", "budget": budget}])
    ask(live, 6)
    assert spent_by(live, "judge:strict") <= 0.05
    assert live.gateway.judging.counts["strict", "budget"] > 0


def test_a_judge_has_no_temperature_by_default(start, provider):
    provider.refuses = {"judge": ("temperature",)}
    live = start(judges=[JUDGE])
    ask(live, 2)
    assert [one.failure for one in judgements(live)] == ["", ""]
    assert all("temperature" not in asked for asked in provider.judged)


def test_a_judge_is_asked_with_the_fields_of_its_configuration(start, provider):
    fields = {"temperature": 0, "reasoning_effort": "low", "max_completion_tokens": 900}
    live = start(judges=[{**JUDGE, "fields": fields}])
    ask(live, 1)
    [asked] = provider.judged
    assert fields.items() <= asked.items()
    assert "max_tokens" not in asked


def test_a_field_that_the_judge_refuses_is_no_judgement(start, provider, caplog):
    provider.refuses = {"judge": ("temperature",)}
    live = start(judges=[{**JUDGE, "fields": {"temperature": 0}}])
    ask(live, 3)
    assert [(one.failure, one.rate) for one in judgements(live)] == [("rejected", 1.0)] * 3
    [found] = live.call(lambda: live.gateway.router.certificate("gold")).judged
    assert (found.missed, found.failures, found.seen_share) == (3, 0, 0.0)
    assert live.gateway.judging.counts["strict", "rejected"] == 3
    assert "judge:strict was rejected" in caplog.text
    assert "it names temperature" in caplog.text
    assert spent_by(live, "judge:strict") == 0.0


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"model": "other"}, "judges[0].fields.model"),
        ({"n": 3}, "judges[0].fields.n"),
        ({"max_tokens": None}, "judges[0].fields.max_tokens"),
        ({"max_completion_tokens": "many"}, "judges[0].fields.max_completion_tokens"),
        ({"max_tokens": 0}, "judges[0].fields.max_tokens"),
        # A judge is asked in a chat request, which has no such field.
        ({"max_output_tokens": 100}, "judges[0].fields.max_output_tokens"),
    ],
)
def test_fields_that_would_unbound_a_call_are_refused(start, fields, path):
    with pytest.raises(ConfigError) as refused:
        start(judges=[{**JUDGE, "fields": fields}])
    assert path in str(refused.value)


def test_a_field_that_is_no_json_is_refused():
    text = judged_configuration("http://127.0.0.1:1/v1", judges=[JUDGE | {"fields": {"at": 0}}])
    with pytest.raises(ConfigError, match=r"judges\[0\]\.fields\.at"):
        load_text(text.replace('"at": 0', '"at": .nan'))


def repeated(body, target, dialect="openai"):
    return to_model(read_chat(body, {}, dialect), target)


QUESTION = b'"messages": [{"role": "user", "content": "Why?"}]'
USUAL = Target("large", "gpt-4o", "openai", 4000)
REASONING = Target("deep", "o3", "openai", None)


@pytest.mark.parametrize(
    ("given", "target", "bound"),
    [
        (b"", USUAL, ("max_tokens", 4000)),
        (b'"max_tokens": 100,', USUAL, ("max_tokens", 100)),
        (b'"max_completion_tokens": 9000,', USUAL, ("max_tokens", 4000)),
        # Some providers would ignore a text.
        (b'"max_tokens": "100",', USUAL, ("max_tokens", 100)),
        (b'"max_tokens": "many",', USUAL, ("max_tokens", 4000)),
        (b"", REASONING, ("max_completion_tokens", DEFAULT_MAX_OUTPUT_TOKENS)),
        (b'"max_tokens": 100, "temperature": 0,', REASONING, ("max_completion_tokens", 100)),
    ],
)
def test_a_repeated_request_has_one_certain_bound(given, target, bound):
    found = repeated(b'{"model": "floorline/gold", ' + given + QUESTION + b"}", target)
    name, most = bound
    bounds = {field for field in found.fields if field.startswith("max_")}
    assert (bounds, found.values()[name]) == ({name}, most)
    assert (found.limits.output_tokens, found.limits.is_certain) == (most, True)
    assert target is USUAL or "temperature" not in found.fields


def test_a_repeated_request_has_the_bound_of_its_dialect():
    body = b'{"model": "floorline/gold", "input": "Why?"}'
    found = repeated(body, REASONING, "responses")
    assert found.values()["max_output_tokens"] == DEFAULT_MAX_OUTPUT_TOKENS
    body = b'{"model": "floorline/gold", "max_tokens": 50, ' + QUESTION + b"}"
    assert repeated(body, USUAL, "anthropic").values()["max_tokens"] == 50


@pytest.mark.parametrize(("models", "path"), [(None, "shadow"), (["free"], "shadow.models[0]")])
def test_shadow_calls_of_a_model_without_a_price_are_refused(start, models, path):
    shadow = {"rate": 1.0, "judge": "strict", "budget": {"total": 1}, "models": models}
    more = {"name": "free", "endpoint": "http://127.0.0.1:1/v1"}
    with pytest.raises(ConfigError) as refused:
        start(judges=[JUDGE], shadow=shadow, more=[more], slas=[{"name": "gold", "floor": 0.5}])
    assert path in str(refused.value)
    assert "free" in str(refused.value)


def test_a_model_that_lost_its_price_at_run_time_is_not_called_in_the_shadow(start):
    live = start(
        slas=[{"name": "gold", "floor": 0, "models": ["small", "large"]}],
        judges=[RARELY],
        shadow={"rate": 1.0, "judge": "strict", "budget": {"total": 10}},
    )
    ask(live, 2)
    counts = live.gateway.judging.counts
    assert counts["shadow", "called"] == 2
    router = live.gateway.router
    free = [
        model
        if model.name == "judge"
        else msgspec.structs.replace(model, input_price=0.0, output_price=0.0)
        for model in router.zoo.models
    ]
    live.call(lambda: router.change_zoo(Zoo(free)))
    assert router.zoo.unpriced == ("small", "large")
    ask(live, 3)
    assert counts["shadow", "called"] == 2
