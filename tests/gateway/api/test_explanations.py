"""Explanations over HTTP: who may read them, how answers carry them, and previews."""

import json

import anthropic
import jsonschema
import msgspec
import openai
import pytest
from tests.support.dialect_answers import DIALECTS
from tests.support.live_gateway import write_settings

from floorline.events import decode_event, encode_event
from floorline.gateway.explanations import Preview
from floorline.router import Router
from floorline.state.explanation import Explanation

CHAT = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "responses": "/v1/responses",
}


def asked(dialect, **fields):
    body = {"model": "floorline/gold", **fields}
    if dialect == "responses":
        return {**body, "input": "Why?"}
    more = {"max_tokens": 50} if dialect == "anthropic" else {}
    return {**body, **more, "messages": CHAT["messages"]}


def read(gateway, id, **headers):
    return gateway.http.get(f"/v1/decisions/{id}", headers=headers)


def key_of(gateway, name, scopes, **fields):
    """Headers of a new key."""
    keys = gateway.gateway.store.keys
    secret = keys.create(name, scopes, **fields)[1]
    gateway.call(gateway.gateway.auth.set_keys, keys.list())
    return {"authorization": f"Bearer {secret}"}


@pytest.fixture
def keyed(start, provider):
    return start(write_settings(provider, auth="keys"))


def check_document(gateway, path, method, answer):
    whole = gateway.http.get("/openapi.json").json()
    described = whole["paths"][path][method]["responses"][str(answer.status_code)]
    schema = described["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator({**schema, "components": whole["components"]}).validate(
        answer.json()
    )


def test_a_decision_is_explained_with_what_came_of_it(gateway):
    answer = gateway.chat()
    decision = answer.headers["x-floorline-decision"]
    gateway.http.post("/v1/feedback", json={"id": decision, "satisfied": False})
    explained = read(gateway, decision)
    found = explained.json()
    assert found["object"] == "floorline.explanation"
    assert (found["id"], found["model"]) == (decision, answer.headers["x-floorline-model"])
    assert [step["kind"] for step in found["timeline"]] == ["decision", "outcome", "feedback"]
    assert found["score"] == 0.0
    assert found["cost"] == pytest.approx(float(answer.headers["x-floorline-cost"]))
    assert {one["model"] for one in found["candidates"]} == set(gateway.gateway.router.zoo.names)
    assert sum(one["reason"] == "served" for one in found["candidates"]) == 1
    # A completion names its decision, too.
    assert read(gateway, answer.json()["id"]).json() == found
    check_document(gateway, "/v1/decisions/{id}", "get", explained)


def test_the_gateway_explains_as_a_replay_of_its_log_does(gateway):
    for _ in range(5):
        gateway.chat()
    decision = gateway.chat().headers["x-floorline-decision"]
    over_http = read(gateway, decision).json()
    served = gateway.gateway
    events = [decode_event(encode_event(event)) for event in served.store.read()]
    router = served.router
    replayed = Router(
        router.zoo, slas=list(router.slas.values()), encoder=router.encoder, seed=router.seed
    )
    for event in events:
        replayed.log.append(event)
    replayed.apply(events)
    assert msgspec.to_builtins(replayed.explain(decision)) == over_http


def test_reading_about_a_decision_leaves_the_log_as_it_is(gateway):
    decision = gateway.chat().headers["x-floorline-decision"]
    gateway.call(gateway.gateway.store.flush)
    before = len(gateway.gateway.store)
    assert read(gateway, decision).status_code == 200
    assert gateway.http.post("/v1/preview", json=CHAT).status_code == 200
    assert len(gateway.gateway.store) == before


def test_an_unknown_decision_is_a_404_that_says_what_to_send(gateway):
    answer = read(gateway, "nothing")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "decision_not_found"


@pytest.mark.parametrize(
    "id", ["%00", "x" * 8_000, "%ff", "a/b", "..%2f..%2fetc", "%F0%9F%8E%89", "%20", "%0d%0aX: 1"]
)
def test_odd_ids_are_unknown(gateway, id):
    answer = read(gateway, id)
    assert answer.status_code == 404, answer.text
    assert len(answer.text) < 1_000


