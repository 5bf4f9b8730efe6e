"""Shapes of HTTP requests that clients and proxies really send."""

import asyncio
import http.client
import json
import logging
import shutil
import socket
import subprocess

import pytest
from tests.support import faulty_provider as fp
from tests.support.live_gateway import InThread, Live, wait_until, write_settings

CHAT = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
BODY = json.dumps(CHAT).encode()
STREAM = json.dumps(CHAT | {"stream": True}).encode()
PATH = b"/v1/chat/completions"


class LateProvider(fp.FaultyProvider):
    """Answers after a fifth of a second."""

    async def _sound(self, connection):
        await asyncio.sleep(0.2)
        await super()._sound(connection)


@pytest.fixture
def late_provider():
    served = InThread(LateProvider())
    yield served.value.base_url.removesuffix("/v1")
    served.stop()


@pytest.fixture(scope="module")
def gateway(provider, tmp_path_factory):
    """One gateway for all requests, which leave nothing behind."""
    started = Live(write_settings(provider), tmp_path_factory.mktemp("shared"))
    yield started
    started.stop()


def post(path=PATH, body=BODY, more=b"", version=b"1.1", kind=b"application/json"):
    return (
        b"POST %s HTTP/%s\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n%s"
    ) % (path, version, kind, len(body), more, body)


def get(path, method=b"GET", more=b"", version=b"1.1"):
    return b"%s %s HTTP/%s\r\nHost: localhost\r\n%s\r\n" % (method, path, version, more)


def connect(gateway):
    return socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2])), 60)


def answer_on(connection, method="POST"):
    answer = http.client.HTTPResponse(connection, method=method)
    answer.begin()
    return answer


def ask(gateway, data, method="POST"):
    """Status, headers and body that come back."""
    with connect(gateway) as connection:
        connection.sendall(data)
        answer = answer_on(connection, method)
        return answer.status, answer.headers, answer.read()


def raw(gateway, data):
    """All bytes until the server closes the connection."""
    with connect(gateway) as connection:
        connection.sendall(data)
        came = b""
        while piece := connection.recv(65536):
            came += piece
        return came


def assert_answered(gateway, data):
    status, _, body = ask(gateway, data)
    assert status == 200, body
    assert json.loads(body)["choices"]


@pytest.mark.parametrize("more", [b"", b"Connection: keep-alive\r\n", b"Connection: close\r\n"])
def test_whole_answers_to_http_1_0(gateway, more):
    came = raw(gateway, post(version=b"1.0", more=more))
    head, _, body = came.partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head
    assert b"connection: close" in head
    assert b"transfer-encoding" not in head
    assert json.loads(body)["choices"]


def test_streams_to_http_1_0_end_with_the_connection(gateway):
    came = raw(gateway, post(body=STREAM, version=b"1.0"))
    head, _, body = came.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"content-length" not in head
    assert b"connection: close" in head
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("path", [b"/healthz", b"/metrics", b"/nothing", b"/v1/models"])
def test_every_answer_to_http_1_0_has_a_length_or_ends(gateway, path):
    head, _, body = raw(gateway, get(path, version=b"1.0")).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"content-length: %d" % len(body) in head
    assert raw(gateway, get(path, b"HEAD", version=b"1.0")).endswith(b"\r\n\r\n")


def test_http_1_0_needs_no_host_and_gets_no_interim_answer(gateway):
    request = post(version=b"1.0", more=b"Expect: 100-continue\r\n")
    assert raw(gateway, request).startswith(b"HTTP/1.1 200 OK\r\n")
    assert raw(gateway, request.replace(b"Host: localhost\r\n", b"")).startswith(b"HTTP/1.1 200 ")
    wrong = request.replace(b"Host: localhost", b"Host: evil.example")
    assert raw(gateway, wrong).startswith(b"HTTP/1.1 403 ")
    without = post().replace(b"Host: localhost\r\n", b"")
    assert ask(gateway, without)[0] == 400


