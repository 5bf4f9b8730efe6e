"""Explanations of requests whose models fail, are barred or are too dear for a key."""

from tests.support import faulty_provider as fp


def explained(stage, decision):
    answer = stage.http.get(f"/v1/decisions/{decision}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def reasons(found):
    return {one["model"]: one["reason"] for one in found["candidates"]}


def test_a_fallback_is_in_the_explanations_of_both_decisions(three):
    stage = three({"small": fp.error(500)})
    answer = stage.chat(headers={"x-floorline-explain": "1"})
    (failed, served), _ = stage.happened()
    carried = answer.json()["floorline"]
    assert carried["id"] == served.id
    assert carried["after"] == failed.id
    assert reasons(carried)["small"] == "failed"
    first, second = explained(stage, failed.id), explained(stage, served.id)
    assert first["replaced_by"] == served.id
    assert [step["kind"] for step in first["timeline"]] == ["decision", "outcome", "fallback"]
    assert first["timeline"][2]["decision"] == served.id
    assert first["error"]
    assert [step["kind"] for step in second["timeline"]] == ["fallback", "decision", "outcome"]
    assert second["timeline"][0]["error"] == first["error"]
    assert (second["model"], second["error"]) == ("medium", None)
    assert "in place of a call that failed" in second["summary"]


def test_an_error_names_the_explanation_of_its_last_decision(three):
    stage = three(dict.fromkeys(["small", "medium", "large"], fp.error(500)))
    answer = stage.chat(headers={"x-floorline-explain": "1"})
    assert answer.status_code == 502
    decisions, _ = stage.happened()
    last = decisions[-1].id
    assert answer.headers["x-floorline-explanation"] == f"/v1/decisions/{last}"
    assert "floorline" not in answer.json()
    found = explained(stage, last)
    assert found["error"]
    assert sorted(reasons(found).values()) == ["failed", "failed", "served"]


def test_an_open_breaker_is_a_reason(three):
    error = {"error": {"message": "no", "code": "model_not_found"}}
    stage = three({"small": fp.refusal(404, error)})
    stage.chat()
    decision = stage.chat().headers["x-floorline-decision"]
    small = explained(stage, decision)["candidates"][0]
    assert (small["model"], small["reason"]) == ("small", "breaker")
    assert small["explanation"] == "circuit breaker open: its provider keeps failing"


def test_a_request_that_a_provider_refused_as_too_long_is_a_window(three):
    text = "This model's maximum context length is 40 tokens. However, you requested 9000 tokens."
    error = {"error": {"message": text, "code": "context_length_exceeded"}}
    stage = three({"small": fp.refusal(400, error)})
    long = "word " * 200
    assert stage.chat(long).status_code == 200
    decision = stage.chat(long).headers["x-floorline-decision"]
    small = explained(stage, decision)["candidates"][0]
    assert (small["model"], small["reason"]) == ("small", "window")
    assert "refused a request of" in small["explanation"]


def test_a_model_without_a_free_place_is_busy(three):
    server = {"stream_keepalive": "200ms"}
    stage = three({"small": fp.hang}, {"server": server}, max_concurrency=1, queue_length=0)
    turns = [{"role": "user", "content": "Why?"}]
    body = {"model": "small", "messages": turns, "stream": True}
    # The provider stays silent until the client leaves; its headers come with the first comment.
    with stage.http.stream("POST", "/v1/chat/completions", json=body) as waiting:
        assert waiting.status_code == 200
        decision = stage.chat().headers["x-floorline-decision"]
    small = explained(stage, decision)["candidates"][0]
    assert (small["model"], small["reason"]) == ("small", "busy")
    assert small["explanation"] == "all its places are taken (max_concurrency)"


def test_the_budget_of_a_key_is_a_reason(three):
    stage = three({}, {"auth": "keys"})
    keys = stage.gateway.store.keys
    secret = keys.create("app", ["chat"], budget=1e-4, period=1e9)[1]
    stage.call(stage.gateway.auth.set_keys, keys.list())
    headers = {"authorization": f"Bearer {secret}"}
    answer = stage.chat(headers=headers, max_tokens=20)
    assert answer.status_code == 200, answer.text
    found = stage.http.get(
        f"/v1/decisions/{answer.headers['x-floorline-decision']}", headers=headers
    ).json()
    large = found["candidates"][2]
    assert (large["model"], large["reason"]) == ("large", "key_budget")
    assert large["explanation"].endswith("of the API key's budget, and 0.0001 is left")
