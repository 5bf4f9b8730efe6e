import asyncio
import json

import pytest
from tests.support import faulty_provider as fp
from tests.support.live_gateway import wait_until
from tests.support.streams import broken_off

from floorline.gateway.call_recorder import DISCONNECTED

pytestmark = pytest.mark.slow


async def say(url, body, *, until, length=None):
    """Send a request, wait until something is so, leave without another word; what came so far."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    length = len(body) if length is None else length
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
        f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    came = b""
    async with asyncio.timeout(60):
        while not until(came):
            try:
                came += await asyncio.wait_for(reader.read(65536), 0.01)
            except TimeoutError:
                continue
    # A reset, as when a process is killed or a phone loses its network.
    writer.transport.abort()
    return came


def chat(**fields):
    messages = [{"role": "user", "content": "Tell me everything"}]
    return json.dumps({"model": "floorline/gold", "messages": messages, **fields}).encode()


def test_a_client_that_leaves_mid_stream(stage):
    gateway = stage()
    gateway.plan(broken_off(fp.events()[:3], fp.hang))
    third = fp.events()[2]
    asyncio.run(say(gateway.url, chat(stream=True), until=lambda came: third in came))
    # The provider sees its connection closed: the call is cancelled, not read to its end.
    wait_until(lambda: gateway.provider.open == 0)
    (decision,), (outcome,) = gateway.happened()
    assert (outcome.decision, outcome.error, outcome.estimated) == (decision.id, DISCONNECTED, True)
    assert outcome.cost > 0.0
    assert outcome.completion == "chatcmpl-1"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_before_the_first_byte(stream, stage):
    gateway = stage()
    gateway.plan(fp.hang)
    asked = gateway.provider.requests
    asyncio.run(say(gateway.url, chat(stream=stream), until=lambda _: asked))
    wait_until(lambda: gateway.provider.open == 0)
    (decision,), (outcome,) = gateway.happened()
    assert (outcome.decision, outcome.error, outcome.estimated) == (decision.id, DISCONNECTED, True)
    # No other model is called in place of a call that was cancelled.
    assert len(asked) == 1


def test_a_client_that_leaves_while_another_model_is_called(stage):
    gateway = stage()
    gateway.plan(fp.error(500), fp.hang)
    asked = gateway.provider.requests
    asyncio.run(say(gateway.url, chat(), until=lambda _: len(asked) == 2))
    wait_until(lambda: gateway.provider.open == 0)
    (failed, left), (failure, outcome) = gateway.happened()
    assert left.after == failed.id
    assert (failure.decision, failure.cost) == (failed.id, 0.0)
    assert (outcome.decision, outcome.error) == (left.id, DISCONNECTED)


def test_a_client_that_leaves_within_its_own_request(stage):
    gateway = stage()
    body = chat()
    arrived = lambda _: len(gateway.connections) == 1  # noqa: E731
    asyncio.run(say(gateway.url, body[:10], length=len(body), until=arrived))
    wait_until(lambda: len(gateway.connections) == 0)
    # It is no request yet, and so takes no slot.
    assert gateway.gateway.admission.in_flight == 0
    assert gateway.happened() == ([], [])
    assert gateway.provider.requests == []


def test_fifty_clients_that_disconnect_leave_nothing_behind(stage):
    gateway = stage()
    gateway.plan(*[fp.hang] * 50)
    asked = gateway.provider.requests

    async def crowd():
        gone = [say(gateway.url, chat(), until=lambda _: len(asked) == 50) for _ in range(50)]
        await asyncio.gather(*gone)

    tasks = gateway.call(lambda: len(asyncio.all_tasks()))
    asyncio.run(crowd())
    wait_until(lambda: gateway.provider.open == 0)
    wait_until(gateway.at_rest)
    wait_until(lambda: gateway.call(lambda: len(asyncio.all_tasks())) <= tasks)
    decisions, outcomes = gateway.happened()
    assert (len(decisions), {outcome.error for outcome in outcomes}) == (50, {DISCONNECTED})
