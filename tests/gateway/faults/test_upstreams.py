import json

import pytest
from tests.support import faulty_provider as fp
from tests.support.live_gateway import wait_until
from tests.support.streams import broken_off, without_end

pytestmark = pytest.mark.slow

# What a provider does before the first byte of a sound answer: status and code for the client.
FAULTS = {
    "reset": (fp.reset, 502, "upstream_reset"),
    "closed": (fp.close, 502, "upstream_reset"),
    "not HTTP": (fp.not_http, 502, "upstream_invalid_response"),
    "429": (fp.error(429, Retry_After="70"), 429, "upstream_status"),
    "500": (fp.error(500), 502, "upstream_status"),
    "503": (fp.error(503), 502, "upstream_status"),
    "our key": (fp.error(401), 502, "upstream_status"),
    "redirect": (fp.whole(b"", 307, Location="http://127.0.0.1:1/"), 502, "upstream_status"),
    "page": (fp.whole(b"<html>Welcome</html>", kind="text/html"), 502, "upstream_invalid_response"),
    "nothing": (fp.whole(b""), 502, None),
    "not UTF-8": (fp.whole(b'{"choices": "\xff\xfe"}'), 502, "upstream_invalid_response"),
    "error in 200": (fp.error(200), 502, "upstream_invalid_response"),
}
NO_LUCK = {"message": "no luck today"}
STREAM_ONLY = {
    name: (fp.stream(sent, then=then), 502, code)
    for name, sent, then, code in (
        ("only the end", [b"data: [DONE]\n\n"], None, "upstream_invalid_response"),
        ("only comments", [b": ping\n\n"] * 3, None, "upstream_invalid_response"),
        ("a reset after comments", [b": ping\n\n"] * 3, fp.reset, "upstream_reset"),
        ("no choices", [fp.event({"choices": []})], None, "upstream_invalid_response"),
        ("a choice's error", [fp.event({"choices": [{"error": NO_LUCK}]})], None, None),
        ("error after a comment", [b": ping\n\n", fp.event({"error": NO_LUCK})], None, None),
    )
}
WHOLE_ONLY = {
    "no choices": (fp.whole(b'{"choices": []}'), 502, "upstream_invalid_response"),
    "a choice's error": (
        fp.whole(json.dumps({"choices": [{"error": NO_LUCK}]}).encode()),
        502,
        None,
    ),
    "cut short": (fp.cut_short(), 502, "upstream_invalid_response"),
    "huge": (fp.endless(), 502, "upstream_too_large"),
}
BOTH = [(name, stream) for name in FAULTS for stream in (False, True)]
CASES = BOTH + [(name, False) for name in WHOLE_ONLY] + [(name, True) for name in STREAM_ONLY]


def fault_of(name, stream):
    return {**FAULTS, **(STREAM_ONLY if stream else WHOLE_ONLY)}[name]


def is_openais_error(error):
    assert set(error) == {"error"}
    assert set(error["error"]) == {"message", "type", "param", "code"}
    assert error["error"]["message"]
    return error["error"]


@pytest.mark.parametrize(("name", "stream"), CASES)
def test_after_a_fault_before_the_first_byte_another_model_is_called(name, stream, shared):
    shared.happened()
    fault, *_ = fault_of(name, stream)
    shared.plan(fault)
    answer = shared.chat(stream=stream)
    assert answer.status_code == 200, answer.text
    if stream:
        assert answer.content == b"".join(fp.events())
    else:
        assert answer.content == fp.completion()
    (failed, served), (failure, outcome) = shared.happened()
    assert served.after == failed.id
    assert served.model != failed.model
    assert served.id == answer.headers["x-floorline-decision"]
    assert (failure.decision, failure.cost) == (failed.id, 0.0)
    assert failed.model in failure.error
    assert (outcome.decision, outcome.error) == (served.id, None)
    assert outcome.cost > 0.0


@pytest.mark.parametrize(("name", "stream"), CASES)
def test_a_fault_of_every_model_is_an_error_object_of_openai(name, stream, shared):
    shared.happened()
    before = shared.http.get("/v1/slas/gold").json()
    fault, status, code = fault_of(name, stream)
    shared.plan(fault, fault, fault)
    answer = shared.chat(stream=stream)
    error = is_openais_error(answer.json())
    assert answer.status_code == status
    assert error["code"] == code or code is None
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers.get("retry-after") == ("70" if status == 429 else None)
    decisions, outcomes = shared.happened()
    assert {d.model for d in decisions} == {"small", "medium", "large"}
    assert [d.after for d in decisions] == ["", decisions[0].id, decisions[1].id]
    assert [o.decision for o in outcomes] == [d.id for d in decisions]
    assert all(o.error and o.cost == 0.0 for o in outcomes)
    # One request, nothing spent.
    after = shared.http.get("/v1/slas/gold").json()
    assert after["spent"] == before["spent"]
    assert after["requests"] == before["requests"] + 1


