"""Endpoints in three dialects before providers that speak the client's: nothing is changed."""

import json

import pytest
from tests.support.dialect_answers import DIALECTS, OUTPUT, OVERLOADED, PROMPT
from tests.support.dialect_provider import ANSWERS, KINDS, models, speaking
from tests.support.live_gateway import Live, write_settings

from floorline.gateway.auth import Caller

NEW = ("anthropic", "responses")
COST = (PROMPT * 1.0 + OUTPUT * 2.0) / 1e6


@pytest.fixture(scope="module")
def speaker():
    with speaking() as provider:
        yield provider


@pytest.fixture(scope="module")
def gateway(speaker, tmp_path_factory):
    base = speaker.base_url.removesuffix("/v1")
    slas = [
        {"name": "messages", "floor": 0.1, "models": ["anthropic-words"]},
        {"name": "responses", "floor": 0.1, "models": ["responses-words"]},
        {"name": "mixed", "floor": 0.1, "models": ["anthropic-busy", "responses-words"]},
        {"name": "refused", "floor": 0.1, "models": ["openai-wrong", "responses-words"]},
        {"name": "hosted", "floor": 0.1, "models": ["openai-words", "responses-words"]},
        {"name": "recovers", "floor": 0.1, "models": ["anthropic-busy", "anthropic-words"]},
    ]
    text = write_settings(
        base,
        models=models(base),
        slas=slas,
        policy="cheapest",
        aliases={
            "claude-*": "floorline/messages",
            "gpt-*-codex": "responses-words",
            "best": "floorline/messages",
        },
    )
    started = Live(text, tmp_path_factory.mktemp("dialects"))
    yield started
    started.stop()


def ask(gateway, kind, model, *, stream=False, query="", headers=None, **fields):
    dialect = DIALECTS[kind]
    text = "Why is the sky blue?"
    if kind == "responses":
        body = {"model": model, "input": text}
    else:
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
    if kind == "anthropic":
        body["max_tokens"] = 100
    body |= fields | ({"stream": True} if stream else {})
    path = dialect.path + query
    return gateway.http.post(path, json=body, headers=headers)


def logged(gateway, kind, field, answer):
    """The event of a kind in the log whose field is the id of an answer's decision."""
    id = answer.headers["x-floorline-decision"]

    def look():
        gateway.gateway.store.flush()
        return [
            event
            for event in gateway.gateway.store.read()
            if type(event).__name__ == kind and getattr(event, field) == id
        ]

    (found,) = gateway.call(look)
    return found


def recorded(gateway, answer):
    """The outcome of an answer in the log."""
    return logged(gateway, "Outcome", "decision", answer)


def decided(gateway, answer):
    """The decision of an answer in the log."""
    return logged(gateway, "Decision", "id", answer)


@pytest.mark.parametrize("scene", [*ANSWERS])
@pytest.mark.parametrize("kind", NEW)
def test_a_whole_answer_is_passed_on_as_it_is(gateway, kind, scene):
    answer = ask(gateway, kind, f"{kind}-{scene}")
    assert answer.status_code == 200, answer.text
    assert answer.json() == DIALECTS[kind].whole(*ANSWERS[scene])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-floorline-model"] == f"{kind}-{scene}"
    assert float(answer.headers["x-floorline-cost"]) == pytest.approx(COST)
    assert "x-floorline-losses" not in answer.headers


@pytest.mark.parametrize("scene", [*ANSWERS])
@pytest.mark.parametrize("kind", NEW)
def test_a_stream_is_passed_on_as_it_is(gateway, kind, scene):
    answer = ask(gateway, kind, f"{kind}-{scene}", stream=True)
    assert answer.status_code == 200, answer.text
    assert answer.content == b"".join(DIALECTS[kind].events(*ANSWERS[scene]))
    assert answer.headers["content-type"] == "text/event-stream"
    found = recorded(gateway, answer)
    assert found.error is None
    assert (found.input_tokens, found.output_tokens) == (PROMPT, OUTPUT)
    assert found.cost == pytest.approx(COST)


