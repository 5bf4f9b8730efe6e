"""A stream ends by its protocol: the call is a success, whichever side closes first."""

import asyncio
import json
import shutil
import subprocess

import openai
import pytest
from tests.support import faulty_provider as fp
from tests.support.gateway_parts import chat_request
from tests.support.live_gateway import wait_until
from tests.support.streams import leave_after

from floorline.gateway.call_recorder import DISCONNECTED

pytestmark = pytest.mark.slow

SENT = fp.events(usage=fp.USAGE)
DONE = SENT[-1]


async def closes_later(connection):
    await asyncio.sleep(0.3)
    await connection.piece(b"")


async def resets_later(connection):
    await asyncio.sleep(0.3)
    connection.reset()


async def writes_on(connection):
    for _ in range(100):
        await connection.piece(fp.event({"choices": [{"delta": {"content": "more"}}]}))
        await asyncio.sleep(0.02)


LIMITS = chat_request().limits

ENDINGS = {
    "in order": None,
    "300 ms later": closes_later,
    "never": fp.hang,
    "by a reset": fp.reset,
    "by a reset 300 ms later": resets_later,
    "by closing the connection": fp.close,
    "after further bytes": writes_on,
}
"""What a provider does after ``[DONE]``."""


async def read_until(url, mark, fields, *, reset=False):
    messages = [{"role": "user", "content": "Tell me everything"}]
    body = {"model": "floorline/gold", "messages": messages, "stream": True, **fields}
    came = await leave_after(url, mark, body, reset=reset)
    assert mark in came, came


def assert_success(gateway, prompt=12, output=9):
    (decision,), (outcome,) = gateway.happened()
    assert (outcome.decision, outcome.error) == (decision.id, None)
    assert (outcome.input_tokens, outcome.output_tokens) == (prompt, output)
    assert not outcome.estimated


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("client", ["reads to the end", "closes", "resets"])
def test_after_done_the_call_is_a_success_whoever_closes_first(ending, client, shared):
    shared.happened()
    shared.plan(fp.stream(SENT, then=ENDINGS[ending]))
    asked = {"stream_options": {"include_usage": True}}
    if client == "reads to the end":
        answer = shared.chat(stream=True, **asked)
        assert answer.content == b"".join(SENT)
    else:
        asyncio.run(read_until(shared.url, b"[DONE]", asked, reset=client == "resets"))
    # The place is free, and the money is charged, while the provider's connection is still open.
    assert_success(shared)
    wait_until(shared.at_rest)
    health = shared.gateway.upstreams.health()
    assert all(one.breaker == "closed" for one in health.values())


def patient(monkeypatch):
    """Let connections that their provider does not end stay open for the whole of a test."""
    monkeypatch.setattr("floorline.gateway.upstreams.http_client._SECONDS_AFTER_END", 600.0)


def test_the_answer_of_the_gateway_ends_while_that_of_the_provider_is_open(stage, monkeypatch):
    patient(monkeypatch)
    gateway = stage()
    gateway.plan(fp.stream(SENT, then=fp.hang))
    answer = gateway.chat(stream=True, stream_options={"include_usage": True})
    assert answer.content == b"".join(SENT)
    assert gateway.provider.open == 1
    assert_success(gateway)
    assert gateway.at_rest()


def test_a_connection_that_its_provider_does_not_end_is_closed_after_a_second(shared):
    shared.plan(fp.stream(SENT, then=fp.hang))
    shared.chat(stream=True)
    wait_until(lambda: shared.provider.open == 0)


def test_the_place_of_a_model_is_free_at_the_end(stage, monkeypatch):
    patient(monkeypatch)
    gateway = stage(model={"max_concurrency": 1, "queue_length": 0})
    for _ in range(4):
        gateway.plan(fp.stream(SENT, then=fp.hang))
        answer = gateway.chat(model="small", stream=True, stream_options={"include_usage": True})
        assert answer.content == b"".join(SENT)
    assert gateway.provider.open == 4


