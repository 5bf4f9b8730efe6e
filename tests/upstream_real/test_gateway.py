"""A client, the gateway and a model server, of which only the middle one is ours."""

import httpx2 as httpx
import openai
import pytest
from tests.support.live_gateway import Live, wait_until, write_settings

ASK = [{"role": "user", "content": "Why is the sky blue?"}]


@pytest.fixture
def gateway(real_server, tmp_path):
    model = {
        "name": "tiny",
        "model": real_server.model,
        "endpoint": real_server.base_url,
        "output_price": 1.0,
    }
    live = Live(write_settings(real_server.base_url, models=[model]), tmp_path)
    yield live
    live.stop()


@pytest.fixture
def client(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_an_answer_with_its_real_cost_and_feedback(client, gateway):
    raw = client.chat.completions.with_raw_response.create(
        model="floorline/gold", messages=ASK, max_tokens=8
    )
    answer = raw.parse()
    assert answer.usage.completion_tokens > 0
    assert float(raw.headers["x-floorline-cost"]) == pytest.approx(
        answer.usage.completion_tokens * 1e-6
    )
    sent = gateway.http.post("/v1/feedback", json={"id": answer.id, "satisfied": False})
    assert sent.json()["decision"] == raw.headers["x-floorline-decision"]
    assert gateway.http.get("/v1/slas/gold").json()["satisfaction"] == 0.0


def test_a_stream_says_what_the_whole_answer_says(client):
    given = {"model": "floorline/gold", "messages": ASK, "max_tokens": 8, "temperature": 0}
    whole = client.chat.completions.create(**given)
    stream = client.chat.completions.create(**given, stream=True)
    parts = [c.choices[0].delta.content or "" for c in stream if c.choices]
    assert len(parts) > 1
    assert "".join(parts) == whole.choices[0].message.content


def test_a_client_that_leaves_frees_the_server(gateway):
    body = {"model": "tiny", "messages": ASK, "stream": True, "max_tokens": 4000}
    with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=body) as answer:
        next(answer.iter_raw())
    wait_until(lambda: gateway.gateway.admission.in_flight == 0)
    given = {"model": "tiny", "messages": ASK, "max_tokens": 2}
    assert gateway.http.post("/v1/chat/completions", json=given).status_code == 200


def test_the_servers_own_errors_reach_the_client(gateway):
    body = {"model": "tiny", "messages": ASK, "not_a_field": 1}
    answer = gateway.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 422
    assert "not_a_field" in answer.text
