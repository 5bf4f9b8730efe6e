"""The real Envoy with the example of deploy/envoy, before `floorline serve` and a provider."""

import gzip
import json
import os
import signal
import threading
import time
from pathlib import Path

import httpx2 as httpx
import pytest
from tests.support.envoy_scene import (
    NAMES,
    PRICES,
    USAGE,
    EnvoyScene,
    chunk,
    clusters,
    filters,
    routes,
    whole,
)
from tests.support.live_gateway import wait_until

from floorline.events import REFUSED

ENVIRONMENTS = os.environ.get("FLOORLINE_FRAMEWORKS", "")
PROVIDERS = {"small": "local", "medium": "local", "large": "openai"}
PROGRAM = Path(ENVIRONMENTS) / "frameworks" / "bin" / "envoy"

pytestmark = pytest.mark.slow

if not ENVIRONMENTS or not PROGRAM.exists():
    pytest.skip("make test-frameworks installs Envoy", allow_module_level=True)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    begun = EnvoyScene(PROGRAM, tmp_path_factory.mktemp("envoy"))
    yield begun
    begun.stop()
    # An error of the script would be here, and nowhere else.
    assert "lua" not in begun.envoy.log().lower()


@pytest.fixture
def scene(shared):
    """A scene whose provider answers as usual; ``new`` are the events since the test began."""
    shared.answer = whole
    shared.provider.requests.clear()
    shared.provider.bodies.clear()
    made, took = len(shared.decisions()), len(shared.outcomes(0))
    shared.new = lambda: (shared.decisions()[made:], shared.outcomes(took + 1)[took:])
    # A decision without a model is one that declined the request.
    shared.undecided = lambda: not any(one.model for one in shared.decisions()[made:])
    return shared


@pytest.fixture
def changed(tmp_path):
    """Start scenes with a changed example; they stop after the test."""
    begun = []

    def begin(change):
        begun.append(EnvoyScene(PROGRAM, tmp_path, change))
        return begun[-1]

    yield begin
    for one in begun:
        one.stop()