def usage_later(seconds):
    async def then(connection):
        await asyncio.sleep(seconds)
        await connection.piece(SENT[-2])
        await connection.piece(DONE)
        await connection.piece(b"")

    return then


@pytest.mark.parametrize("asks", [False, True])
def test_a_client_that_leaves_after_the_last_choice_gets_the_count_of_the_provider(
    asks, shared, monkeypatch
):
    monkeypatch.setattr("floorline.gateway.upstreams.answer._SECONDS_FOR_USAGE", 60.0)
    shared.happened()
    shared.plan(fp.stream(SENT[:-2], then=usage_later(0.2)))
    asked = {"stream_options": {"include_usage": True}} if asks else {}
    asyncio.run(read_until(shared.url, b'"stop"', asked))
    assert_success(shared)


def test_a_provider_that_sends_no_usage_is_waited_for_a_second(shared):
    shared.happened()
    shared.plan(fp.stream(SENT[:-2], then=fp.hang))
    asyncio.run(read_until(shared.url, b'"stop"', {}))
    _, (outcome,) = shared.happened()
    assert (outcome.error, outcome.estimated) == (None, True)
    assert outcome.cost > 0.0


@pytest.mark.parametrize("sent", [SENT[:3], SENT[:-2]])
def test_a_client_that_leaves_before_all_choices_ended_is_disconnected(sent, shared):
    shared.happened()
    shared.plan(fp.stream(sent, then=fp.hang))
    mark = sent[-1][-20:].rstrip()
    asyncio.run(read_until(shared.url, mark, {"n": 2}))
    wait_until(lambda: shared.provider.open == 0)
    _, (outcome,) = shared.happened()
    assert (outcome.error, outcome.estimated) == (DISCONNECTED, True)


def test_the_cost_model_learns_from_streams_that_their_clients_leave(stage):
    gateway = stage()
    dear = {"prompt_tokens": 20, "completion_tokens": 2_000}
    words = [fp.event({"choices": [{"delta": {"content": "word " * 1_600}}]})]
    sent = [*words, *fp.events(usage=dear)[-3:]]

    def expected():
        router = gateway.gateway.router
        return dict(zip(router.zoo.names, router.call_costs(5, LIMITS)[0].tolist(), strict=True))

    before = gateway.call(expected)
    for _ in range(30):
        gateway.plan(fp.stream(sent, then=closes_later))
        asyncio.run(read_until(gateway.url, b"[DONE]", {}))
    decisions, outcomes = gateway.happened()
    assert [o.error for o in outcomes] == [None] * 30
    after = gateway.call(expected)
    served = {decision.model for decision in decisions}
    assert served <= {name for name in before if before[name] != after[name]}


def test_openais_client_and_curl_end_at_once(shared):
    client = openai.OpenAI(base_url=f"{shared.url}/v1", api_key="none", max_retries=0)
    for _ in range(3):
        shared.happened()
        shared.plan(fp.stream(SENT, then=fp.hang))
        stream = client.chat.completions.create(
            model="floorline/gold",
            messages=[{"role": "user", "content": "Hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
        assert chunks[-1].usage.completion_tokens == 9
        assert_success(shared)
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("needs curl")
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Hi"}]}
    for mark in ("--no-buffer", "--no-keepalive"):
        shared.plan(fp.stream(SENT, then=fp.hang))
        url = f"{shared.url}/v1/chat/completions"
        data = json.dumps({**body, "stream": True})
        done = subprocess.run(
            [
                curl,
                "-sS",
                "-m",
                "10",
                mark,
                url,
                "-d",
                data,
                "-H",
                "Content-Type: application/json",
            ],
            capture_output=True,
            check=True,
        )
        assert done.stdout.endswith(b"data: [DONE]\n\n")
        assert_success(shared)
