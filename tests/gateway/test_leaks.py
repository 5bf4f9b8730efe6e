"""What leaves the gateway by its database, traces, logs, health pages and answers."""

import contextlib
import json
import logging

import pytest
from tests.gateway.observability.test_spans import Receiver
from tests.support import faulty_provider as fp
from tests.support.live_gateway import InThread, write_settings
from tests.support.stage import Stage, settings_of

PROMPT = "my-diagnosis-is-Q4711"
KEY = 'sk-live-9/x"Y+zzzzzzzzzz'


def echo(status):
    """Repeat the prompt in an error."""
    return fp.error(status, f"cannot answer: {PROMPT}")


ECHOES = {
    "status": echo(500),
    "rate limit": echo(429),
    "invalid": fp.whole(json.dumps({"error": {"message": PROMPT}}).encode()),
    "client error": echo(400),
    "page": fp.whole(f"<html>{PROMPT}</html>".encode(), 404, kind="text/html"),
    "not HTTP": fp.whole(PROMPT.encode(), 500, kind="text/plain"),
    "stream": fp.stream([fp.event({"error": {"message": PROMPT}})]),
    "late": fp.stream([*fp.events()[:2], fp.event({"error": {"message": PROMPT}})]),
}


@pytest.fixture
def leaky(tmp_path, caplog):
    """A traced gateway whose provider repeats what it is told, and all that it wrote down."""
    caplog.set_level(logging.DEBUG)
    provider, receiver = InThread(fp.FaultyProvider()), Receiver()
    text = settings_of(
        provider.value, model={"api_key": KEY}, telemetry={"otlp_endpoint": receiver.url}
    )
    stage = Stage(text, provider.value, tmp_path)

    def written():
        stage.happened()
        stage.stop()
        files = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
        traces = [request.SerializeToString() for _, request in receiver.received]
        assert traces
        return b"".join([*files, *traces, caplog.text.encode()])

    yield stage, written
    with contextlib.suppress(RuntimeError):
        stage.stop()
    provider.stop()
    receiver.close()


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_a_provider_repeats_is_written_nowhere(leaky, stream):
    stage, written = leaky
    for name, fault in ECHOES.items():
        stage.plan(fault, fault, fault)
        answer = stage.chat(f"Hello, {PROMPT}", stream=stream)
        if name in ("status", "client error"):
            # The client gets the provider's own words.
            assert PROMPT in answer.text
    assert PROMPT.encode() not in written()


def quoting(text):
    body = json.dumps({"error": {"message": f"no access with {text}"}})
    return body.encode(), body.replace("/", "\\/").encode()


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500])
def test_a_key_in_an_error_reaches_no_client(leaky, status):
    stage, written = leaky
    for body in quoting(KEY):
        fault = fp.whole(body, status)
        stage.plan(fault, fault, fault)
        answer = stage.chat()
        assert answer.status_code >= 400
        said = answer.json()["error"]["message"]
        assert "no access with ***" in said
    assert KEY[:12].encode() not in written()


def test_a_key_in_an_error_within_a_stream_reaches_no_client(leaky):
    stage, _ = leaky
    for body in quoting(KEY):
        stage.plan(fp.stream([*fp.events()[:2], b"data: " + body + b"\n\n"]))
        said = stage.chat(stream=True).text
        assert "no access with ***" in said
        assert "sk-live" not in said


HEADERS = {
    "bytes": "application/\xff\xfe",
    "page": "text/html",
    "empty": "",
    "script": "text/javascript; charset=utf-7",
    "long": "application/json; x=" + "y" * 5000,
}


@pytest.mark.parametrize("kind", HEADERS.values(), ids=HEADERS)
def test_the_type_of_an_answer_does_not_depend_on_the_provider(leaky, kind):
    stage, _ = leaky
    cookies = {"Set_Cookie": "a=b", "Access_Control_Allow_Origin": "*", "X_Request_Id": "req-1"}
    for status in (200, 400):
        body = None if status == 200 else b'{"detail": "no"}'
        stage.plan(fp.whole(body, status, kind, **cookies))
        answer = stage.chat()
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-request-id"] == "req-1"
        assert not {"set-cookie", "access-control-allow-origin"} & set(answer.headers)
    stage.plan(fp.stream(kind=kind))
    answer = stage.chat(stream=True)
    assert answer.headers["content-type"] == "text/event-stream"


@pytest.mark.parametrize("body", [b"<script>alert(1)</script>", b"", b"[1]", b"\xff\xfe", b"{"])
def test_an_error_that_is_no_json_object_becomes_one(leaky, body):
    stage, _ = leaky
    stage.plan(fp.whole(body, 422, "text/html"))
    answer = stage.chat()
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.fixture
def locked(start, provider):
    gateway = start(write_settings(provider, auth="keys", store={"url": "sqlite:///log.db"}))

    def bearer(*scopes):
        _, secret = gateway.gateway.store.keys.create("test", scopes)
        gateway.call(lambda: gateway.gateway.auth.set_keys(gateway.gateway.store.keys.list()))
        return {"authorization": f"Bearer {secret}"}

    return gateway, bearer


def test_metrics_need_a_key_for_them(locked):
    gateway, bearer = locked
    get = gateway.http.get
    assert get("/metrics").status_code == 401
    assert get("/metrics", headers=bearer("chat", "feedback")).status_code == 403
    for scope in ("metrics", "admin"):
        assert "floorline_sla_spend" in get("/metrics", headers=bearer(scope)).text


def test_public_metrics_need_no_key(start, provider):
    gateway = start(write_settings(provider, auth="keys", server={"public_metrics": True}))
    assert gateway.http.get("/metrics").status_code == 200


@pytest.mark.parametrize(
    "accept", ["text/plain; version=abc", "application/openmetrics-text;v", "é"]
)
def test_what_a_scraper_accepts_breaks_nothing(start, provider, accept):
    gateway = start(write_settings(provider))
    answer = gateway.http.get("/metrics", headers={"accept": accept.encode()})
    assert answer.status_code == 200
    assert "floorline_build" in answer.text


def test_scrapes_within_a_second_share_their_text(start, provider):
    gateway = start(write_settings(provider))
    first = gateway.http.get("/metrics").text
    gateway.chat()
    assert gateway.http.get("/metrics").text == first


def test_readiness_has_no_details_without_a_key(locked, monkeypatch):
    gateway, bearer = locked
    parts = gateway.gateway
    monkeypatch.setattr(parts.store._commits, "failure", "no route to db.internal:5432")
    shown = gateway.http.get("/readyz")
    assert shown.status_code == 503
    assert "db.internal" not in shown.text
    assert "event log" in shown.text
    assert "db.internal" in gateway.http.get("/readyz", headers=bearer("metrics")).text
