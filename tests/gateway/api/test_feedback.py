import pytest
from tests.support.live_gateway import InThread, http_server, wait_until, write_settings
from tests.support.overspending import GreedyProvider

from floorline.events import Feedback, Outcome, Recall


def give(gateway, **fields):
    return gateway.http.post("/v1/feedback", json=fields)


def labels(gateway):
    status = gateway.http.get("/v1/slas/gold").json()
    return status["labels"], status["satisfaction"]


def feedback_events(gateway):
    # After what the loop does at the end of the request.
    gateway.call(gateway.gateway.store.flush)
    return [e for e in gateway.gateway.store.read() if isinstance(e, Feedback)]


@pytest.mark.parametrize("named", ["completion", "decision"])
def test_feedback_by_either_name(named, gateway):
    answer = gateway.chat()
    decision = answer.headers["x-floorline-decision"]
    id = answer.json()["id"] if named == "completion" else decision
    sent = give(gateway, id=id, satisfied=True, source="judge")
    assert sent.json() == {
        "id": id,
        "decision": decision,
        "model": answer.headers["x-floorline-model"],
        "changed": True,
        "object": "floorline.feedback",
    }
    assert labels(gateway) == (1, 1.0)
    assert feedback_events(gateway)[0].source == "judge"


def test_feedback_on_a_stream_by_the_id_in_its_chunks(gateway):
    answer = gateway.chat(stream=True)
    id = answer.text.split('"id":"')[1].split('"')[0]
    assert give(gateway, id=id, score=0.25).json()["changed"] is True
    assert labels(gateway) == (1, 0.25)


def test_repeated_feedback_changes_nothing_and_the_last_score_counts(gateway):
    id = gateway.chat().json()["id"]
    assert give(gateway, id=id, satisfied=True).json()["changed"] is True
    assert give(gateway, id=id, satisfied=True).json()["changed"] is False
    assert give(gateway, id=id, satisfied=False).json()["changed"] is True
    assert labels(gateway) == (1, 0.0)
    assert [event.score for event in feedback_events(gateway)] == [1.0, 1.0, 0.0]


def test_a_message_sent_again_under_its_key_changes_nothing(gateway):
    id = gateway.chat().json()["id"]
    give(gateway, id=id, satisfied=True, idempotency="k1")
    give(gateway, id=id, satisfied=False, idempotency="k2")
    assert give(gateway, id=id, satisfied=True, idempotency="k1").json()["changed"] is False
    assert labels(gateway) == (1, 0.0)


def test_each_message_of_a_batch_succeeds_or_fails_separately(gateway):
    ids = [gateway.chat().json()["id"] for _ in range(2)]
    sent = give(
        gateway,
        feedback=[
            {"id": ids[0], "satisfied": True},
            {"id": "nobody", "satisfied": True},
            {"id": ids[1], "score": 3},
            {"id": ids[1], "score": 0.5},
        ],
    )
    first, unknown, wrong, last = sent.json()["data"]
    assert first["changed"]
    assert last["changed"]
    assert unknown["error"]["code"] == "decision_not_found"
    assert "`$.score`" in wrong["error"]["message"]
    assert labels(gateway) == (2, 0.75)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"satisfied": True}, "give either 'id' or 'decision'"),
        ({"id": "x", "decision": "d", "satisfied": True}, "give either 'id' or 'decision'"),
        ({"id": None, "satisfied": True}, "give either 'id' or 'decision'"),
        ({"id": True, "satisfied": True}, "`$.id`"),
        ({"id": ["x"], "satisfied": True}, "`$.id`"),
        ({"id": "x" * 20_000, "satisfied": True}, "`$.id`"),
        ({"id": "x", "satisfied": True, "source": "a\0b"}, "source is 'a\\x00b': give a text"),
        ({"id": "x", "satisfied": True, "idempotency": "\n"}, "idempotency is '\\n': give a text"),
        ({"id": "x"}, "give either 'satisfied' or 'score'"),
        ({"id": "x", "satisfied": True, "score": 1}, "give either 'satisfied' or 'score'"),
        ({"id": "x", "satisfied": "yes"}, "`$.satisfied`"),
        ({"id": "x", "satisfied": "no"}, "`$.satisfied`"),
        ({"id": "x", "satisfied": 0.4}, "`$.satisfied`"),
        ({"id": "x", "score": 1.5}, "`$.score`"),
        ({"id": "x", "satisfied": True, "mood": 1}, "unknown field `mood`"),
        ({"id": "", "satisfied": True}, "`$.id`"),
        ({"feedback": []}, "`$.feedback`"),
        ({"feedback": 3}, "`$.feedback`"),
    ],
)
def test_a_malformed_field_is_400_and_named(fields, problem, gateway):
    answer = give(gateway, **fields)
    assert answer.status_code == 400
    assert problem in answer.json()["error"]["message"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b'"x"'])