def test_tenants_and_keys_see_their_own_decisions_only(keyed):
    acme = key_of(keyed, "acme", ["chat"], tenant="acme")
    acme_view = key_of(keyed, "acme-view", ["view"], tenant="acme")
    globex = key_of(keyed, "globex", ["chat", "feedback", "view"], tenant="globex")
    alone = key_of(keyed, "alone", ["chat"])
    other = key_of(keyed, "other", ["chat"])
    viewer = key_of(keyed, "viewer", ["view"])
    admin = key_of(keyed, "admin", ["admin"])
    metrics = key_of(keyed, "metrics", ["metrics"])
    ids = {}
    for name, key in {"acme": acme, "alone": alone}.items():
        answer = keyed.http.post("/v1/chat/completions", json=CHAT, headers=key)
        ids[name] = answer.headers["x-floorline-decision"], answer.json()["id"]
    sees = {
        name: {
            owner for owner, both in ids.items() if read(keyed, both[0], **key).status_code == 200
        }
        for name, key in {
            "acme": acme,
            "acme_view": acme_view,
            "globex": globex,
            "alone": alone,
            "other": other,
            "viewer": viewer,
            "admin": admin,
        }.items()
    }
    assert sees == {
        "acme": {"acme"},
        "acme_view": {"acme"},
        "globex": set(),
        "alone": {"alone"},
        "other": set(),
        "viewer": {"acme", "alone"},
        "admin": {"acme", "alone"},
    }
    # Nor by the ids of completions, and the answer is that to an unknown id.
    hidden = read(keyed, ids["acme"][0], **globex)
    unknown = read(keyed, "d" + "0" * 16 + "-1", **globex)
    assert hidden.status_code == unknown.status_code == 404
    assert hidden.json()["error"]["code"] == unknown.json()["error"]["code"]
    assert read(keyed, ids["acme"][1], **globex).status_code == 404
    assert read(keyed, ids["acme"][0], **metrics).status_code == 403
    assert read(keyed, ids["acme"][0]).status_code == 401


def test_a_key_sees_no_models_that_it_may_not_name(keyed):
    names = keyed.gateway.router.zoo.names
    some = key_of(keyed, "some", ["chat"], models=[names[0]])
    none = key_of(keyed, "none", ["chat"], slas=["gold"])
    for key, known in ((some, {names[0]}), (none, set())):
        answer = keyed.http.post("/v1/chat/completions", json=CHAT, headers=key)
        served = answer.headers["x-floorline-model"]
        text = read(keyed, answer.headers["x-floorline-decision"], **key).text
        found = json.loads(text)
        assert {one["model"] for one in found["candidates"]} == known | {served}
        for hidden in set(names) - known - {served}:
            assert hidden not in text
        previewed = keyed.http.post("/v1/preview", json=CHAT, headers=key)
        serving = {one["model"] for one in previewed.json()["data"]}
        for hidden in set(names) - known - serving:
            assert hidden not in previewed.text


def test_a_late_reader_finds_what_the_router_has_forgotten(start, provider):
    gateway = start(write_settings(provider, memory=2, feedback={"max_age": "1s"}))
    first = gateway.chat().headers["x-floorline-decision"]
    for _ in range(4):
        gateway.chat()
    assert gateway.gateway.router.find(first) is None
    assert [step["kind"] for step in read(gateway, first).json()["timeline"]] == [
        "decision",
        "outcome",
    ]
    assert gateway.gateway.router.find(first) is None


# The header.


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_whole_answer_carries_its_explanation(gateway, dialect):
    headers = {"x-floorline-explain": "1"}
    plain = gateway.http.post(PATHS[dialect], json=asked(dialect)).json()
    answer = gateway.http.post(PATHS[dialect], json=asked(dialect), headers=headers)
    body = answer.json()
    found = body.pop("floorline")
    assert body.keys() == plain.keys()
    decision = answer.headers["x-floorline-decision"]
    assert found["id"] == decision
    assert msgspec.convert(found, Explanation).model == answer.headers["x-floorline-model"]
    # The call is not over when the answer is written.
    assert [step["kind"] for step in found["timeline"]] == ["decision"]
    where = answer.headers["x-floorline-explanation"]
    assert where == f"/v1/decisions/{decision}"
    assert gateway.http.get(where).json()["candidates"] == found["candidates"]
    assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_names_where_its_explanation_is(gateway, dialect):
    headers = {"x-floorline-explain": "1"}
    answer = gateway.http.post(PATHS[dialect], json=asked(dialect, stream=True), headers=headers)
    where = answer.headers["x-floorline-explanation"]
    assert where == f"/v1/decisions/{answer.headers['x-floorline-decision']}"
    assert "floorline.explanation" not in answer.text
    assert gateway.http.get(where).json()["timeline"][-1]["kind"] == "outcome"


@pytest.mark.parametrize("value", ["0", "false", ""])
def test_answers_carry_nothing_that_is_not_asked_for(gateway, value):
    answer = gateway.chat(headers={"x-floorline-explain": value})
    assert "floorline" not in answer.json()
    assert "x-floorline-explanation" not in answer.headers


