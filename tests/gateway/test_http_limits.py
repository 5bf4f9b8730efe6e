"""What one client can take of the HTTP server, and that others are served meanwhile."""

import contextlib
import http.client
import json
import resource
import socket
import time

import pytest
from tests.support.live_gateway import wait_until, write_settings

from floorline.gateway.http_limits import connection_limit

CHAT = json.dumps(
    {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
).encode()
POST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)
FAST = {"header_timeout": 1, "body_timeout": 1, "send_timeout": 1, "keep_alive": 2}


@pytest.fixture
def limited(start, provider):
    """Start a gateway with limits."""

    def begin(max_in_flight=1024, **limits):
        server = {"limits": limits, "max_in_flight": max_in_flight}
        return start(write_settings(provider, server=server))

    return begin


def connect(gateway):
    address = gateway.url.removeprefix("http://").split(":")
    return socket.create_connection((address[0], int(address[1])), timeout=60)


def answer_on(connection):
    """The next answer on a connection: status and error; None if it was closed without one."""
    answer = http.client.HTTPResponse(connection, method="POST")
    try:
        answer.begin()
        return answer.status, json.loads(answer.read())
    except (ConnectionError, http.client.HTTPException):
        return None


def ask(gateway, data):
    with connect(gateway) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        return answer_on(connection)


def is_closed(connection, within=60.0):
    connection.settimeout(within)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def whole(body=CHAT, more=b""):
    return POST + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def assert_serves(gateway):
    """Health and an honest request are answered, over new connections."""
    for data in (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", whole()):
        found = ask(gateway, data)
        assert found is not None
        assert found[0] == 200, found


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (POST + b"X: " + b"x" * 70_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (POST + b"X: " + b"x" * 10_000_000, 431, "headers_too_large"),
        (POST + b"x" * 100_000, 431, "headers_too_large"),
        (POST + b"X: 1\r\n" * 99 + b"\r\n", 431, "too_many_headers"),
        (POST + b"X: \r\n" * 10_000 + b"\r\n", 431, "too_many_headers"),
        (b"\r\n" * 50_000, 431, "headers_too_large"),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "url_too_long"),
        (b"GET /" + b"x" * 1_000_000, 414, "url_too_long"),
        (b"G" * 100_000, 400, "invalid_http"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA\x00: b\r\n\r\n", 400, "invalid_http"),
        (b"GET http:// HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "invalid_http"),
        (b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "invalid_http"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "invalid_http"),
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "invalid_http"),
        (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400, "invalid_http"),
        (POST + b"Content-Length: -1\r\n\r\n", 400, "invalid_http"),
        (POST + b"Content-Length: 99999999999999999999999\r\n\r\n", 400, "invalid_http"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "invalid_http"),
        (
            POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"e" * 900_000,
            400,
            "chunk_overhead",
        ),
        (
            POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: x\r\n" * 5_000,
            431,
            "too_many_headers",
        ),
    ],
)
def test_what_is_too_large_or_no_http_is_refused(limited, data, status, code):
    gateway = limited()
    found = ask(gateway, data)
    assert found is not None, "closed without an answer"
    assert (found[0], found[1]["error"]["code"]) == (status, code)
    assert_serves(gateway)


def test_requests_within_the_limits_are_served(limited):
    gateway = limited()
    headers = b"".join(b"X-%d: %s\r\n" % (n, b"x" * 600) for n in range(95))
    assert ask(gateway, whole(more=headers))[0] == 200
    long = json.dumps({"model": "floorline/gold", "x": "y" * 3_000_000,
                       "messages": [{"role": "user", "content": "Why?"}]}).encode()  # fmt: skip
    assert ask(gateway, whole(long))[0] == 200
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in CHAT) + b"0\r\n\r\n"
    assert ask(gateway, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)[0] == 200


def test_trailers_are_no_headers(limited):
    gateway = limited()
    data = POST + b"Transfer-Encoding: chunked\r\nTrailer: x-floorline-floor\r\n\r\n"
    data += b"%x\r\n%s\r\n0\r\nX-Floorline-Floor: 2\r\n\r\n" % (len(CHAT), CHAT)
    assert ask(gateway, data)[0] == 200