@pytest.mark.parametrize("kind", NEW)
def test_the_provider_gets_the_request_as_it_is(gateway, speaker, kind):
    odd = {"metadata": {"user_id": "u-1"}, "top_k": 7, "future_field": [1.5, None]}
    answer = ask(gateway, kind, f"{kind}-words", query="?beta=true", **odd)
    assert answer.status_code == 200
    got = speaker.requests[-1]
    assert got["line"] == f"POST {DIALECTS[kind].path}?beta=true HTTP/1.1"
    sent = json.loads(answer.request.content)
    assert got["body"] == {**sent, "model": "words"}
    key = "x-api-key" if kind == "anthropic" else "authorization"
    assert got["headers"][key].endswith("sk-provider")


def test_headers_of_anthropic(gateway, speaker):
    ask(gateway, "anthropic", "anthropic-words")
    assert speaker.requests[-1]["headers"]["anthropic-version"] == "2023-06-01"
    named = {"anthropic-version": "2099-01-01", "anthropic-beta": "a-1,b-2", "x-api-key": "mine"}
    ask(gateway, "anthropic", "anthropic-words", headers=named)
    got = speaker.requests[-1]["headers"]
    assert (got["anthropic-version"], got["anthropic-beta"]) == ("2099-01-01", "a-1,b-2")
    assert got["x-api-key"] == "sk-provider"
    assert "authorization" not in got


@pytest.mark.parametrize("kind", NEW)
@pytest.mark.parametrize("scene", ["wrong", "too-long", "missing"])
def test_the_clients_own_error_is_the_providers(gateway, kind, scene):
    answer = ask(gateway, kind, f"{kind}-{scene}")
    assert answer.status_code == (404 if scene == "missing" else 400)
    found = answer.json()["error"]
    assert found["message"]
    if kind == "anthropic":
        assert answer.json()["type"] == "error"
        assert answer.json()["request_id"] == "req_1"
    assert answer.headers["x-floorline-decision"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_overload_is_one_in_anthropics_form(gateway, stream):
    answer = ask(gateway, "anthropic", "anthropic-busy", stream=stream)
    assert answer.status_code == 529
    assert answer.json()["error"]["type"] == "overloaded_error"
    assert OVERLOADED in answer.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_another_model_serves_after_an_overload(gateway, stream):
    answer = ask(gateway, "anthropic", "floorline/recovers", stream=stream)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-floorline-model"] == "anthropic-words"


@pytest.mark.parametrize("kind", NEW)
def test_an_error_as_the_first_event_is_an_error(gateway, kind):
    answer = ask(gateway, kind, f"{kind}-early", stream=True)
    assert answer.status_code >= 500
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("kind", NEW)
def test_an_error_within_a_stream_is_passed_on(gateway, kind):
    answer = ask(gateway, kind, f"{kind}-fails", stream=True)
    assert answer.content.endswith(DIALECTS[kind].error_event("overloaded_error", OVERLOADED))
    assert recorded(gateway, answer).error.endswith("the provider's stream ended in an error")


@pytest.mark.parametrize("kind", NEW)
def test_a_stream_that_breaks_off_ends_in_an_error_of_the_dialect(gateway, kind):
    answer = ask(gateway, kind, f"{kind}-breaks", stream=True)
    last = answer.content.strip().split(b"\n\n")[-1]
    name, _, data = last.partition(b"\n")
    assert name == b"event: error"
    error = json.loads(data.removeprefix(b"data: "))
    assert error["type"] == "error"
    told = error["error"]["message"] if kind == "anthropic" else error["message"]
    assert "before the answer was complete" in told or "before it was complete" in told
    assert recorded(gateway, answer).error


@pytest.mark.parametrize("kind", NEW)
def test_a_whole_answer_to_a_streamed_request_becomes_a_stream(gateway, kind):
    answer = ask(gateway, kind, f"{kind}-unstreamed", stream=True)
    assert answer.headers["content-type"] == "text/event-stream"
    assert b"get_weather" in answer.content
    ends = {"anthropic": b"event: message_stop", "responses": b"event: response.completed"}
    assert ends[kind] in answer.content


@pytest.mark.parametrize("kind", NEW)
@pytest.mark.parametrize("stream", [False, True])
def test_feedback_by_the_id_that_the_client_saw(gateway, kind, stream):
    answer = ask(
        gateway, kind, f"floorline/{'messages' if kind == 'anthropic' else kind}", stream=stream
    )
    assert answer.status_code == 200, answer.text
    id = answer.headers["x-floorline-decision"]
    recorded(gateway, answer)
    sent = gateway.http.post("/v1/feedback", json={"decision": id, "satisfied": True})
    assert sent.status_code == 200, sent.text
    seen = "msg_1" if kind == "anthropic" else "resp_1"
    found = gateway.http.post("/v1/feedback", json={"id": seen, "satisfied": True})
    # Several answers of the provider have the same id, so that only the error can tell.
    assert found.status_code in (200, 409)
    assert id in found.text


@pytest.mark.parametrize("name", ["claude-sonnet-4-5", "claude-opus-4-1-20250805"])
def test_an_alias_stands_for_an_sla(gateway, name):
    answer = ask(gateway, "anthropic", name)
    assert answer.headers["x-floorline-model"] == "anthropic-words"
    assert "x-floorline-expected-quality" in answer.headers


def test_an_alias_stands_for_a_model(gateway):
    answer = ask(gateway, "responses", "gpt-5.2-codex", previous_response_id="resp_0")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-floorline-model"] == "responses-words"


def test_aliases_are_models_of_the_list(gateway):
    listed = [one["id"] for one in gateway.http.get("/v1/models").json()["data"]]
    assert listed[-1] == "best"
    assert not [name for name in listed if "*" in name]
    for name in ("best", "claude-opus-5", "gpt-5-codex"):
        assert gateway.http.get(f"/v1/models/{name}").json()["id"] == name
    assert gateway.http.get("/v1/models/gemini-3").status_code == 404


def test_a_name_without_an_alias_is_not_found(gateway):
    answer = ask(gateway, "anthropic", "gemini-3")
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("previous_response_id", "resp_1"),
        ("conversation", "conv_1"),
        ("background", True),
    ],
)
@pytest.mark.parametrize("model", ["floorline/responses", "openai-words"])
def test_what_needs_a_providers_state_is_refused_unless_the_model_is_named(
    gateway, field, value, model
):
    refused = ask(gateway, "responses", model, **{field: value})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == field
    assert ask(gateway, "responses", "responses-words", **{field: value}).status_code == 200