@pytest.mark.parametrize("body", [BODY, STREAM])
@pytest.mark.parametrize(
    "offer",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAA\r\n",
        b"Upgrade: h2c\r\nConnection: upgrade\r\n",
        b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
        b"Connection: Upgrade\r\nUpgrade: TLS/1.2, h2c\r\n",
    ],
)
def test_an_offer_to_upgrade_loses_no_body(gateway, offer, body):
    """As the HTTP client of Java sends it with each request without TLS."""
    request = post(body=body, more=offer)
    with connect(gateway) as connection:
        for _ in range(3):
            connection.sendall(request)
            answer = answer_on(connection)
            assert answer.status == 200
            assert b"choices" in answer.read()
        # In pieces, and with the next request behind it.
        for start in range(0, len(request), 50):
            connection.sendall(request[start : start + 50])
        assert b"choices" in answer_on(connection).read()


def test_limits_hold_for_requests_that_offer_to_upgrade(gateway):
    offer = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    status, _, body = ask(gateway, post(more=offer + b"X: 1\r\n" * 99))
    assert (status, json.loads(body)["error"]["code"]) == (431, "too_many_headers")
    status, _, body = ask(gateway, post(more=offer + b"X: " + b"x" * 70_000 + b"\r\n"))
    assert (status, json.loads(body)["error"]["code"]) == (431, "headers_too_large")
    head = post(more=offer).partition(b"\r\n\r\n")[0].replace(b"Length: ", b"Length: 9999999")
    assert ask(gateway, head + b"\r\n\r\n")[0] == 413
    chunked = post(body=b"", more=offer).replace(
        b"Content-Length: 0", b"Transfer-Encoding: chunked"
    )
    assert_answered(gateway, chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))


@pytest.mark.parametrize(
    "target",
    [
        b"http://localhost/v1/models",
        b"HTTP://localhost:8080/v1/models?x=1",
        b"https://llm.example.com/v1/models/",
        b"/v1/models?api-version=1&after=%2F",
        b"/v1/models#fragment",
    ],
)
def test_targets_of_requests(gateway, target):
    status, _, body = ask(gateway, get(target), "GET")
    assert status == 200, body
    assert json.loads(body)["data"]


@pytest.mark.parametrize("target", [b"http://localhost", b"http://localhost/", b"http://[::1]?x"])
def test_a_target_without_a_path(gateway, target):
    status, _, body = ask(gateway, get(target), "GET")
    assert status == 200
    assert json.loads(body)["object"] == "floorline"


def test_the_host_of_a_target_does_not_replace_the_header(gateway):
    request = get(b"http://localhost/v1/models").replace(b"Host: localhost", b"Host: evil.example")
    assert ask(gateway, request, "GET")[0] == 403


def test_a_body_that_waits_for_100_continue(gateway):
    head, _, body = post(more=b"Expect: 100-Continue\r\n").partition(b"\r\n\r\n")
    with connect(gateway) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert answer_on(connection).status == 200


@pytest.mark.parametrize(
    ("more", "status"),
    [
        (b"Content-Encoding: lzma\r\n", 415),
        (b"Origin: https://evil.example\r\n", 403),
        (b"Content-Length: 99999999\r\n", 413),
    ],
)
def test_what_is_refused_needs_no_body(gateway, more, status):
    request = get(
        PATH, b"POST", b"Content-Type: application/json\r\nExpect: 100-continue\r\n" + more
    )
    if b"Content-Length" not in more:
        request = request.replace(b"Expect", b"Content-Length: 10\r\nExpect")
    with connect(gateway) as connection:
        connection.sendall(request)
        assert answer_on(connection).status == status


