"""Bodies of requests may be compressed, within the limits of bodies."""

import bz2
import contextlib
import functools
import gzip
import http.client
import json
import random
import shutil
import subprocess
import zlib

import brotli
import httpx2 as httpx
import openai
import pytest
from tests.support.live_gateway import Live, wait_until, write_settings

from floorline.gateway import content_encoding
from floorline.gateway.content_encoding import _import_zstd

zstd = _import_zstd()

CHAT = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
MIB = 2**20


def raw_deflate(data):
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


def with_window(data, bits):
    options = {zstd.CompressionParameter.window_log: bits}
    made = zstd.ZstdCompressor(options=options)
    # The size of the content is not known in advance, so that the window is as it was asked for.
    return made.compress(data) + made.flush()


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "zstd": zstd.compress,
    "br": brotli.compress,
    "identity": lambda data: data,
    "gzip, zstd": lambda data: zstd.compress(gzip.compress(data)),
    "br,identity,gzip,deflate": lambda data: zlib.compress(gzip.compress(brotli.compress(data))),
}
BOMB = b'{"model": "floorline/gold", "messages": [{"role": "user", "content": "' + b" " * (8 * MIB)


@pytest.fixture(scope="module")
def gateway(provider, tmp_path_factory):
    """One gateway for all requests, which leave nothing behind."""
    started = Live(write_settings(provider), tmp_path_factory.mktemp("shared"))
    yield started
    started.stop()


def post(gateway, body, coding, path="/v1/chat/completions"):
    headers = {"content-type": "application/json", "content-encoding": coding}
    return gateway.http.post(path, content=body, headers=headers)


@pytest.fixture
def small(start, provider):
    """A gateway that takes bodies of 1 MiB."""
    return start(write_settings(provider, server={"max_body": "1MiB", "max_body_memory": "4MiB"}))


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_body_is_read(gateway, coding):
    text = json.dumps(CHAT | {"user": "é" * 100_000}).encode()
    answer = post(gateway, CODINGS[coding](text), coding)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"]


def test_every_endpoint_reads_compressed_bodies(administered):
    def sent(path, value, coding, status=200):
        answer = post(administered, CODINGS[coding](json.dumps(value).encode()), coding, path)
        assert answer.status_code == status, answer.text
        return answer.json()

    made = sent("/v1/route", CHAT, "gzip")
    sent("/v1/outcomes", {"id": made["id"], "cost": 0.001}, "zstd")
    assert sent("/v1/feedback", {"decision": made["id"], "satisfied": True}, "br")["changed"]
    refused = sent("/v1/zoo/models", {"name": "x"}, "deflate", 400)
    assert "endpoint" in refused["error"]["message"]


def test_the_body_may_be_sent_in_chunks_and_in_parts(gateway):
    text = json.dumps(CHAT).encode()
    members = gzip.compress(text[:20]) + gzip.compress(b"") + gzip.compress(text[20:])
    frames = zstd.compress(text[:20]) + zstd.compress(text[20:])
    for body, coding in ((members, "gzip"), (frames, "zstd")):
        pieces = [body[n : n + 7] for n in range(0, len(body), 7)]
        assert post(gateway, iter(pieces), coding).status_code == 200


def test_a_coding_of_the_transfer_is_one_of_the_content(gateway):
    body = gzip.compress(json.dumps(CHAT).encode())
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=60)
    with contextlib.closing(connection):
        connection.request(
            "POST",
            "/v1/chat/completions",
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
            {"Content-Type": "application/json", "Transfer-Encoding": "gzip, chunked"},
        )
        assert connection.getresponse().status == 200


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "br", "gzip, gzip", "br, zstd"])
def test_a_bomb_is_refused_before_it_is_decoded(small, coding):
    pack = functools.reduce(
        lambda packed, name: CODINGS[name.strip()](packed), coding.split(","), BOMB
    )
    assert len(pack) < len(BOMB) / 100
    held = []
    memory = small.gateway.bodies

    class Seen(int):
        def __add__(self, more):
            held.append(int(self) + more)
            return Seen(int(self) + more)

        def __sub__(self, less):
            return Seen(int(self) - less)

    memory.held = Seen(0)
    answer = post(small, pack, coding)
    assert answer.status_code == 413
    assert answer.json()["error"]["message"].startswith("the body is larger than 1,048,576 bytes")
    # What is decoded is counted, piece by piece, and decoding ends at the limit.
    assert MIB / 2 < max(held) < 3 * MIB
    wait_until(lambda: memory.held == 0)