def test_tokens_are_counted_by_the_provider_of_a_named_model(gateway, speaker):
    body = {"model": "anthropic-words", "messages": [{"role": "user", "content": "Hi"}]}
    counted = gateway.http.post("/v1/messages/count_tokens", json=body, params={"beta": "true"})
    assert counted.json() == {"input_tokens": 1234}
    assert speaker.requests[-1]["line"] == "POST /v1/messages/count_tokens?beta=true HTTP/1.1"
    assert speaker.requests[-1]["body"] == {**body, "model": "words"}


def test_tokens_are_counted_without_the_thinking_of_other_providers(gateway, speaker):
    thinking = {"type": "thinking", "thinking": "Hm", "signature": "floorline-unsigned"}
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [thinking, {"type": "text", "text": "Hello"}]},
        {"role": "user", "content": "Why?"},
    ]
    body = {"model": "anthropic-words", "messages": turns}
    assert gateway.http.post("/v1/messages/count_tokens", json=body).status_code == 200
    sent = speaker.requests[-1]["body"]["messages"][1]["content"]
    assert sent == [{"type": "text", "text": "Hello"}]


@pytest.mark.parametrize("model", ["floorline/messages", "claude-haiku-4-5", "openai-words"])
def test_tokens_of_other_models_are_estimated_without_a_decision(gateway, model):
    before = gateway.call(lambda: len(gateway.gateway.store))
    body = {"model": model, "messages": [{"role": "user", "content": "x" * 400}]}
    counted = gateway.http.post("/v1/messages/count_tokens", json=body)
    assert counted.json() == {"input_tokens": 100}
    assert gateway.call(lambda: len(gateway.gateway.store)) == before


