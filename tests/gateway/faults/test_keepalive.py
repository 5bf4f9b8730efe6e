"""Comments keep a stream open while a model thinks."""

import asyncio
import json
import socket
import threading
import time

import openai
import pytest
from tests.support import faulty_provider as fp
from tests.support.live_gateway import wait_until
from tests.support.streams import broken_off

KEEPALIVE = b": keepalive\n\n"
WHY = [{"role": "user", "content": "Why?"}]


@pytest.fixture
def kept(stage):
    """Start a gateway that sends a comment every fifth of a second."""

    def begin(every="200ms", **given):
        # Bytes of a stream pass as they come if the gateway asks for no usage.
        given.setdefault("model", {"ask_usage": False})
        return stage(server={"stream_keepalive": every}, **given)

    return begin


def thinking(pieces, pauses):
    """Stream pieces, each after its pause."""

    async def answer(connection):
        await connection.head(200, "text/event-stream", Transfer_Encoding="chunked")
        for piece, pause in zip(pieces, pauses, strict=True):
            await asyncio.sleep(pause)
            await connection.piece(piece)
        await connection.piece(b"")

    return answer


def late(answer, seconds=0.7):
    async def given(connection):
        await asyncio.sleep(seconds)
        await answer(connection)

    return given


class Gate:
    """Holds the answers of a provider until its client has seen a comment."""

    def __init__(self):
        self._open = threading.Event()

    def before(self, answer):
        async def given(connection):
            while not self._open.is_set():
                await asyncio.sleep(0.01)
            await answer(connection)

        return given

    def ask(self, gateway, model="floorline/gold"):
        """Headers and body of a stream in whose beginning there is a comment."""
        body = {"model": model, "messages": WHY, "stream": True}
        with gateway.live.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            assert answer.status_code == 200
            came = b""
            for piece in answer.iter_raw():
                came += piece
                if KEEPALIVE in came:
                    self._open.set()
        return answer.headers, came


def ask(gateway, **fields):
    return gateway.chat(stream=True, **fields)


def data(body):
    """Values of the events of a stream, without comments."""
    lines = [line for line in body.decode().split("\n\n") if line and not line.startswith(":")]
    assert all(line.startswith("data: ") for line in lines)
    return [line[6:] if line == "data: [DONE]" else json.loads(line[6:]) for line in lines]


def test_headers_of_a_stream(shared):
    answer = ask(shared)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert KEEPALIVE not in answer.content, "a quick answer has no comments"
    whole = shared.chat()
    assert "x-accel-buffering" not in whole.headers


def test_comments_before_the_first_event(kept):
    gateway, gate = kept(), Gate()
    gateway.plan(gate.before(fp.stream()))
    # Status and headers come with the first comment, not with the model's first word.
    headers, body = gate.ask(gateway, "small")
    assert headers["x-floorline-model"] == "small"
    assert headers["content-type"] == "text/event-stream"
    assert headers["x-accel-buffering"] == "no"
    comments, _, events = body.rpartition(KEEPALIVE)
    assert comments + KEEPALIVE == KEEPALIVE * body.count(KEEPALIVE)
    assert events == b"".join(fp.events())
    decision, outcome = (found[0] for found in gateway.happened())
    assert headers["x-floorline-decision"] == decision.id == outcome.decision
    assert outcome.error is None
    told = gateway.live.http.post("/v1/feedback", json={"id": "chatcmpl-1", "satisfied": True})
    assert told.json()["decision"] == decision.id


def test_comments_between_events(kept):
    gateway = kept()
    pieces = fp.events()
    gateway.plan(thinking(pieces, [0, 0.5] + [0] * (len(pieces) - 2)))
    body = ask(gateway).content
    assert body.startswith(pieces[0] + KEEPALIVE)
    assert body.replace(KEEPALIVE, b"") == b"".join(pieces)


def test_a_busy_stream_has_no_comments(kept):
    # Longer than a comment takes to come, each pause far shorter.
    gateway = kept("1s")
    pieces = fp.events()
    gateway.plan(thinking(pieces, [0.2] * len(pieces)))
    assert ask(gateway).content == b"".join(pieces)


@pytest.mark.parametrize(
    ("at", "newline"),
    [(1, b"\n"), (5, b"\n"), (-1, b"\n"), (30, b"\r\n"), (-1, b"\r\n"), (-3, b"\r\n"), (-1, b"\r")],
)
def test_no_event_is_cut_in_two(kept, at, newline):
    gateway = kept("100ms")
    first, second, *others = [event.replace(b"\n", newline) for event in fp.events()]
    pieces = [first, second[:at], second[at:], *others]
    gateway.plan(thinking(pieces, [0, 0, 0.25, 0.25] + [0] * (len(pieces) - 4)))
    body = ask(gateway).content
    assert body.replace(KEEPALIVE, b"") == b"".join(pieces)
    *parts, _ = body.split(KEEPALIVE)
    assert parts, "between events there are comments"
    events = [first, second, *others]
    whole = [b"".join(events[:count]) for count in range(len(events) + 1)]
    for count in range(len(parts)):
        assert b"".join(parts[: count + 1]) in whole


def test_a_mark_of_the_byte_order_stays_at_the_beginning(kept):
    gateway = kept()
    pieces = fp.events()
    gateway.plan(thinking([b"\xef\xbb\xbf" + pieces[0], *pieces[1:]], [0.5] + [0] * 6))
    body = ask(gateway).content
    assert body.startswith(KEEPALIVE)
    assert b"\xef\xbb\xbf" not in body


