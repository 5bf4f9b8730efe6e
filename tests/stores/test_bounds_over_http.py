"""Whatever a client sends: it is refused or stored, and all other clients go on."""

import json

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import faulty_provider as fp
from tests.support.live_gateway import InThread, Live
from tests.support.stage import settings_of

from floorline.stores.export import export

BODY = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
NAMES = ["", "a\0b", "\x85", "x" * 256, "x" * 257, "x" * 9000, "🦜" * 256, "é" * 300, "d-1", "~1"]
names = st.sampled_from(NAMES) | st.text(max_size=300)
NUMBERS = [0, 1, -1, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 10**400, 1e15, 1e308, 1e-320]
numbers = st.sampled_from(NUMBERS) | st.integers() | st.floats(allow_nan=False)
ids = names | numbers


@pytest.fixture
def stage(url, tmp_path):
    """A gateway with keys, on a store of either kind, before a provider that answers as told."""
    provider = InThread(fp.FaultyProvider())
    text = settings_of(provider.value, auth="keys", store={"url": url}, feedback={"rate": None})
    live = Live(text, tmp_path)
    live.provider = provider.value
    keys = live.gateway.store.keys
    live.who = [
        {"authorization": f"Bearer {keys.create(name, tenant=tenant)[1]}"}
        for name, tenant in (("wild", "wild"), ("calm", "calm"))
    ]
    live.call(live.gateway.auth.set_keys, keys.list())
    yield live
    live.stop()
    provider.stop()


def post(stage, path, body, who=0):
    # As Python writes it: numbers of any size, lone surrogates escaped.
    content = json.dumps(body).encode()
    headers = {**stage.who[who], "content-type": "application/json"}
    answer = stage.http.post(path, content=content, headers=headers)
    assert answer.status_code < 500, (path, body, answer.text)
    assert len(answer.text) < 60_000
    return answer


def outcome(stage, fields):
    routed = post(stage, "/v1/route", BODY).json()
    return post(stage, "/v1/outcomes", {"id": routed["id"], "cost": 1e-5, **fields})


def fine(stage):
    """A well-behaved tenant is served, judges, and sees its label."""
    made = post(stage, "/v1/chat/completions", BODY, who=1)
    decision = made.headers["x-floorline-decision"]
    given = post(stage, "/v1/feedback", {"id": decision, "satisfied": True}, who=1)
    assert (made.status_code, given.status_code, given.json()["changed"]) == (200, 200, True)


@pytest.mark.parametrize("value", NUMBERS, ids=[str(n)[:20] for n in NUMBERS])
def test_no_number_stops_the_gateway(value, stage):
    for field in ("input_tokens", "output_tokens", "latency", "cost"):
        outcome(stage, {field: value})
    post(stage, "/v1/feedback", {"id": value, "satisfied": True})
    for field in ("max_tokens", "max_completion_tokens"):
        post(stage, "/v1/chat/completions", {**BODY, field: value})
        post(stage, "/v1/route", {**BODY, field: value})
    post(stage, "/v1/chat/completions", {**BODY, "floorline": {"floor": value}})
    fine(stage)


@pytest.mark.parametrize("value", NAMES, ids=[ascii(n)[:20] for n in NAMES])
def test_no_text_stops_the_gateway(value, stage):
    for field in ("completion", "error", "id"):
        outcome(stage, {field: value})
    decision = post(stage, "/v1/route", BODY).json()["id"]
    for field in ("source", "idempotency", "id", "decision"):
        post(stage, "/v1/feedback", {"id": decision, "satisfied": True, field: value})
    post(stage, "/v1/chat/completions", {**BODY, "floorline": {"session": value}})
    post(stage, "/v1/chat/completions", {**BODY, "floorline": {"exclude": [value]}})
    post(stage, "/v1/chat/completions", {**BODY, "model": value})
    # A provider must not make a request fail by its id.
    sound = json.loads(fp.completion())
    stage.provider.plan(fp.whole(json.dumps({**sound, "id": value}).encode()))
    made = post(stage, "/v1/chat/completions", BODY)
    assert made.status_code == 200
    stage.provider.plan(fp.error(500, value), fp.error(500, value), fp.error(400, value))
    assert post_failing(stage).status_code in (400, 502)
    fine(stage)


def post_failing(stage):
    headers = {**stage.who[0], "content-type": "application/json"}
    return stage.http.post("/v1/chat/completions", content=json.dumps(BODY), headers=headers)


outcomes = st.fixed_dictionaries(
    {},
    optional={
        "cost": numbers,
        "input_tokens": numbers,
        "output_tokens": numbers,
        "latency": numbers,
        "error": names,
        "completion": ids,
    },
)
labels = st.fixed_dictionaries(
    {},
    optional={
        "id": ids,
        "decision": names,
        "satisfied": st.booleans(),
        "score": numbers,
        "source": names,
        "idempotency": names,
    },
)
chats = st.fixed_dictionaries(
    {},
    optional={
        "max_tokens": numbers,
        "floorline": st.fixed_dictionaries(
            {},
            optional={"session": names, "floor": numbers, "exclude": st.lists(names)},
        ),
    },
)


# One gateway takes all examples: a value that blocks it fails all that come after.
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(outcomes, st.lists(labels, min_size=1, max_size=3), chats)
def some_requests(stage, given_outcome, given_labels, given_chat):
    outcome(stage, given_outcome)
    made = post(stage, "/v1/chat/completions", {**BODY, **given_chat})
    known = made.headers.get("x-floorline-decision", "none")
    post(
        stage, "/v1/feedback", {"feedback": [{"id": known, "score": 1, **x} for x in given_labels]}
    )
    post(stage, "/v1/feedback", {"id": known, "satisfied": True, **given_labels[0]})


def test_a_value_is_refused_or_kept_by_gateway_store_and_export(stage, tmp_path):
    some_requests(stage)
    fine(stage)
    store = stage.gateway.store
    stage.call(store.flush)
    assert store.failure is None
    events = [event for _, event in store.numbered()]
    assert len(events) > 100
    assert not any(event.__struct_config__.tag == "tombstone" for event in events)
    assert export(store, tmp_path / "log.parquet") == len(events)
    assert len(pl.read_parquet(tmp_path / "log.parquet")) == len(events)