def test_the_decided_model_gets_the_request_and_its_outcome_returns(scene):
    answer = scene.chat(headers={"x-floorline-session": "chat-17"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"] == USAGE
    (decision,), (outcome,) = scene.new()
    assert answer.headers["x-floorline-decision"] == decision.id
    assert answer.headers["x-floorline-model"] == decision.model
    assert (decision.sla, decision.session) == ("gold", "chat-17")

    ((path, headers, body),) = scene.provider.requests
    assert path == "/v1/chat/completions"
    messages = [{"role": "user", "content": "Why?"}]
    assert body == {"model": NAMES[decision.model], "messages": messages}
    assert headers["authorization"] == f"Bearer sk-{PROVIDERS[decision.model]}"
    assert not [name for name in headers if name.startswith("x-floorline") or "api-key" in name]

    assert (outcome.decision, outcome.error, outcome.estimated) == (decision.id, None, False)
    assert (outcome.input_tokens, outcome.output_tokens, outcome.cached_tokens) == (11, 7, 4)
    given, answered = PRICES[decision.model]
    assert outcome.cost == pytest.approx((11 * given + 7 * answered) / 1e6, rel=1e-12)
    assert 0.0 <= outcome.latency < 120.0
    assert outcome.completion == "chatcmpl-1"


TEXTS = [
    '{"model":"floorline/small-only","messages":[]}',
    # Order of fields and all numbers stay: schemas of tools depend on them.
    '{ "z" : [1.0, 1e400, 12345678901234567890], "model" :\n"floorline/small-only", "messages": [],'
    ' "tools": [{"model": "x", "b": {"model": "y"}, "a": null}] }',
    r'{"user": "model", "messages": [{"content": "\\\" \\\\", "model": "}]"}], "a": "\ud83e\udd89",'
    r' "model": "floorline/small-only"}',
    # A provider may take the first one or the last one.
    '{"model":"floorline/small-only","messages":[],"model":"floorline/small-only"}',
]


@pytest.mark.parametrize("text", TEXTS)
def test_all_bytes_but_the_model_stay(scene, text):
    headers = {"content-type": "application/json"}
    answer = scene.http.post("/v1/chat/completions", content=text.encode(), headers=headers)
    assert answer.status_code == 200, answer.text
    ((_, headers, _),) = scene.provider.requests
    expected = text.replace("floorline/small-only", NAMES["small"]).encode()
    assert scene.provider.bodies == [expected]
    assert headers["content-length"] == str(len(expected))
    assert [outcome.error for outcome in scene.new()[1]] == [None]


@pytest.mark.parametrize(
    "text",
    [
        r'{"mod\u0065l":"dear","model":"floorline/gold","messages":[]}',
        '{"model":["dear"],"model":"floorline/gold","messages":[]}',
    ],
)
def test_a_body_in_which_providers_may_read_another_model_is_refused(scene, text):
    headers = {"content-type": "application/json"}
    answer = scene.http.post("/v1/chat/completions", content=text.encode(), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "model"
    assert scene.provider.requests == []
    assert [outcome.error for outcome in scene.new()[1]] == [f"{REFUSED}400"]


def test_floorline_refuses_another_spelling_of_the_model(scene):
    answer = scene.chat(MODEL="dear")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
    assert scene.undecided()
    assert scene.provider.requests == []


@pytest.mark.parametrize("header", ["x-api-key", "api-key"])
def test_a_key_in_another_header(scene, header):
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
    answer = httpx.post(
        f"{scene.envoy.url}/v1/chat/completions",
        json=body,
        headers={header: scene.key},
        timeout=120,
    )
    assert answer.status_code == 200, answer.text
    assert [outcome.error for outcome in scene.new()[1]] == [None]
    ((_, headers, _),) = scene.provider.requests
    assert headers["authorization"].startswith("Bearer sk-")
    assert header not in headers


def test_feedback_takes_the_same_way(scene):
    scene.answer = lambda path, body: whole(path, body, "chatcmpl-felt")
    decision = scene.chat().headers["x-floorline-decision"]
    scene.new()
    told = {"decision": decision, "satisfied": False}
    assert scene.http.post("/v1/feedback", json=told).json()["decision"] == decision
    told = {"id": "chatcmpl-felt", "satisfied": True}
    assert scene.http.post("/v1/feedback", json=told).json()["decision"] == decision
    assert [f.score for f in scene.feedback() if f.decision == decision] == [0.0, 1.0]
    assert scene.http.get("/v1/models").status_code == 200
    assert scene.http.get("/v1/models", headers={"authorization": "Bearer no"}).status_code == 401


def test_a_stream_is_passed_on_while_it_runs(scene):
    seen = threading.Event()

    def pieces():
        yield chunk("It ")
        assert seen.wait(120), "the first chunk was held back"
        yield chunk("is.")
        yield chunk(usage=USAGE)
        yield b"data: [DONE]\n\n"

    scene.answer = lambda path, body: (200, "text/event-stream", pieces())
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
    body["stream"] = True
    with scene.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        parts = answer.iter_text()
        text = next(parts)
        assert "It " in text
        assert "is." not in text
        seen.set()
        text += "".join(parts)
    assert text.endswith("data: [DONE]\n\n")
    (decision,), (outcome,) = scene.new()
    assert answer.headers["x-floorline-decision"] == decision.id
    assert (outcome.input_tokens, outcome.output_tokens, outcome.cached_tokens) == (11, 7, 4)
    assert outcome.completion == "chatcmpl-7"
    assert 0.0 <= outcome.first_token <= outcome.latency


def test_a_stream_without_usage_is_charged_as_expected(scene):
    parts = [chunk("It is."), b"data: [DONE]\n\n"]
    scene.answer = lambda path, body: (200, "text/event-stream", parts)
    scene.chat(stream=True)
    (decision,), (outcome,) = scene.new()
    assert (outcome.error, outcome.estimated, outcome.output_tokens) == (None, True, None)
    assert outcome.cost == pytest.approx(decision.expected_cost)


def test_usage_that_arrives_in_many_pieces(scene):
    (data,) = whole("", {"model": "x"})[2]
    # Some text first, so that the id has left the part of the answer that is looked at again.
    data = data.replace(b"It says", b"long " * 4000 + b"It says")
    pieces = [data[start : start + 700] for start in range(0, len(data), 700)]
    scene.answer = lambda path, body: (200, "application/json", pieces)
    assert scene.chat().content == data
    _, (outcome,) = scene.new()
    assert (outcome.input_tokens, outcome.output_tokens) == (11, 7)
    assert outcome.completion == "chatcmpl-1"


def test_a_client_cannot_choose_the_model_by_a_header(scene):
    forged = {"x-floorline-model": "large", "x-floorline-decision": "d1"}
    answer = scene.chat("floorline/small-only", headers=forged)
    assert answer.headers["x-floorline-model"] == "small"
    (decision,), _ = scene.new()
    assert answer.headers["x-floorline-decision"] == decision.id
    ((_, _, body),) = scene.provider.requests
    assert body["model"] == NAMES["small"]


@pytest.mark.parametrize(
    ("asked", "headers", "status", "text"),
    [
        ("floorline/gold", {"authorization": "Bearer wrong"}, 401, "no valid API key"),
        ("floorline/bronze", {}, 404, "there is no SLA 'bronze'"),
        ("small", {}, 400, "name an SLA as floorline/NAME"),
        ("floorline/poor", {}, 429, "within the budget of SLA 'poor'"),
        (
            "floorline/gold",
            {"x-floorline-exclude": "small,medium,large"},
            400,
            "no model can serve it",
        ),
    ],
)
def test_what_floorline_refuses_calls_no_model(scene, asked, headers, status, text):
    answer = scene.chat(asked, headers=headers, max_tokens=100)
    assert answer.status_code == status
    assert text in answer.json()["error"]["message"]
    assert answer.headers["content-type"] == "application/json"
    assert ("retry-after" in answer.headers) == (status == 429)
    assert scene.provider.requests == []
    assert scene.undecided()


def test_a_prompt_that_no_model_can_take_is_refused(scene):
    answer = scene.chat(messages=[{"role": "user", "content": "word " * 300_000}])
    assert answer.status_code == 400
    assert "its context window holds 100,000 tokens" in answer.json()["error"]["message"]
    assert scene.provider.requests == []
    assert scene.undecided()


def test_a_compressed_body_is_refused(scene):
    """Envoy could not change its model."""
    data = gzip.compress(json.dumps({"model": "floorline/gold", "messages": []}).encode())
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    answer = scene.http.post("/v1/chat/completions", content=data, headers=headers)
    assert answer.status_code == 400
    assert "the body is no JSON object" in answer.json()["error"]["message"]
    assert scene.provider.requests == []
    assert scene.undecided()


def test_a_body_above_the_limit_is_refused_before_the_decision(scene):
    answer = scene.chat(messages=[{"role": "user", "content": "x" * 5_000_000}])
    assert answer.status_code == 413
    assert scene.provider.requests == []
    assert scene.undecided()


def test_other_paths_decide_nothing(scene):
    body = {"model": "floorline/gold", "input": "Why?"}
    assert scene.http.post("/v1/embeddings", json=body).status_code == 404
    assert scene.undecided()


@pytest.mark.parametrize(("status", "said"), [(503, "status 503"), (422, f"{REFUSED}422")])
def test_a_failed_call_is_reported_as_failed(scene, status, said):
    error = b'{"error": {"message": "no capacity"}}'
    scene.answer = lambda path, body: (status, "application/json", [error])
    answer = scene.chat()
    assert (answer.status_code, answer.content) == (status, error)
    (decision,), (outcome,) = scene.new()
    assert answer.headers["x-floorline-decision"] == decision.id
    assert (outcome.error, outcome.cost) == (said, 0.0)


def test_floorline_that_does_not_answer_in_time(scene):
    scene.serving.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        answer = scene.chat()
        took = time.monotonic() - began
    finally:
        scene.serving.signal(signal.SIGCONT)
    assert answer.status_code == 503
    assert took >= 1.0
    assert scene.provider.requests == []
    # It serves again as soon as Floorline does.
    wait_until(lambda: scene.chat().status_code == 200)


def test_floorline_away_and_fail_closed(changed):
    scene = changed(None)
    scene.serving.kill()
    assert scene.chat().status_code == 503
    assert scene.provider.requests == []


def fail_open(config):
    """What docs/envoy.md says for serving while Floorline is away."""
    filters(config)["ext_authz"]["failure_mode_allow"] = True
    named = {route["name"]: route for route in routes(config)}
    fallback = {**named["large"], "name": "undecided", "match": named["undecided"]["match"]}
    routes(config)[routes(config).index(named["undecided"])] = fallback


def test_floorline_away_and_fail_open(changed):
    scene = changed(fail_open)
    answer = scene.chat("floorline/small-only")
    assert answer.headers["x-floorline-model"] == "small"
    # What Floorline refuses is still refused.
    assert scene.chat("floorline/bronze").status_code == 404
    scene.provider.requests.clear()
    scene.outcomes(1)
    scene.serving.kill()
    answer = scene.chat(headers={"x-floorline-model": "small"})
    assert answer.status_code == 200
    assert "x-floorline-decision" not in answer.headers
    ((_, headers, body),) = scene.provider.requests
    assert (body["model"], headers["authorization"]) == (NAMES["large"], "Bearer sk-openai")


def without_a_route_to_small(config):
    named = {route["name"]: route for route in routes(config)}
    routes(config).remove(named["small"])
    # A provider that is away, for the other one.
    (endpoint,) = clusters(config)["openai"]["load_assignment"]["endpoints"][0]["lb_endpoints"]
    endpoint["endpoint"]["address"]["socket_address"]["port_value"] = 1


def test_a_model_without_a_route_and_a_provider_that_is_away(changed):
    scene = changed(without_a_route_to_small)
    answer = scene.chat("floorline/small-only")
    assert answer.status_code == 503
    assert "no route to the model" in answer.json()["error"]["message"]
    answer = scene.chat(headers={"x-floorline-exclude": "small,medium"})
    assert answer.status_code == 503
    assert [o.error for o in scene.outcomes(2)] == ["status 503", "status 503"]


def test_a_client_that_leaves_a_stream_is_no_outcome_yet(scene):
    """Its decision is closed at its expected cost an hour later (docs/gateway.md)."""
    left = threading.Event()

    def pieces():
        yield chunk("It ")
        left.wait(120)
        while True:
            # Until Envoy closes the connection.
            yield chunk("is. ")
            time.sleep(0.01)

    scene.answer = lambda path, body: (200, "text/event-stream", pieces())
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
    body["stream"] = True
    with httpx.stream(
        "POST",
        f"{scene.envoy.url}/v1/chat/completions",
        json=body,
        headers=scene.http.headers,
        timeout=120,
    ) as answer:
        next(answer.iter_text())
        decision = answer.headers["x-floorline-decision"]
    left.set()
    scene.answer = whole
    scene.chat()
    _, outcomes = scene.new()
    assert decision not in [outcome.decision for outcome in outcomes]
