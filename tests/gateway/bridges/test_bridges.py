"""Bridges over real HTTP: signatures, and the payloads that other programs document."""

import hashlib
import json
import time

import pytest
from tests.support.live_gateway import write_settings

from floorline.events import Feedback
from floorline.gateway.bridges.signatures import SIGNATURE_HEADER, digest

SECRET = "0123456789abcdef0123456789abcdef"
BRIDGES = [
    {"name": "app", "secret": SECRET, "scale": [1, 5]},
    {
        "name": "langfuse",
        "kind": "langfuse",
        "secret": SECRET,
        "labels": {"good": 1, "fair": 0.5},
        "scores": ["thumb", "grade"],
    },
    {"name": "webui", "kind": "open_webui", "secret": SECRET, "scale": [1, 10]},
    {"name": "chat", "kind": "librechat", "secret": SECRET},
    {"name": "acme", "secret": SECRET, "tenant": "acme"},
]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def bridged(start, provider):
    return start(write_settings(provider, bridges=BRIDGES))


def signed(body, at=None, secret=SECRET):
    at = int(time.time()) if at is None else at
    return {
        SIGNATURE_HEADER: f"t={at},v1={digest(secret, body, at)}",
        "content-type": "application/json",
    }


def send(gateway, name, payload, **given):
    body = json.dumps(payload).encode()
    return gateway.http.post(f"/v1/bridges/{name}", content=body, headers=signed(body, **given))


def results(gateway, name, payload, **given):
    answer = send(gateway, name, payload, **given)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def decision_of(answer):
    assert answer.status_code == 200, answer.text
    return answer.headers["x-floorline-decision"]


def labels(gateway):
    gateway.call(gateway.gateway.store.flush)
    events = [event for event in gateway.gateway.store.read() if isinstance(event, Feedback)]
    return [(event.decision, event.score, event.source) for event in events]


def test_a_webhook_names_an_answer_by_any_of_its_ids(bridged):
    answer = bridged.chat(headers={"x-floorline-message": "message-7"})
    other = bridged.chat()
    items = [
        {"id": "message-7", "rating": 2},
        {"id": other.json()["id"], "score": 0.75, "source": "rule"},
        {"decision": decision_of(other), "satisfied": False},
    ]
    got = results(bridged, "app", {"feedback": items})
    assert [item["changed"] for item in got] == [True] * 3
    first, second = decision_of(answer), decision_of(other)
    assert [item["decision"] for item in got] == [first, second, second]
    assert labels(bridged) == [
        (first, 0.25, "user"),
        (second, 0.75, "rule"),
        (second, 0.0, "user"),
    ]


def test_a_copied_request_changes_nothing_and_a_new_one_does(bridged):
    decision = decision_of(bridged.chat())
    at = int(time.time())
    good, bad = ({"decision": decision, "satisfied": value} for value in (True, False))
    assert results(bridged, "app", good, at=at)[0]["changed"] is True
    assert results(bridged, "app", bad, at=at)[0]["changed"] is True
    assert results(bridged, "app", good, at=at)[0]["changed"] is False
    status = bridged.http.get("/v1/slas/gold").json()
    assert (status["labels"], status["satisfaction"]) == (1, 0.0)
    assert results(bridged, "app", good, at=at + 1)[0]["changed"] is True