def test_a_body_that_is_no_object_is_400(content, gateway):
    answer = gateway.http.post(
        "/v1/feedback", content=content, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_body")


def test_an_unknown_id_is_404(gateway):
    answer = give(gateway, id="nobody", satisfied=True)
    assert answer.status_code == 404
    assert "there is no decision or completion 'nobody': send" in answer.json()["error"]["message"]


def test_feedback_on_a_decision_that_is_no_longer_remembered(start, provider):
    gateway = start(write_settings(provider, memory=3))
    old = gateway.chat()
    for n in range(6):
        gateway.chat(text=f"And {n}?")
    assert old.headers["x-floorline-decision"] not in gateway.gateway.router.remembered
    for id in (old.json()["id"], old.headers["x-floorline-decision"]):
        assert give(gateway, id=id, satisfied=True).status_code == 200
    assert labels(gateway) == (1, 1.0)
    gateway.gateway.store.flush()
    assert sum(isinstance(e, Recall) for e in gateway.gateway.store.read()) == 1
    for n in range(6):
        gateway.chat(text=f"And {n}?")
    assert give(gateway, id=old.json()["id"], satisfied=True).json()["changed"] is False
    assert give(gateway, id=old.json()["id"], satisfied=False).json()["changed"] is True
    assert labels(gateway) == (1, 0.0)


def test_feedback_that_comes_too_late(start, provider):
    gateway = start(write_settings(provider, feedback={"max_age": "1ms"}))
    answer = give(gateway, id=gateway.chat().json()["id"], satisfied=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "feedback_too_late")


def test_routing_alone_with_outcome_and_feedback(gateway):
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
    routed = gateway.http.post("/v1/route", json=body).json()
    assert routed["model"] in gateway.gateway.router.zoo
    assert (routed["sla"], routed["floor"], routed["object"]) == (
        "gold",
        0.85,
        "floorline.decision",
    )
    took = {"id": routed["id"], "cost": 0.25, "output_tokens": 9, "completion": "mine-1"}
    assert gateway.http.post("/v1/outcomes", json=took).json()["changed"] is True
    assert gateway.http.post("/v1/outcomes", json=took).json()["changed"] is False
    assert gateway.http.get("/v1/slas/gold").json()["spent"] == 0.25
    assert give(gateway, id="mine-1", satisfied=False).json()["decision"] == routed["id"]
    named = gateway.http.post("/v1/route", json={**body, "model": "sim-nano"})
    assert named.status_code == 400
    assert "name an SLA as floorline/NAME" in named.json()["error"]["message"]


def report(gateway, **outcome):
    return gateway.http.post("/v1/outcomes", json=outcome)


def test_what_the_gateway_measures_cannot_be_reported(gateway):
    for answer in (gateway.chat(), gateway.chat(model="sim-nano"), gateway.chat(stream=True)):
        decision = answer.headers["x-floorline-decision"]
        wait_until(lambda: gateway.gateway.admission.in_flight == 0)
        before = gateway.gateway.router.status("gold").spent
        refused = report(gateway, id=decision, cost=0.0)
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            409,
            "outcome_not_expected",
        )
        assert gateway.gateway.router.status("gold").spent == before


def test_the_cost_of_a_stream_cannot_be_erased_while_it_runs(start):
    provider = InThread(http_server(GreedyProvider(pause=0.5).app()))
    models = [{"name": "one", "endpoint": f"{provider.value}/v1", "output_price": 1000.0}]
    gateway = start(write_settings("", models=models))
    try:
        body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
        fields = {"stream": True, "max_tokens": 200}
        with gateway.http.stream("POST", "/v1/chat/completions", json=body | fields) as stream:
            decision = stream.headers["x-floorline-decision"]
            assert report(gateway, id=decision, cost=0.0).status_code == 409
            stream.read()
        wait_until(lambda: gateway.gateway.admission.in_flight == 0)
        assert gateway.gateway.router.status("gold").spent == 0.2
    finally:
        provider.stop()


@pytest.mark.parametrize(
    ("outcome", "fix"),
    [
        ({"cost": 0.0}, "give what the call cost, at least"),
        ({"cost": 1e-12}, "for a call that failed give error"),
        ({"cost": 1e9}, "which is at most"),
    ],
)
def test_a_cost_that_no_call_can_have_is_refused(outcome, fix, gateway):
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
    routed = gateway.http.post("/v1/route", json=body).json()
    refused = report(gateway, id=routed["id"], **outcome)
    assert refused.status_code == 400
    assert fix in refused.json()["error"]["message"]
    assert gateway.gateway.router.status("gold").reserved > 0.0
    assert report(gateway, id=routed["id"], cost=0.0, error="it failed").status_code == 200
    assert gateway.gateway.router.status("gold").reserved == 0.0


