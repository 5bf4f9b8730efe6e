"""Every feedback message of a key counts against its rate."""

import pytest
from tests.support.live_gateway import write_settings


@pytest.fixture
def keyed(start, provider):
    """Start a gateway with a key; returns it and the key's headers."""

    def begin(feedback=None, **fields):
        gateway = start(write_settings(provider, auth="keys", feedback=feedback or {}))
        keys = gateway.gateway.store.keys
        secret = keys.create("app", **fields)[1]
        gateway.call(gateway.gateway.auth.set_keys, keys.list())
        gateway.http.headers["authorization"] = f"Bearer {secret}"
        return gateway

    return begin


def give(gateway, *messages):
    body = messages[0] if len(messages) == 1 else {"feedback": list(messages)}
    return gateway.http.post("/v1/feedback", json=body)


def message(decision, score=1.0):
    return {"id": decision, "score": score}


@pytest.mark.parametrize("of_the_key", [True, False])
def test_single_messages_above_the_rate_are_429(of_the_key, keyed):
    rates = {"feedback_rate": 3.0} if of_the_key else {"feedback": {"rate": 3}}
    gateway = keyed(**rates)
    decision = gateway.chat().headers["x-floorline-decision"]
    answers = [give(gateway, message(decision, n / 10)) for n in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    error = answers[-1]
    assert error.json()["error"]["code"] == "feedback_rate_exceeded"
    assert "3 feedback messages a minute" in error.json()["error"]["message"]
    assert 1 <= int(error.headers["retry-after"]) <= 60
    assert gateway.http.get("/v1/slas/gold").json()["satisfaction"] == 0.2


def test_each_message_of_a_batch_counts_and_what_was_taken_stays_taken(keyed):
    gateway = keyed(feedback_rate=4.0)
    made = [gateway.chat(text=f"Why {n}?").headers["x-floorline-decision"] for n in range(6)]
    answer = give(gateway, *map(message, made))
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    body = answer.json()
    assert [receipt["decision"] for receipt in body["data"]] == made[:4]
    assert "the first 4 of 6 messages were taken" in body["error"]["message"]
    status = gateway.http.get("/v1/slas/gold").json()
    assert (status["labels"], status["satisfaction"]) == (4, 1.0)
    assert give(gateway, message(made[5])).status_code == 429


def test_messages_that_are_refused_count_too(keyed):
    gateway = keyed(feedback_rate=2.0)
    answers = [give(gateway, message(f"nobody-{n}")) for n in range(3)]
    assert [answer.status_code for answer in answers] == [404, 404, 429]


def test_a_keys_own_rate_is_above_the_default_and_keys_are_counted_apart(keyed):
    gateway = keyed(feedback={"rate": 1}, feedback_rate=5.0)
    decision = gateway.chat().headers["x-floorline-decision"]
    assert [give(gateway, message(decision)).status_code for _ in range(5)] == [200] * 5
    keys = gateway.gateway.store.keys
    other = {"authorization": f"Bearer {keys.create('other')[1]}"}
    gateway.call(gateway.gateway.auth.set_keys, keys.list())
    answers = [
        gateway.http.post("/v1/feedback", json=message("nobody"), headers=other) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [404, 429]


def test_requests_for_answers_are_not_counted(keyed):
    gateway = keyed(feedback_rate=1.0)
    assert [gateway.chat().status_code for _ in range(3)] == [200] * 3