def test_models_in_anthropics_form(gateway):
    listed = gateway.http.get("/v1/models", headers={"anthropic-version": "2023-06-01"}).json()
    assert listed["has_more"] is False
    assert listed["data"][0]["type"] == "model"
    assert listed["data"][0]["id"] == listed["first_id"] == "floorline/auto"
    one = gateway.http.get("/v1/models/anthropic-words", headers={"anthropic-version": "x"})
    assert one.json()["display_name"] == "anthropic-words"
    assert gateway.http.get("/v1/models").json()["object"] == "list"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_base_url_answers(gateway, method):
    assert gateway.http.request(method, "/").status_code == 200


@pytest.mark.parametrize("kind", KINDS)
def test_the_errors_of_the_gateway_are_in_the_dialect(gateway, kind):
    for answer in (
        gateway.http.post(DIALECTS[kind].path, content=b"{", headers=JSON),
        gateway.http.post(DIALECTS[kind].path, content=b"{}", headers={"content-type": "text/x"}),
        gateway.http.get(DIALECTS[kind].path),
    ):
        assert answer.status_code in (400, 405, 415)
        body = answer.json()
        assert body["error"]["message"]
        assert (body.get("type") == "error") == (kind == "anthropic")


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_another_dialect_serves_after_an_overload(gateway, kind, stream):
    answer = ask(gateway, kind, "floorline/mixed", stream=stream, metadata={"user_id": "u"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-floorline-model"] == "responses-words"
    assert "Grüße" in answer.text or "Gr\\u00fc" in answer.text


def test_what_a_translation_leaves_out_is_named(gateway):
    answer = ask(gateway, "anthropic", "openai-words", top_k=7, service_tier="auto", odd_field=1)
    assert answer.status_code == 200, answer.text
    lost = answer.headers["x-floorline-losses"].split(",")
    assert {"top_k", "odd_field"} <= set(lost)


def test_a_model_that_needs_no_translation_serves_what_cannot_be_translated(gateway):
    asked = {"input": [{"type": "item_reference", "id": "msg_of_the_provider"}]}
    answer = ask(gateway, "responses", "floorline/hosted", **asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-floorline-model"] == "responses-words"
    refused = ask(gateway, "responses", "openai-words", **asked)
    assert refused.status_code == 400
    assert (
        "item_reference" in refused.json()["error"]["message"] or refused.json()["error"]["param"]
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", KINDS)
def test_own_ids(own_ids, client, kind, stream):
    answer = ask(own_ids, client, f"{kind}-call", stream=stream)
    assert answer.status_code == 200, answer.text
    id = answer.headers["x-floorline-decision"]
    assert id in answer.text
    for theirs in ("chatcmpl-1", '"msg_1"', "resp_1"):
        assert theirs not in answer.text
    given = own_ids.http.post("/v1/feedback", json={"id": id, "satisfied": True})
    assert given.status_code in (200, 400), given.text


def test_ids_of_providers_are_of_no_use_with_own_ids(own_ids):
    refused = ask(own_ids, "responses", "responses-words", previous_response_id="resp_1")
    assert refused.status_code == 400
    assert "completion_ids is own" in refused.json()["error"]["message"]


def test_an_answer_that_runs_in_the_background(gateway):
    answer = ask(gateway, "responses", "responses-queued", background=True)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "queued"


@pytest.fixture(scope="module")
def own_ids(speaker, tmp_path_factory):
    base = speaker.base_url.removesuffix("/v1")
    slas = [{"name": "gold", "floor": 0.1}]
    text = write_settings(base, models=models(base), slas=slas, completion_ids="own")
    started = Live(text, tmp_path_factory.mktemp("own"))
    yield started
    started.stop()


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_key_in_any_header(speaker, start_administered, kind, header):
    base = speaker.base_url.removesuffix("/v1")
    gateway = start_administered(
        models=models(base, scenes=["words"]), slas=[{"name": "gold", "floor": 0.1}]
    )
    secret = gateway.http.headers.pop("authorization").removeprefix("Bearer ")
    refused = ask(gateway, kind, f"{kind}-words", headers={header: "sk-ant-other"})
    assert refused.status_code == 401
    assert "error" in refused.json()
    value = f"Bearer {secret}" if header == "authorization" else secret
    both = {"authorization": "Bearer sk-ant-other"} if header != "authorization" else {}
    assert ask(gateway, kind, f"{kind}-words", headers={**both, header: value}).status_code == 200


def test_azure(speaker, start):
    base = speaker.base_url.removesuffix("/v1")
    (model,) = models(base, ["azure"], ["words"])
    model["endpoint"] = f"{base}?api-version=2024-10-21"
    gateway = start(write_settings(base, models=[model], slas=[{"name": "gold", "floor": 0.1}]))
    answer = ask(gateway, "openai", "floorline/gold", query="?api-version=2020-01-01")
    got = speaker.requests[-1]
    path = "/openai/deployments/words/chat/completions?api-version=2024-10-21"
    assert got["line"] == f"POST {path} HTTP/1.1"
    assert got["headers"]["api-key"] == "sk-provider"
    assert "authorization" not in got["headers"]
    assert answer.status_code == 200, answer.text
    whole = ask(gateway, "anthropic", "floorline/gold", stream=True)
    assert "event: message_stop" in whole.text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("scene", ["call", "unstreamed"])
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_references_to_items_of_translated_answers(gateway, speaker, kind, scene, stream):
    first = ask(gateway, "responses", f"{kind}-{scene}", stream=stream)
    assert first.status_code == 200, first.text
    if stream:
        last = first.content.strip().split(b"\n\n")[-1].partition(b"data: ")[2]
        answer = json.loads(last)["response"]
    else:
        answer = first.json()
    items = [{"type": "item_reference", "id": item["id"]} for item in answer["output"]]
    (call,) = [item for item in answer["output"] if item["type"] == "function_call"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "It rains."}
    asked = [{"role": "user", "content": "Why?"}, *items, result]
    second = ask(gateway, "responses", f"{kind}-words", input=asked)
    assert second.status_code == 200, second.text
    sent = json.dumps(speaker.requests[-1]["body"])
    assert "get_weather" in sent
    assert "It rains." in sent


def test_items_that_are_referred_to_count_in_the_size_of_the_request(gateway):
    memory = gateway.gateway.chat._items
    owner = repr(Caller().owner)
    text = {"type": "output_text", "text": "word " * 4_000}
    kept = {"type": "message", "role": "assistant", "id": "msg_long", "content": [text]}
    gateway.call(lambda: memory.keep(owner, [kept]))
    asked = [{"type": "item_reference", "id": "msg_long"}, {"role": "user", "content": "Why?"}]
    answer = ask(gateway, "responses", "openai-words", input=asked)
    assert answer.status_code == 200, answer.text
    assert decided(gateway, answer).input_tokens > 4_000
    refused = ask(gateway, "responses", "openai-words", input=asked[:1] * 9_000)
    assert refused.status_code == 413
    assert refused.json()["error"]["param"] == "input"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", KINDS)
def test_an_error_after_a_comment_is_an_event_of_the_dialect(impatient, client, kind):
    answer = ask(impatient, client, f"{kind}-late", stream=True)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    comment, *_, last = answer.content.strip().split(b"\n\n")
    assert comment == b": keepalive"
    name, _, data = last.rpartition(b"data: ")
    assert name == (b"" if client == "openai" else b"event: error\n")
    error = json.loads(data)
    told = error if client == "responses" else error["error"]
    assert OVERLOADED in told["message"]
    if client == "anthropic":
        assert told["type"] == "overloaded_error"


@pytest.fixture(scope="module")
def impatient(speaker, tmp_path_factory):
    base = speaker.base_url.removesuffix("/v1")
    text = write_settings(
        base,
        models=models(base, scenes=["late"]),
        slas=[{"name": "gold", "floor": 0.1}],
        server={"stream_keepalive": "0.2s"},
    )
    started = Live(text, tmp_path_factory.mktemp("impatient"))
    yield started
    started.stop()