def test_a_route_has_the_headers_of_an_answer(gateway):
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
    answer = gateway.http.post("/v1/route", json=body)
    made = answer.json()
    assert answer.headers["x-floorline-decision"] == made["id"]
    assert answer.headers["x-floorline-model"] == made["model"]
    assert float(answer.headers["x-floorline-expected-cost"]) == pytest.approx(
        made["expected_cost"], rel=1e-8
    )


def last_outcome(gateway):
    return [one for one in gateway.gateway.store.read() if isinstance(one, Outcome)][-1]


def test_a_cost_that_is_not_reported_follows_from_the_tokens(gateway):
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
    routed = gateway.http.post("/v1/route", json=body).json()
    zoo = gateway.gateway.router.zoo
    model = zoo.models[zoo.index(routed["model"])]
    took = {"input_tokens": 90, "output_tokens": 40}
    assert report(gateway, id=routed["id"], **took).json()["changed"] is True
    cost = (90 * model.input_price + 40 * model.output_price) / 1e6
    outcome = last_outcome(gateway)
    assert (outcome.cost, outcome.estimated) == (pytest.approx(cost, rel=1e-12), False)


def test_a_call_without_cost_and_tokens_is_charged_as_expected(gateway):
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
    routed = gateway.http.post("/v1/route", json=body).json()
    assert report(gateway, id=routed["id"], latency=2.0).status_code == 200
    outcome = last_outcome(gateway)
    assert outcome.cost == pytest.approx(routed["expected_cost"])
    assert (outcome.estimated, outcome.latency) == (True, 2.0)


def test_a_failed_call_without_a_cost_is_free(gateway):
    assert report(gateway, id=routed_id(gateway), error="status 503").status_code == 200
    outcome = last_outcome(gateway)
    assert (outcome.cost, outcome.error, outcome.estimated) == (0.0, "status 503", False)


def test_tokens_that_no_call_has_are_refused_without_a_cost(gateway):
    refused = report(gateway, id=routed_id(gateway), input_tokens=10**12, output_tokens=1)
    assert refused.status_code == 400
    assert "which is at most" in refused.json()["error"]["message"]


def routed_id(gateway):
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
    return gateway.http.post("/v1/route", json=body).json()["id"]


def test_parts_of_the_tokens_and_the_time_to_content_may_be_reported(gateway):
    took = {
        "input_tokens": 90,
        "cached_tokens": 60,
        "cache_write_tokens": 30,
        "latency": 2.5,
        "first_token": 0.5,
    }
    assert report(gateway, id=routed_id(gateway), cost=0.25, **took).json()["changed"] is True
    (outcome,) = (one for one in gateway.gateway.store.read() if isinstance(one, Outcome))
    assert {name: getattr(outcome, name) for name in took} == took


@pytest.mark.parametrize(
    ("took", "message"),
    [
        ({"cached_tokens": 9}, "cached_tokens is 9: give input_tokens, too"),
        (
            {"input_tokens": 8, "cached_tokens": 9},
            "cached_tokens is 9: give a part of the 8 input_tokens",
        ),
        (
            {"input_tokens": 8, "cached_tokens": 5, "cache_write_tokens": 4},
            "cache_write_tokens is 4: give a part of the 8 input_tokens",
        ),
        ({"latency": 1.0, "first_token": 2.0}, "first_token is 2.0: give seconds until"),
        ({"cached_tokens": -1}, "cached_tokens"),
    ],
)
def test_parts_that_are_larger_than_the_whole_are_refused(took, message, gateway):
    refused = report(gateway, id=routed_id(gateway), cost=0.25, **took)
    assert refused.status_code == 400
    assert message in refused.json()["error"]["message"]


def test_the_status_of_an_sla(gateway):
    for n in range(5):
        give(gateway, id=gateway.chat(text=f"Why {n}?").json()["id"], satisfied=True)
    status = gateway.http.get("/v1/slas/gold").json()
    assert (status["floor"], status["requests"], status["labels"]) == (0.85, 5, 5)
    assert status["satisfaction"] == 1.0
    assert status["queue"] == 0.0
    assert status["spent"] > 0
    assert status["verdict"] in ("unknown", "at risk", "kept")
    assert gateway.http.get("/v1/slas/bronze").status_code == 404