def test_slow_headers_are_408(limited):
    gateway = limited(**FAST)
    for first in (POST, b"P", POST + b"X: "):
        with connect(gateway) as connection:
            connection.sendall(first)
            status, body = answer_on(connection)
            assert (status, body["error"]["code"]) == (408, "header_timeout")
            assert is_closed(connection)


@pytest.mark.parametrize("piece", [b"\r\n", b"X: y\r\n"])
def test_headers_that_trickle_earn_no_time(limited, piece):
    gateway = limited(**FAST)
    with connect(gateway) as connection, contextlib.suppress(OSError):
        connection.sendall(POST if piece != b"\r\n" else b"")
        # Fewer than the headers that a request may have, over more than the time for them.
        for _ in range(60):
            if gateway_closed(connection):
                break
            connection.sendall(piece)
            time.sleep(0.1)
        assert gateway_closed(connection)


def gateway_closed(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1000) != b"never"
    except BlockingIOError:
        return False
    finally:
        connection.setblocking(True)


def test_a_connection_that_sends_nothing_is_closed(limited):
    gateway = limited(**FAST)
    with connect(gateway) as connection:
        assert is_closed(connection)
    with connect(gateway) as connection:
        connection.sendall(whole())
        assert answer_on(connection)[0] == 200
        assert is_closed(connection)


def test_slow_bodies_are_408(limited):
    with slow_bodies(limited(**FAST)) as slow:
        for connection in slow:
            status, body = answer_on(connection)
            assert (status, body["error"]["code"]) == (408, "body_timeout")


def test_slow_bodies_hold_no_slot(limited):
    gateway = limited(**FAST | {"body_timeout": 600}, max_in_flight=20)
    with slow_bodies(gateway) as slow:
        assert_serves(gateway)
        wait_until(lambda: gateway.gateway.admission.in_flight == 0)
        assert len(gateway.connections) >= len(slow)
    wait_until(lambda: gateway.gateway.admission.in_flight == 0)


@contextlib.contextmanager
def slow_bodies(gateway):
    """Connections on each of which a request's body has begun."""
    with contextlib.ExitStack() as opened:
        slow = [opened.enter_context(connect(gateway)) for _ in range(40)]
        for connection in slow:
            connection.sendall(POST + b"Content-Length: 5000\r\n\r\n{")
        yield slow


def test_a_body_that_arrives_steadily_has_the_time_it_needs(limited):
    gateway = limited(**FAST)
    body = CHAT[:-1] + b" " * 100_000 + b"}"
    with connect(gateway) as connection:
        connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(body))
        step = len(body) // 20 + 1
        for at in range(0, len(body), step):
            connection.sendall(body[at : at + step])
            time.sleep(0.1)
        assert answer_on(connection)[0] == 200


def test_a_client_that_does_not_read_is_closed(limited, monkeypatch):
    gateway = limited(**FAST)
    large = b"x" * 30_000_000

    async def endless(self):
        return large

    from floorline.gateway.upstreams.answer import Answer

    monkeypatch.setattr(Answer, "body", endless)
    monkeypatch.setattr("floorline.gateway.http_protocol._BYTES_PER_SECOND", 10**9)
    with connect(gateway) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(whole())
        assert_serves_health(gateway)
        wait_until(lambda: closed(gateway)["send_timeout"] == 1)
        wait_until(lambda: len(gateway.connections) == 0)
        wait_until(lambda: gateway.gateway.admission.in_flight == 0)