def test_a_mark_of_the_byte_order_is_passed_on(shared):
    first, *others = fp.events()
    shared.plan(fp.stream([b"\xef\xbb\xbf" + first, *others]))
    assert ask(shared).content.startswith(b"\xef\xbb\xbfdata: ")


def test_a_comment_that_meets_the_end_of_a_call(kept):
    """Whatever a comment and the end of a call meet in, the client gets one whole answer."""
    gateway = kept("20ms")
    for wait in [0.012, 0.016, 0.018, 0.019, 0.02, 0.021, 0.022, 0.025, 0.038, 0.04, 0.042] * 3:
        gateway.plan(*[late(fp.error(500), wait / 3)] * 3)
        answer = ask(gateway)
        if answer.status_code == 200:
            (event,) = data(answer.content)
            assert event["error"]["code"] == "upstream_status"
        else:
            assert answer.status_code == 502
        gateway.plan(late(fp.whole(b'{"error": {"message": "no"}}', 422), wait))
        answer = ask(gateway, model="small")
        assert answer.status_code in (200, 422)
        assert b'"no"' in answer.content


@pytest.mark.parametrize("every", [0, "off", False])
def test_comments_may_be_off(kept, every):
    gateway = kept(every)
    gateway.plan(late(fp.stream()))
    assert ask(gateway).content == b"".join(fp.events())


def test_no_comments_within_a_whole_answer(kept):
    gateway = kept()
    gateway.plan(late(fp.whole()))
    answer = gateway.chat()
    assert answer.content == fp.completion()


def test_an_error_after_a_comment_is_an_event(kept):
    gateway, gate = kept(), Gate()
    gateway.plan(*[gate.before(fp.error(500))] * 3)
    _, body = gate.ask(gateway)
    (event,) = data(body)
    assert event["error"]["code"] == "upstream_status"


def test_an_error_before_a_comment_has_its_status(shared):
    shared.plan(*[fp.error(500)] * 3)
    assert ask(shared).status_code == 502


def test_a_providers_refusal_after_a_comment_is_an_event(kept):
    gateway, gate = kept(), Gate()
    body = b'{\n  "error": {\r\n "message": "temperature is too high", "type": "x", "code": 7}\n}'
    gateway.plan(gate.before(fp.whole(body, 422)))
    headers, came = gate.ask(gateway, "small")
    (event,) = data(came)
    assert event["error"]["message"] == "temperature is too high"
    ((decision,), (outcome,)) = gateway.happened()
    assert outcome.error == "the provider answered 422"
    assert headers["x-floorline-decision"] == decision.id


def test_another_model_answers_after_a_comment(kept):
    gateway, gate = kept(), Gate()
    gateway.plan(gate.before(fp.error(500)), fp.stream())
    headers, body = gate.ask(gateway)
    ((failed, served), outcomes) = gateway.happened()
    assert headers["x-floorline-decision"] == failed.id
    comment = f": floorline decision={served.id} model={served.model}\n\n".encode()
    assert body.replace(KEEPALIVE, b"") == comment + b"".join(fp.events())
    assert [outcome.error is None for outcome in outcomes] == [False, True]
    told = gateway.live.http.post("/v1/feedback", json={"id": "chatcmpl-1", "satisfied": True})
    assert told.json()["decision"] == served.id


def test_a_stream_that_breaks_within_an_event(kept):
    gateway = kept()
    first = fp.events()[0]
    gateway.plan(broken_off([first, first[:20]], fp.close))
    body = ask(gateway).content
    *_, last = body.split(b"\n\n")[:-1]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"].startswith("upstream_")


def test_a_client_that_does_not_read_gets_no_comments(kept):
    gateway = kept("300ms", max_answer="64MiB")
    flood = fp.event(
        {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": "x" * 9000}}]}
    )
    pieces = [flood] * 1000 + fp.events()
    gateway.plan(fp.stream(pieces))
    body = json.dumps({"model": "floorline/gold", "messages": WHY, "stream": True}).encode()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(60)
        slow.connect(("127.0.0.1", int(gateway.url.rpartition(":")[2])))
        head = "POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        slow.sendall(head.encode() + body)
        wait_until(lambda: gateway.provider.requests)
        time.sleep(1.2)
        came = b""
        while chunk := slow.recv(65536):
            came += chunk
    # One comment may have been under way; while nothing is read, no second one joins it.
    assert KEEPALIVE * 2 not in came
    assert came.endswith(b"data: [DONE]\n\n")


def test_the_openai_client_sees_no_comments(kept):
    gateway = kept("100ms")
    pieces = fp.events(usage=fp.USAGE)
    gateway.plan(late(fp.error(500), 0.3), late(thinking(pieces, [0.12] * len(pieces)), 0.3))
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="x", max_retries=0) as client:
        stream = client.chat.completions.create(
            model="floorline/gold",
            messages=WHY,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "".join(
            fp.TEXT
        )
        assert chunks[-1].usage.completion_tokens == 9
        gateway.plan(*[late(fp.error(429), 0.3)] * 3)
        with pytest.raises(openai.APIError, match="429"):
            list(client.chat.completions.create(model="floorline/gold", messages=WHY, stream=True))