@pytest.mark.parametrize(
    "data",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        post(more=b"X: " + b"x" * 70_000 + b"\r\n"),
    ],
)
@pytest.mark.parametrize("half", [False, True])
def test_a_refused_client_that_ends_its_side(gateway, data, half, caplog):
    with connect(gateway) as connection:
        connection.sendall(data)
        assert connection.recv(65536).startswith(b"HTTP/1.1 4")
        if half:
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                continue
    wait_until(lambda: len(gateway.connections) == 0)
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.parametrize("then", [b"", post(more=b"X: \x00\r\n"), b"G" * 100])
def test_a_client_that_leaves_with_requests_that_wait(start, late_provider, then, caplog):
    """Each endpoint learns it, not only that of the last request."""
    gateway = start(write_settings(late_provider))
    request = post(more=b"Expect: 100-continue\r\n")
    for count in (1, 3):
        with connect(gateway) as connection:
            connection.sendall(request * count + then)
        wait_until(lambda: len(gateway.connections) == 0)
        wait_until(lambda: gateway.gateway.admission.in_flight == 0)
    gateway.http.get("/healthz")
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_options_of_the_server(gateway):
    status, headers, _ = ask(gateway, get(b"*", b"OPTIONS"), "OPTIONS")
    assert (status, headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, POST")


def test_other_expectations_are_ignored(gateway):
    assert_answered(gateway, post(more=b"Expect: something\r\n"))


@pytest.mark.parametrize(
    "kind",
    [
        b"application/json; charset=utf-8",
        b"application/json;charset=UTF-8",
        b"Application/JSON",
        b"application/json ; x=y",
    ],
)
def test_types_of_json(gateway, kind):
    assert_answered(gateway, post(kind=kind))


@pytest.mark.parametrize(
    "kind", [b"text/plain", b"application/x-www-form-urlencoded", b"", b"json"]
)
def test_other_types_are_told_the_right_one(gateway, kind):
    status, _, body = ask(gateway, post(kind=kind))
    assert status == 415
    assert "'Content-Type: application/json'" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize(
    "more",
    [
        b"Accept: text/event-stream\r\n",
        b"Accept: application/xml\r\n",
        b"Accept-Encoding: gzip, br, zstd\r\n",
        b"Content-Type: application/json\r\n",
        b"X-Floorline-Session: a\r\nX-Floorline-Session: a\r\n",
        b"TE: trailers\r\n",
        b"Connection: keep-alive, te\r\nKeep-Alive: timeout=5\r\n",
    ],
)
def test_headers_that_change_nothing(gateway, more):
    assert_answered(gateway, post(more=more))


def test_requests_one_after_the_other_without_waiting(gateway):
    data = post() + get(b"/healthz") + post(body=STREAM) + post(more=b"Connection: close\r\n")
    came = raw(gateway, data)
    assert came.count(b"HTTP/1.1 200 OK\r\n") == 4
    assert came.count(b"connection: close") == 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
@pytest.mark.parametrize("options", [["--http1.0"], ["--http2"], ["--http1.1", "-H", "Expect:"]])
@pytest.mark.parametrize("body", [BODY, STREAM])
def test_curl(gateway, options, body):
    done = subprocess.run(
        [
            *("curl", "-sS", "--fail", *options, gateway.url + PATH.decode()),
            *("-H", "Content-Type: application/json", "--data-binary", "@-"),
        ],
        input=body,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert b"choices" in done.stdout
    if body is STREAM:
        assert done.stdout.endswith(b"data: [DONE]\n\n")


JAVA = """
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

class Ask {
    public static void main(String[] given) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(given[0]))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(given[1])).build();
        HttpClient client = HttpClient.newHttpClient();
        for (int n = 0; n < 2; n++) {
            HttpResponse<String> answer =
                client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.body().contains("choices"));
        }
    }
}
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java here")
def test_the_client_of_java(gateway, tmp_path):
    program = tmp_path / "Ask.java"
    program.write_text(JAVA)
    done = subprocess.run(
        ["java", program, gateway.url + PATH.decode(), BODY.decode()],
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == [b"200", b"true"] * 2, done.stderr