def test_decoded_bodies_count_as_bodies(start, provider):
    gateway = start(write_settings(provider, server={"max_body": "1MiB", "max_body_memory": 1}))
    text = json.dumps(CHAT | {"user": "a" * 900_000}).encode()
    assert post(gateway, gzip.compress(text), "gzip").status_code == 200
    wait_until(lambda: gateway.gateway.bodies.held == 0)
    with gateway.gateway.bodies.request() as other:
        other.take(200_000)
        answer = post(gateway, gzip.compress(text), "gzip")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_lists_of_a_decoded_body_are_counted(small):
    answer = post(small, gzip.compress(b"[" * 200_000), "gzip")
    assert answer.status_code == 413
    assert "lists and objects" in answer.json()["error"]["message"]


def cut(data):
    return data[:-5]


def flipped(data):
    middle = len(data) // 2
    return (
        data[:middle] + bytes([data[middle] ^ 0xFF, data[middle + 1] ^ 0xFF]) + data[middle + 2 :]
    )


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "br"])
@pytest.mark.parametrize(
    "spoil", [cut, lambda data: b"", lambda data: b'{"model": 1}', lambda data: data + b"more"]
)
def test_what_is_no_compressed_data_is_400(gateway, coding, spoil):
    answer = post(gateway, spoil(CODINGS[coding](json.dumps(CHAT).encode())), coding)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "invalid_encoding"
    assert f"the body is no {coding} data" in error["message"]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_damaged_data_is_refused(gateway, coding):
    random.seed(3)
    text = json.dumps(CHAT | {"user": random.randbytes(500).hex()}).encode()
    answer = post(gateway, flipped(CODINGS[coding](text)), coding)
    assert answer.status_code == 400


def test_many_empty_parts_take_no_time(small):
    answer = post(small, gzip.compress(b"") * 40_000, "gzip")
    assert answer.status_code == 400
    assert "more than 5,000 parts" in answer.json()["error"]["message"]


def test_a_window_that_takes_too_much_memory(gateway):
    text = json.dumps(CHAT).encode()
    assert post(gateway, with_window(text, 25), "zstd").status_code == 200
    answer = post(gateway, with_window(text, 27), "zstd")
    assert answer.status_code == 400
    assert "its window is larger than 32 MiB" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("coding", "said"),
    [
        ("compress", "the Content-Encoding 'compress'"),
        ("bzip2", "send it as gzip, deflate, zstd, br, at most 3 of them"),
        ("gzip, gzip, gzip, gzip", "the body has 4 codings"),
        ("gzip;q=1", "'gzip;q=1'"),
    ],
)
def test_an_unknown_coding_is_415(gateway, coding, said):
    answer = post(gateway, bz2.compress(json.dumps(CHAT).encode()), coding)
    assert answer.status_code == 415
    assert answer.headers["accept-encoding"] == "gzip, deflate, zstd, br"
    assert said in answer.json()["error"]["message"]


def test_a_coding_without_its_package_is_415(gateway, monkeypatch):
    monkeypatch.setattr(content_encoding, "_installed", lambda coding: coding != "br")
    answer = post(gateway, brotli.compress(json.dumps(CHAT).encode()), "br")
    assert answer.status_code == 415
    assert "pip install 'floorline[gateway]'" in answer.json()["error"]["message"]
    assert answer.headers["accept-encoding"] == "gzip, deflate, zstd"


def test_the_openai_client_may_compress(gateway):
    def pack(request):
        body = gzip.compress(request.read())
        request.headers["content-encoding"] = "gzip"
        request.headers["content-length"] = str(len(body))
        request.stream = httpx.ByteStream(body)

    with (
        httpx.Client(event_hooks={"request": [pack]}) as http,
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", http_client=http) as client,
    ):
        answer = client.chat.completions.create(**CHAT)
    assert answer.choices[0].message.content


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_curl_sends_a_compressed_body_after_100_continue(gateway, tmp_path):
    random.seed(4)
    text = json.dumps(CHAT | {"user": random.randbytes(1_200_000).hex()}).encode()
    body = tmp_path / "body.gz"
    body.write_bytes(gzip.compress(text))
    assert body.stat().st_size > MIB, "curl announces bodies of this size"
    done = subprocess.run(
        [
            *("curl", "-sv", f"{gateway.url}/v1/chat/completions", "--data-binary", f"@{body}"),
            *("-H", "Content-Type: application/json", "-H", "Content-Encoding: gzip"),
        ],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert b"100 Continue" in done.stderr
    assert json.loads(done.stdout)["choices"]