def assert_serves_health(gateway):
    assert ask(gateway, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 200


def closed(gateway):
    return gateway.connections.closed


def test_idle_and_slow_clients_keep_nobody_out(limited):
    gateway = limited(max_connections=30)
    held = []
    try:
        for number in range(200):
            connection = connect(gateway)
            connection.sendall([b"", b"G", POST, POST + b"Content-Length: 9\r\n\r\n{"][number % 4])
            held.append(connection)
            if number % 20 == 0:
                assert_serves(gateway)
        assert len(gateway.connections) <= 31
        wait_until(lambda: closed(gateway)["replaced"] >= 165)
        # The newest are still there.
        assert not is_closed(held[-1], within=0.2)
        assert is_closed(held[0])
    finally:
        for connection in held:
            connection.close()


def test_health_is_answered_while_all_connections_are_busy(start, tmp_path):
    """Every connection waits for its provider, and none may be replaced."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        limits = {"max_connections": 20}
        text = write_settings(f"http://127.0.0.1:{port}", server={"limits": limits})
        gateway = start(text, tmp_path)
        held = []
        try:
            for _ in range(20):
                held.append(connect(gateway))
                held[-1].sendall(whole())
            wait_until(lambda: gateway.gateway.admission.in_flight == 20)
            assert_serves_health(gateway)
            status, body = ask(gateway, whole())
            assert (status, body["error"]["code"]) == (503, "too_many_connections")
            assert all(not is_closed(one, within=0.01) for one in held)
            extra = [connect(gateway) for _ in range(40)]
            assert sum(is_closed(one, within=0.2) for one in extra) >= 20
            for one in extra:
                one.close()
        finally:
            for one in held:
                one.close()
        wait_until(lambda: gateway.gateway.admission.in_flight == 0)


def test_a_connection_ends_after_its_requests(limited):
    gateway = limited(keep_alive_requests=3)
    with connect(gateway) as connection:
        for left in (2, 1, 0):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert answer.read()
            assert (answer.getheader("connection") == "close") is (left == 0)
        assert is_closed(connection)


def test_pipelined_requests_are_answered_in_order_and_bounded(limited):
    gateway = limited()
    one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connect(gateway) as connection:
        connection.sendall(one * 4 + one.replace(b"/healthz", b"/nothing"))
        found = b""
        while b"HTTP/1.1 404" not in found:
            found += connection.recv(65536)
        assert found.count(b"HTTP/1.1 200 OK\r\n") == 4
        assert found.index(b"HTTP/1.1 404") > found.rindex(b"HTTP/1.1 200")
    with connect(gateway) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(one * 10_000)
        assert is_closed(connection)
    assert closed(gateway)["pipelined"] == 1
    assert_serves(gateway)


def test_bytes_after_a_request_do_not_spoil_its_answer(limited):
    gateway = limited()
    with connect(gateway) as connection:
        connection.sendall(whole() + b"\x00\x01 no request")
        found = answer_on(connection)
        # The answer, or a refusal of the whole: never one inside the other.
        assert found is None or found[0] in (200, 400)
    assert_serves(gateway)


def test_an_answer_before_the_end_of_the_body(limited):
    gateway = limited()
    with connect(gateway) as connection:
        connection.sendall(
            b"POST /v1/route HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000000\r\n\r\n"
        )
        assert answer_on(connection)[0] == 415
        assert is_closed(connection)


@pytest.mark.parametrize(
    ("soft", "hard", "configured", "most"),
    [
        (256, 256, None, 80),
        (256, 1024, None, 464),
        (1024, resource.RLIM_INFINITY, None, 4096),
        (1024, 1024, 100, 100),
        (1024, 1024, 2000, 464),
        (32, 32, None, 16),
    ],
)
def test_half_of_the_files_are_for_clients(monkeypatch, caplog, soft, hard, configured, most):
    limits = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda kind: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, new: limits.__setitem__(0, new[0]))
    assert connection_limit(configured) == most
    assert limits[0] == (min(hard, 2**20) if hard != resource.RLIM_INFINITY else 2**20)
    assert ("raise the limit (ulimit -n)" in caplog.text) is (configured == 2000)


def test_a_limit_that_may_not_be_raised_is_kept(monkeypatch):
    def refuse(kind, new):
        raise PermissionError

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (256, 1024))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert connection_limit(None) == 80