def test_a_malformed_header_is_refused(gateway):
    answer = gateway.chat(headers={"x-floorline-explain": "perhaps"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == (
        "header X-Floorline-Explain is 'perhaps': give 1, or leave it out"
    )


def test_the_address_is_below_the_root_path(start, provider):
    gateway = start(write_settings(provider, server={"root_path": "/llm"}))
    answer = gateway.http.post(
        "/llm/v1/chat/completions", json=CHAT, headers={"x-floorline-explain": "1"}
    )
    where = answer.headers["x-floorline-explanation"]
    assert where.startswith("/llm/v1/decisions/")
    assert gateway.http.get(where).json()["id"] == answer.headers["x-floorline-decision"]


# Previews.


def preview(gateway, floors=None, **fields):
    options = {} if floors is None else {"floorline": {"floors": floors}}
    return gateway.http.post("/v1/preview", json={**CHAT, **options, **fields})


def test_a_preview_says_who_would_answer_at_each_floor(gateway):
    answer = preview(gateway, [0.0, 0.5, 1.0])
    found = answer.json()
    assert [one["floor"] for one in found["data"]] == [0.0, 0.5, 1.0]
    for one in found["data"]:
        made = msgspec.convert(one, Preview)
        (served,) = [c for c in made.candidates if c.served]
        assert (served.model, served.quality) == (made.model, made.expected_quality)
        assert made.summary.startswith(f"{made.model} serves at floor {made.floor:g}")
    costs = [one["expected_cost"] for one in found["data"]]
    assert costs[0] <= costs[-1]
    check_document(gateway, "/v1/preview", "post", answer)


def test_a_preview_is_what_the_next_request_gets(gateway):
    (before,) = preview(gateway).json()["data"]
    routed = gateway.http.post("/v1/route", json=CHAT).json()
    assert (before["model"], before["floor"]) == (routed["model"], routed["floor"])
    assert before["expected_cost"] == routed["expected_cost"]


def test_a_preview_takes_the_options_of_a_request(gateway):
    small = gateway.gateway.router.zoo.names[0]
    (found,) = preview(gateway, floorline={"floor": 0.3, "exclude": [small]}).json()["data"]
    assert found["floor"] == 0.3
    (left_out,) = [one for one in found["candidates"] if one["model"] == small]
    assert (left_out["reason"], left_out["explanation"]) == (
        "excluded",
        "excluded by the request",
    )


def test_a_tenant_previews_its_own_sla_without_creating_it(start, provider):
    text = write_settings(
        provider, auth="keys", slas=[{"name": "gold", "floor": 0.5, "per_tenant": True}]
    )
    gateway = start(text)
    key = key_of(gateway, "acme", ["chat"], tenant="acme")
    answer = gateway.http.post("/v1/preview", json=CHAT, headers=key)
    assert answer.json()["data"][0]["sla"] == "gold"
    assert list(gateway.gateway.router.slas) == ["gold"]
    gateway.http.post("/v1/chat/completions", json=CHAT, headers=key)
    answer = gateway.http.post("/v1/preview", json=CHAT, headers=key)
    assert answer.json()["data"][0]["sla"] == "gold@acme"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "sim-nano"}, "name an SLA as floorline/NAME, or floorline/auto"),
        ({"floorline": {"floors": [1.5]}}, "floor is 1.5"),
        ({"floorline": {"floors": [0.5] * 102}}, "floorline is malformed"),
        ({"floorline": {"floors": ["high"]}}, "floorline is malformed"),
        ({"model": "floorline/glod"}, "did you mean floorline/gold?"),
    ],
)
def test_malformed_previews_are_refused(gateway, fields, message):
    answer = preview(gateway, **fields)
    assert answer.status_code in (400, 404)
    assert message in answer.json()["error"]["message"]


def test_floors_belong_to_previews_only(gateway):
    for path in ("/v1/chat/completions", "/v1/route"):
        answer = gateway.http.post(path, json={**CHAT, "floorline": {"floors": [0.5]}})
        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == (
            "floorline.floors is for /v1/preview: leave it out, or give floorline.floor"
        )


# Clients.


def test_the_clients_of_openai_and_anthropic_keep_the_field(gateway):
    headers, turns = {"X-Floorline-Explain": "1"}, CHAT["messages"]
    own = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0)
    other = anthropic.Anthropic(base_url=gateway.url, api_key="none", max_retries=0)
    answers = [
        own.chat.completions.create(model="floorline/gold", messages=turns, extra_headers=headers),
        own.responses.create(model="floorline/gold", input="Why?", extra_headers=headers),
        other.messages.create(
            model="floorline/gold", messages=turns, max_tokens=50, extra_headers=headers
        ),
    ]
    for answer in answers:
        found = msgspec.convert(answer.model_extra["floorline"], Explanation)
        assert gateway.gateway.router.find(found.id).decision.model == found.model
    assert answers[0].choices[0].message.content
    assert answers[1].output_text
    assert answers[2].content[0].text
