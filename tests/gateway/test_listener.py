"""Listening on a unix socket, and with TLS, as `floorline serve` does."""

import os
import shutil
import socket
import ssl
import stat
import subprocess
import time

import httpx2 as httpx
import msgspec
import pytest
from tests.support.live_gateway import write_settings
from tests.support.serving import Serving

from floorline.config import load_text
from floorline.errors import ConfigError, FloorlineError
from floorline.gateway.listener import listening

pytestmark = pytest.mark.slow

CHAT = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")


def settings(folder, **server):
    text = write_settings("http://127.0.0.1:1", server=server)
    return load_text(text, folder=folder, environ={"TLS_PASSWORD": "secret"}).server


@pytest.fixture
def serve(tmp_path, provider):
    """Start `floorline serve` in a process; it is stopped after the test."""
    started = []

    def begin(*options, **server):
        if "unix_socket" not in server and not options:
            options = ("--port", "0")
        serving = Serving(tmp_path, write_settings(provider, server=server))
        started.append(serving.start(options=options))
        return serving

    yield begin
    for one in started:
        if one.process.poll() is None:
            assert one.stop() == 0


def unix_client(path):
    transport = httpx.HTTPTransport(uds=str(path))
    return httpx.Client(transport=transport, base_url="http://any.example", timeout=60)


def certificate(folder, name="tls", subject="localhost", key=None):
    """Make a certificate and its key; return their paths."""
    made, key = folder / f"{name}.pem", key or folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
            *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={subject}"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(made)),
        ],
        check=True,
        capture_output=True,
    )
    return made, key


def test_a_unix_socket(serve, tmp_path):
    serving = serve(unix_socket="fl.sock", unix_socket_mode="0660")
    path = tmp_path / "fl.sock"
    assert serving.url == f"http://unix:{path}:"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with unix_client(path) as client:
        # A proxy sends any Host, and no page of a browser reaches the socket.
        assert client.post("/v1/chat/completions", json=CHAT).status_code == 200
        with client.stream("POST", "/v1/chat/completions", json=CHAT | {"stream": True}) as answer:
            assert answer.read().endswith(b"data: [DONE]\n\n")
        page = {"origin": "https://evil.example"}
        assert client.get("/v1/models", headers=page).status_code == 403
    assert serving.stop() == 0
    assert not path.exists()


def test_a_half_closed_unix_socket(serve, tmp_path):
    serve("--unix-socket", str(tmp_path / "of-option.sock"), port=0)
    body = msgspec.json.encode(CHAT)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(tmp_path / "of-option.sock"))
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        client.shutdown(socket.SHUT_WR)
        came = b""
        while data := client.recv(65536):
            came += data
    assert came.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_half_closed_connection(serve):
    """In a process of its own the gateway has another event loop than in tests."""
    serving = serve()
    body = msgspec.json.encode(CHAT)
    with socket.create_connection(("127.0.0.1", serving.port), 60) as client:
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        client.shutdown(socket.SHUT_WR)
        came = b""
        while data := client.recv(65536):
            came += data
    assert came.startswith(b"HTTP/1.1 200 OK\r\n")


def test_names_of_a_unix_socket_can_be_limited(serve, tmp_path):
    serve(unix_socket="fl.sock", allowed_hosts=["llm.example.com"])
    with unix_client(tmp_path / "fl.sock") as client:
        assert client.get("/v1/models").status_code == 403
        good = {"host": "llm.example.com"}
        assert client.get("/v1/models", headers=good).status_code == 200


def test_a_socket_that_a_killed_process_left(serve, tmp_path):
    serving = serve(unix_socket="fl.sock")
    serving.kill()
    path = tmp_path / "fl.sock"
    assert path.exists()
    serve(unix_socket="fl.sock")
    with unix_client(path) as client:
        assert client.get("/readyz").status_code == 200


def test_a_socket_in_use_is_left_alone(tmp_path):
    found = settings(tmp_path, unix_socket="fl.sock")
    with listening(found) as listener:
        listener.socket.setblocking(True)
        with (
            pytest.raises(FloorlineError, match="another process listens there: stop it"),
            listening(found),
        ):
            raise AssertionError
        assert (tmp_path / "fl.sock").exists()
    assert not (tmp_path / "fl.sock").exists()


def test_only_its_own_socket_is_removed(tmp_path):
    found = settings(tmp_path, unix_socket="fl.sock")
    with listening(found):
        (tmp_path / "fl.sock").unlink()
        (tmp_path / "fl.sock").write_text("of someone else")
    assert (tmp_path / "fl.sock").read_text() == "of someone else"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("there", "there is a file that is no socket: give another path"),
        ("folder", "there is a file that is no socket"),
        ("no/such/folder.sock", "No such file or directory: give a file in a folder that exists"),
    ],
)
def test_a_path_that_cannot_be_a_socket(tmp_path, path, why):
    (tmp_path / "there").write_text("precious")
    (tmp_path / "folder").mkdir()
    before = os.umask(0o022)
    os.umask(before)
    with (
        pytest.raises(FloorlineError, match=f"server.unix_socket .*{why}"),
        listening(settings(tmp_path, unix_socket=path)),
    ):
        raise AssertionError
    assert (tmp_path / "there").read_text() == "precious"
    assert os.umask(before) == before