ENDINGS = {
    "reset": (fp.reset, "upstream_reset"),
    "closed": (fp.close, "upstream_reset"),
    "ended without [DONE]": (None, "upstream_reset"),
    "huge": (without_end, "upstream_too_large"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_stream_that_breaks_ends_in_an_error_and_never_falls_back(name, shared):
    shared.happened()
    then, code = ENDINGS[name]
    sent = fp.events()[:3]
    shared.plan(broken_off(sent, then))
    calls = len(shared.provider.requests)
    answer = shared.chat(stream=True)
    assert answer.status_code == 200
    assert_cut(answer, sent, code, exact=name != "huge")
    assert len(shared.provider.requests) == calls + 1
    (decision,), (outcome,) = shared.happened()
    assert outcome.decision == decision.id
    assert outcome.error
    # What came was written by a model, and will be on its provider's bill.
    assert outcome.estimated
    assert outcome.cost > 0.0
    assert outcome.completion == "chatcmpl-1"


def assert_cut(answer, sent, code, *, exact=True):
    """The bytes so far, then an error's event, and no end of a sound stream."""
    start = b"".join(sent)
    assert answer.content.startswith(start)
    *between, last = answer.content[len(start) :].split(b"data: ")
    assert not exact or b"".join(between) == b""
    assert is_openais_error(json.loads(last))["code"] == code
    assert last.endswith(b"\n\n")
    assert b"[DONE]" not in answer.content


def test_a_provider_that_hangs(stage):
    gateway = stage(timeouts={"first_byte": "2s"})
    gateway.plan(fp.hang)
    answer = gateway.chat()
    assert answer.status_code == 200
    (failed, served), (failure, _) = gateway.happened()
    assert served.after == failed.id
    assert "no first byte within 2 s" in failure.error


def test_providers_that_all_hang(stage):
    gateway = stage(timeouts={"first_byte": "50ms"})
    gateway.plan(fp.hang, fp.hang, fp.hang)
    answer = gateway.chat(stream=True)
    assert answer.status_code == 504
    assert is_openais_error(answer.json())["code"] == "upstream_timeout"
    decisions, outcomes = gateway.happened()
    assert (len(decisions), len(outcomes)) == (3, 3)
    wait_until(lambda: gateway.provider.open == 0)


def test_a_stream_that_falls_silent(stage):
    gateway = stage(timeouts={"idle": "300ms"})
    sent = fp.events()[:2]
    gateway.plan(broken_off(sent, fp.hang))
    answer = gateway.chat(stream=True)
    assert_cut(answer, sent, "upstream_timeout")
    (_,), (outcome,) = gateway.happened()
    assert "no chunk for 0.3 s" in outcome.error
    wait_until(lambda: gateway.provider.open == 0)


def test_a_body_that_is_slower_than_allowed(stage):
    gateway = stage(timeouts={"total": "300ms"})
    slow = fp.drip(fp.completion() + b" " * 20_000, size=20)
    gateway.plan(slow, slow, slow)
    answer = gateway.chat()
    assert answer.status_code == 504
    assert is_openais_error(answer.json())["code"] == "upstream_timeout"
    wait_until(lambda: gateway.provider.open == 0)


def test_a_body_in_small_parts_arrives(shared):
    shared.plan(fp.drip())
    assert shared.chat().content == fp.completion()


def test_an_open_breaker_refuses_calls_with_the_seconds_to_wait(stage):
    gateway = stage(model={"breaker": {"failures": 1, "rate": 0.0, "open_for": "1000s"}})
    gateway.plan(fp.error(500), fp.error(500), fp.error(500))
    assert gateway.chat().status_code == 502
    ready = gateway.http.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["errors"] == [
        "no model can be called: each has an open circuit breaker or a full queue"
    ]
    calls = len(gateway.provider.requests)
    refused = gateway.chat()
    assert refused.status_code == 503
    assert is_openais_error(refused.json())["code"] == "upstream_open"
    assert 900 < int(refused.headers["retry-after"]) <= 1000
    assert len(gateway.provider.requests) == calls


def test_failures_cost_a_key_nothing_of_its_budget(stage):
    gateway = stage(auth="keys")
    key, secret = gateway.gateway.store.keys.create("app", budget=1e-6, period=1e9)
    gateway.call(gateway.gateway.auth.set_keys, gateway.gateway.store.keys.list())
    headers = {"authorization": f"Bearer {secret}"}
    gateway.plan(*[fp.error(500)] * 9)
    for _ in range(3):
        assert gateway.chat(headers=headers).status_code == 502
    assert gateway.gateway.store.spend(key.id, 0.0) == 0.0
    # Sound answers are paid for, and the second one finds the budget spent.
    assert gateway.chat(headers=headers).status_code == 200
    assert gateway.chat(headers=headers).json()["error"]["code"] == "insufficient_quota"
