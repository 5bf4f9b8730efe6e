"""Clients that end their side of a connection are answered; calls of those that left are not."""

import asyncio
import json
import socket

import pytest
from tests.support import faulty_provider as fp
from tests.support.live_gateway import wait_until
from tests.support.streams import broken_off

from floorline.gateway.call_recorder import DISCONNECTED

pytestmark = pytest.mark.slow

DONE = b"data: [DONE]\n\n"


def request(version="1.1", body=None, more=b"", **fields):
    messages = [{"role": "user", "content": "Why?"}]
    body = json.dumps({"model": "floorline/gold", "messages": messages, **fields}).encode()
    head = f"POST /v1/chat/completions HTTP/{version}\r\nHost: localhost\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + more + b"\r\n" + body


def connect(gateway):
    return socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2])), 60)


def rest(connection):
    came = b""
    while data := connection.recv(65536):
        came += data
    return came


def said_and_ended(gateway, data):
    """All that comes back to a client that ends its side at once."""
    with connect(gateway) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return rest(connection)


def late(answer, seconds=0.3):
    async def given(connection):
        await asyncio.sleep(seconds)
        await answer(connection)

    return given


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("seconds", [0, 0.3, 1.3])
def test_a_whole_answer(stage, version, seconds):
    gateway = stage()
    gateway.plan(late(fp.whole(), seconds))
    came = said_and_ended(gateway, request(version))
    # What takes longer is preceded by answers that mean nothing, except for HTTP/1.0.
    interim, _, answer = came.rpartition(b"HTTP/1.1 ")
    assert answer.startswith(b"200 OK\r\n")
    assert b"connection: close" in answer
    assert interim.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"") == b""
    assert interim == b"" or version == "1.1"
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["choices"]
    (_, (outcome,)) = gateway.happened()
    assert outcome.error is None


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("seconds", [0, 0.3, 1.3])
def test_a_stream(stage, version, seconds):
    gateway = stage()
    pieces = fp.events(usage=fp.USAGE)

    async def slow(connection):
        await connection.head(200, "text/event-stream", Transfer_Encoding="chunked")
        await connection.piece(pieces[0])
        await asyncio.sleep(seconds)
        for piece in [*pieces[1:], b""]:
            await connection.piece(piece)

    gateway.plan(slow)
    came = said_and_ended(gateway, request(version, stream=True))
    assert came.startswith(b"HTTP/1.1 200 OK\r\n")
    assert DONE in came
    assert (b"transfer-encoding: chunked" in came) == (version == "1.1")
    (_, (outcome,)) = gateway.happened()
    assert outcome.error is None
    assert outcome.output_tokens == fp.USAGE["completion_tokens"]


def test_several_requests_at_once(stage):
    gateway = stage()
    gateway.plan(late(fp.whole()))
    came = said_and_ended(gateway, request() + request() + request())
    assert came.count(b"HTTP/1.1 200 OK\r\n") == 3


def test_a_request_after_which_the_next_one_is_cut(stage):
    gateway = stage()
    gateway.plan(late(fp.whole()))
    came = said_and_ended(gateway, request() + request()[:30])
    assert came.count(b"HTTP/1.1 ") == came.count(b"HTTP/1.1 200 OK\r\n") == 1


@pytest.mark.parametrize("kept", [-5, 100, 30])
def test_a_request_that_is_cut_is_told_so(stage, kept):
    gateway = stage()
    came = said_and_ended(gateway, request()[:kept])
    assert came.startswith(b"HTTP/1.1 400 ")
    error = json.loads(came.partition(b"\r\n\r\n")[2])["error"]
    assert error["code"] == "incomplete_request"
    wait_until(lambda: len(gateway.connections) == 0)
    # It is no fault that an operator needs to see.
    assert not gateway.connections.closed


def test_a_connection_without_a_request_is_closed(stage):
    gateway = stage()
    assert said_and_ended(gateway, b"") == b""
    with connect(gateway) as connection:
        connection.sendall(request())
        while b"choices" not in connection.recv(65536):
            continue
        connection.shutdown(socket.SHUT_WR)
        assert rest(connection) == b""
    wait_until(lambda: len(gateway.connections) == 0)


def leave(gateway, data, *, after=b"", reset=False):
    """Close the connection wholly once these bytes have come."""
    asked = gateway.provider.requests
    with connect(gateway) as connection:
        connection.sendall(data)
        wait_until(lambda: asked)
        came = b""
        while after not in came:
            came += connection.recv(65536)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    ("data", "after"),
    [
        (request(), b""),
        (request(stream=True), b""),
        (request(stream=True), fp.events()[1]),
        (request("1.0", stream=True), b""),
        (request("1.0", stream=True), fp.events()[1]),
    ],
)
def test_the_call_of_a_client_that_left_is_cancelled(stage, data, after, reset):
    gateway = stage()
    gateway.plan(broken_off(fp.events()[:2], fp.hang) if after else fp.hang)
    leave(gateway, data, after=after, reset=reset)
    wait_until(lambda: gateway.provider.open == 0)
    (_, (outcome,)) = gateway.happened()
    assert outcome.error == DISCONNECTED
    assert len(gateway.connections) == 0


def test_a_client_that_leaves_after_it_ended_its_side(stage, monkeypatch):
    monkeypatch.setattr("floorline.gateway.http_protocol.PROBE_SECONDS", 0.5)
    gateway = stage()
    gateway.plan(broken_off(fp.events()[:2], fp.hang))
    with connect(gateway) as connection:
        connection.sendall(request(stream=True))
        connection.shutdown(socket.SHUT_WR)
        came = b""
        while came.count(b": keepalive\n\n") < 2:
            came += connection.recv(65536)
        assert gateway.provider.open == 1
    wait_until(lambda: gateway.provider.open == 0)


def test_half_closed_connections_are_bounded(stage):
    """They are connections of which each waits for an answer, and are closed like others."""
    gateway = stage(timeouts={"first_byte": 1, "idle": 1, "total": 2})
    gateway.plan(*[fp.hang] * 3)
    came = said_and_ended(gateway, request())
    assert b"HTTP/1.1 504 " in came
    wait_until(lambda: len(gateway.connections) == 0)