@needs_openssl
def test_tls(serve, tmp_path):
    made, key = certificate(tmp_path)
    serving = serve(tls={"certificate": made.name, "key": key.name}, host="localhost")
    assert serving.url.startswith("https://127.0.0.1:")
    context = ssl.create_default_context(cafile=made)
    url = f"https://localhost:{serving.port}"
    with httpx.Client(base_url=url, verify=context, timeout=60) as client:
        assert client.post("/v1/chat/completions", json=CHAT).status_code == 200
        wrong = client.post("/chat/completions", json=CHAT).json()["error"]["message"]
        assert f"{url}/v1" in wrong
        with client.stream("POST", "/v1/chat/completions", json=CHAT | {"stream": True}) as answer:
            assert answer.read().endswith(b"data: [DONE]\n\n")
    # A renewed certificate is used without a restart, once its files are complete.
    renewed, new_key = certificate(tmp_path, "renewed", "renewed")
    shutil.move(renewed, made)
    time.sleep(0.1)
    shutil.move(new_key, key)
    context = ssl.create_default_context(cafile=made)
    deadline = time.monotonic() + 60
    while True:
        try:
            with httpx.Client(base_url=url, verify=context, timeout=60) as client:
                assert client.get("/healthz").status_code == 200
            break
        except httpx.ConnectError:
            assert time.monotonic() < deadline, "the new certificate is never used"
            time.sleep(0.5)
    assert "the certificate was read again" in serving.said.read_text()


@needs_openssl
def test_clients_certificates(serve, tmp_path):
    made, key = certificate(tmp_path)
    theirs, their_key = certificate(tmp_path, "client")
    tls = {"certificate": made.name, "key": key.name, "client_ca": theirs.name}
    serving = serve(tls=tls)
    context = ssl.create_default_context(cafile=made)
    with (
        httpx.Client(base_url=serving.url, verify=context, timeout=60) as client,
        pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)),
    ):
        client.get("/healthz")
    context.load_cert_chain(theirs, their_key)
    with httpx.Client(base_url=serving.url, verify=context, timeout=60) as client:
        assert client.get("/healthz").status_code == 200


@needs_openssl
@pytest.mark.parametrize(
    ("given", "field", "why"),
    [
        ({"certificate": "no.pem"}, "certificate", "is 'no.pem': give the path of a PEM file"),
        ({"certificate": "."}, "certificate", "Is a directory"),
        ({"certificate": "a.key"}, "certificate", "has no certificate that can be read"),
        ({"certificate": "a.pem"}, "key", "has no private key that can be read"),
        (
            {"certificate": "a.pem", "key": "b.key"},
            "key",
            "which is the key of another certificate: give the key of this certificate",
        ),
        ({"certificate": "a.pem", "key": "locked.key"}, "key", "its password in key_password"),
        (
            {"certificate": "a.pem", "key": "locked.key", "key_password": "wrong"},
            "key",
            "its password in key_password",
        ),
        (
            {"certificate": "a.pem", "key": "a.key", "client_ca": "text"},
            "client_ca",
            "has no certificate that can be read",
        ),
        ({"key": "a.key"}, "certificate", "is missing"),
    ],
)
def test_files_that_do_not_fit(tmp_path, given, field, why):
    certificate(tmp_path, "a")
    certificate(tmp_path, "b")
    (tmp_path / "text").write_text("no PEM")
    lock(tmp_path)
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, tls=given)
    (problem,) = caught.value.problems
    assert f"server.tls.{field} " in problem
    assert why in problem
    assert "wrong" not in problem, "a password is shown"


def lock(folder):
    subprocess.run(
        [
            *("openssl", "ec", "-in", str(folder / "a.key"), "-aes128", "-passout", "pass:secret"),
            *("-out", str(folder / "locked.key")),
        ],
        check=True,
        capture_output=True,
    )


@needs_openssl
def test_a_key_with_a_password_and_one_file_for_both(tmp_path):
    made, key = certificate(tmp_path, "a")
    lock(tmp_path)
    tls = {"certificate": "a.pem", "key": "locked.key", "key_password": "${TLS_PASSWORD}"}
    assert settings(tmp_path, tls=tls).tls is not None
    (tmp_path / "both.pem").write_bytes(made.read_bytes() + key.read_bytes())
    assert settings(tmp_path, tls={"certificate": "both.pem"}).tls is not None