BAD_HEADERS = {
    "no header": {},
    "no time": {SIGNATURE_HEADER: f"v1={'0' * 64}"},
    "two times": {SIGNATURE_HEADER: f"t=1,t=2,v1={'0' * 64}"},
    "short digest": {SIGNATURE_HEADER: "t=1,v1=00"},
    "another digit": {SIGNATURE_HEADER: b"t=\xb2,v1=" + b"0" * 64},
}


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_a_signature_that_is_none_is_refused(case, bridged):
    headers = {"content-type": "application/json", **BAD_HEADERS[case]}
    answer = bridged.http.post("/v1/bridges/app", content=b"{}", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_signature"
    assert "X-Floorline-Signature: t=SECONDS,v1=HEX" in answer.json()["error"]["message"]


@pytest.mark.parametrize("given", [{"at": 1_000}, {"at": 99_999_999_999}, {"secret": "x" * 32}])
def test_a_signature_of_another_time_or_secret_is_refused(given, bridged):
    decision = decision_of(bridged.chat())
    answer = send(bridged, "app", {"decision": decision, "satisfied": True}, **given)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_signature"
    assert SECRET not in answer.text
    assert labels(bridged) == []


def test_a_signature_is_of_the_very_bytes(bridged):
    body = b'{"decision": "d", "satisfied": true}'
    changed = body.replace(b"true", b"false")
    answer = bridged.http.post("/v1/bridges/app", content=changed, headers=signed(body))
    assert answer.status_code == 401


def test_either_of_two_digests_does_while_a_secret_is_replaced(bridged):
    body = json.dumps({"decision": decision_of(bridged.chat()), "satisfied": True}).encode()
    headers = signed(body)
    at, right = headers[SIGNATURE_HEADER].split(",")
    headers[SIGNATURE_HEADER] = f"{at},v1={'0' * 64},{right}"
    assert bridged.http.post("/v1/bridges/app", content=body, headers=headers).is_success


def test_unknown_bridges_and_bodies_of_another_kind_are_refused(bridged):
    assert send(bridged, "other", {}).json()["error"]["code"] == "bridge_not_found"
    assert send(bridged, "app", 7).status_code == 400
    assert send(bridged, "app", [{}] * 1_001).status_code == 413
    large = send(bridged, "app", ["x" * 2**21])
    assert large.status_code == 413
    assert "the size of feedback" in large.json()["error"]["message"]


def test_each_item_has_its_own_error(bridged):
    decision = decision_of(bridged.chat())
    got = results(
        bridged,
        "app",
        [
            {"decision": decision, "rating": 6},
            7,
            {"decision": decision, "rating": 5, "score": 1},
            {"id": "unheard-of", "satisfied": True},
            {"decision": decision, "rating": 5},
        ],
    )
    assert "from 1 to 5" in got[0]["error"]["message"]
    assert got[1]["error"]["code"] == "invalid_body"
    assert "one of 'satisfied', 'score' and 'rating'" in got[2]["error"]["message"]
    assert got[3]["error"]["code"] == "decision_not_found"
    assert got[4]["changed"] is True
    assert labels(bridged) == [(decision, 1.0, "user")]


def score(**changed):
    """A score as Langfuse documents it (ScoreV1 of its OpenAPI document)."""
    return {
        "id": "score-1",
        "traceId": TRACE,
        "observationId": None,
        "name": "thumb",
        "dataType": "BOOLEAN",
        "value": 1,
        "stringValue": "True",
        "source": "API",
        "comment": None,
        "authorUserId": None,
        "configId": None,
        "queueId": None,
        "environment": "default",
        "metadata": {},
        "timestamp": "2026-11-01T10:00:00.000Z",
        "createdAt": "2026-11-01T10:00:00.000Z",
        "updatedAt": "2026-11-01T10:00:00.000Z",
        **changed,
    }


def test_scores_of_langfuse_by_trace_span_and_metadata(bridged):
    traced = decision_of(bridged.chat(headers={"traceparent": f"00-{TRACE}-{SPAN}-01"}))
    plain = decision_of(bridged.chat())
    page = {
        "data": [
            score(),
            score(id="2", observationId=SPAN, name="grade", dataType="NUMERIC", value=0.5),
            score(id="3", dataType="CATEGORICAL", value=7, stringValue="fair", source="EVAL"),
            score(id="4", traceId=None, metadata={"floorline_decision": plain}, value=0),
            score(id="5", dataType="CATEGORICAL", stringValue="awful"),
            score(id="6", name="toxicity"),
            score(id="7", dataType="CORRECTION", value=0, stringValue="text"),
            score(id="8", traceId=None, sessionId="s"),
            score(id="9", name="grade", dataType="NUMERIC", value=4),
        ],
        "meta": {"page": 1, "limit": 50, "totalItems": 9, "totalPages": 1},
    }
    got = results(bridged, "langfuse", page)
    assert [item.get("decision") for item in got[:4]] == [traced] * 3 + [plain]
    assert "labels" in got[4]["error"]["message"]
    assert [item["object"] for item in got[5:8]] == ["floorline.skipped"] * 3
    assert "scale" in got[8]["error"]["message"]
    assert labels(bridged) == [
        (traced, 1.0, "user"),
        (traced, 0.5, "user"),
        (traced, 0.5, "judge"),
        (plain, 0.0, "user"),
    ]
    # The next poll brings the same page, and one score that was changed.
    page["data"] = [score(), score(value=0, updatedAt="2026-11-01T11:00:00.000Z")]
    assert [item["changed"] for item in results(bridged, "langfuse", page)] == [False, True]


def score_v3(id, **changed):
    """A score as the types of the package langfuse 5.0.4 have it (ScoreV3)."""
    fields = ("dataType", "name", "source", "timestamp", "createdAt", "updatedAt", "environment")
    taken = {name: value for name, value in score().items() if name in fields}
    return {"id": id, "projectId": "p", "value": True, **taken, **changed}


def test_scores_of_langfuses_third_version(bridged):
    parent = f"00-{TRACE}-{SPAN}-01"
    decision = decision_of(bridged.chat(headers={"traceparent": parent}))
    observation = {"kind": "observation", "id": SPAN, "traceId": TRACE}
    data = [
        score_v3("1", subject={"kind": "trace", "id": TRACE}),
        score_v3("2", subject=observation, value=False),
        score_v3("3", subject=observation, dataType="CATEGORICAL", value="fair"),
        score_v3("4", metadata={"floorline_decision": decision}),
        score_v3("5", subject={"kind": "session", "id": TRACE}),
        score_v3("6"),
    ]
    got = results(bridged, "langfuse", {"data": data, "meta": {"limit": 50}})
    assert [item.get("decision") for item in got] == [decision] * 4 + [None] * 2
    assert [item["object"] for item in got[4:]] == ["floorline.skipped"] * 2
    assert [label[1] for label in labels(bridged)] == [1.0, 0.0, 0.5, 1.0]


def test_thumbs_that_librechat_sends_to_langfuse(bridged):
    message = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    decision = decision_of(bridged.chat(headers={"x-librechat-message-id": message}))
    trace = hashlib.sha256(message.encode()).hexdigest()[:32]
    (got,) = results(bridged, "langfuse", {"data": [score(traceId=trace, value=0)]})
    assert got["decision"] == decision
    assert labels(bridged) == [(decision, 0.0, "user")]


def webui(id, message, rating, **changed):
    """A feedback as Open WebUI exports it (FeedbackModel, and the form of its rating)."""
    return {
        "id": id,
        "user_id": "u-1",
        "version": 0,
        "type": "rating",
        "data": {"rating": rating, "model_id": "floorline/gold", "reason": "", "comment": ""},
        "meta": {"model_id": "floorline/gold", "message_id": message, "chat_id": "c-1"},
        "snapshot": None,
        "created_at": 1_790_000_000,
        "updated_at": 1_790_000_000,
        **changed,
    }


def test_feedback_that_open_webui_exports(bridged):
    ids = [decision_of(bridged.chat(headers={"x-openwebui-message-id": m})) for m in "ab"]
    # The title of the chat names the message, too.
    title = {"x-openwebui-message-id": "a", "x-openwebui-task": "title_generation"}
    decision_of(bridged.chat(headers=title))
    detailed = {"rating": 1, "details": {"rating": 10}}
    export = [
        webui("1", "a", 1),
        webui("2", "b", -1),
        webui("3", "b", 1, data=detailed, updated_at=1_790_000_001),
        webui("4", "b", None),
        webui("5", None, 1),
        webui("6", "unheard-of", 1),
    ]
    got = results(bridged, "webui", export)
    assert [item["decision"] for item in got[:3]] == [ids[0], ids[1], ids[1]]
    assert [item["object"] for item in got[3:5]] == ["floorline.skipped"] * 2
    assert got[5]["error"]["code"] == "decision_not_found"
    assert [label[1] for label in labels(bridged)] == [1.0, 0.0, 1.0]
    assert [item["changed"] for item in results(bridged, "webui", export)[:3]] == [False] * 3


def test_messages_that_librechat_stores(bridged):
    ids = [decision_of(bridged.chat(headers={"x-librechat-message-id": m})) for m in "ab"]
    export = [
        {
            "messageId": "a",
            "conversationId": "c",
            "feedback": {"rating": "thumbsUp", "tag": "accurate_reliable"},
            "updatedAt": {"$date": "2026-11-01T10:00:00.000Z"},
        },
        {"messageId": "b", "feedback": {"rating": "thumbsDown", "text": "wrong"}},
        {"messageId": "b", "feedback": None},
        {"messageId": "b", "feedback": {"rating": "sideways"}},
    ]
    got = results(bridged, "chat", export)
    assert [item["decision"] for item in got[:2]] == ids
    assert got[2]["object"] == "floorline.skipped"
    assert got[3]["error"]["code"] == "invalid_body"
    assert labels(bridged) == [(ids[0], 1.0, "user"), (ids[1], 0.0, "user")]


def test_a_message_of_several_requests_is_ambiguous(bridged):
    ids = [decision_of(bridged.chat(headers={"x-librechat-message-id": "a"})) for _ in range(2)]
    (got,) = results(bridged, "chat", {"messageId": "a", "feedback": {"rating": "thumbsUp"}})
    assert got["error"]["code"] == "ambiguous_id"
    assert all(id in got["error"]["message"] for id in ids)
    assert labels(bridged) == []


def test_a_bridge_judges_answers_of_its_tenant_only(start_administered):
    gateway = start_administered(bridges=BRIDGES)
    plain = decision_of(gateway.chat(headers={"x-floorline-message": "m"}))
    keys = gateway.gateway.store.keys
    secret = keys.create("acme's", ["chat"], tenant="acme")[1]
    gateway.call(gateway.gateway.auth.set_keys, keys.list())
    named = {"authorization": f"Bearer {secret}", "x-floorline-message": "m"}
    theirs = decision_of(gateway.chat(headers=named))
    items = [{"id": "m", "satisfied": True}]
    items += [{"decision": decision, "satisfied": True} for decision in (plain, theirs)]
    for name, own, other in (("app", plain, theirs), ("acme", theirs, plain)):
        got = results(gateway, name, items)
        assert got[0]["decision"] == own
        (refused,) = [item for item in got[1:] if "error" in item]
        assert other in refused["error"]["message"]
        assert refused["error"]["code"] == "decision_not_found"


def test_no_ids_are_noted_without_bridges(gateway):
    gateway.chat(headers={"x-floorline-message": "m"})
    assert gateway.call(gateway.gateway.aliases.decisions, "", ["m"]) == {"m": []}
