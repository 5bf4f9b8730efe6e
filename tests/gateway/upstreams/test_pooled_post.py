"""Requests that are sent without aiohttp's session."""

import asyncio

import aiohttp
import pytest
from yarl import URL

from floorline.gateway.upstreams.connections import open_session
from floorline.gateway.upstreams.pooled_post import PostTarget, pooled_post, request_head


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\0b"])
def test_no_header_begins_another_line(value):
    with pytest.raises(ValueError, match="line break"):
        request_head(URL("http://host/v1"), {"X-Trace": value})


@pytest.mark.parametrize("name", ["Transfer-Encoding", "content-length", "Expect", "Connection"])
def test_a_session_sends_what_is_framed_otherwise(name):
    assert request_head(URL("http://host/v1"), {name: "1"}) is None


def test_a_user_in_the_url_is_left_to_the_session():
    assert request_head(URL("http://user:secret@host/v1"), {}) is None


def test_the_server_gets_the_same_request_as_from_a_session():
    url, headers, body = "/v1/chat?a=b%20c", {"Accept": "*/*", "X-Key": "é"}, b'{"n":1}'

    async def ask():
        seen, answered = [], asyncio.Event()

        async def serve(reader, writer):
            while head := await reader.readuntil(b"\r\n\r\n"):
                seen.append((head, await reader.readexactly(len(body))))
                writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                if len(seen) == 2:
                    break
            answered.set()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        fixed = {"Accept-Encoding": "identity", "User-Agent": "t", "Content-Type": "a/b"}
        given = {**headers, **fixed}
        async with server, open_session(15.0) as session:
            target = PostTarget("POST", URL(host), loop=asyncio.get_running_loop())
            head = request_head(URL(host + url, encoded=True), given)
            data = head + b"%d\r\n\r\n%s" % (len(body), body)
            timeout = aiohttp.ClientTimeout(connect=60.0)
            answer = await pooled_post(session.connector, target, timeout, data)
            first = answer.status, await answer.content.read()
            usual = await session.post(URL(host + url, encoded=True), data=body, headers=given)
            second = usual.status, await usual.read()
            await asyncio.wait_for(answered.wait(), 60.0)
        return seen, first, second

    (mine, usual), first, second = asyncio.run(ask())
    assert first == second == (200, b"{}")
    # The order of headers means nothing.
    assert sorted(mine[0].split(b"\r\n")) == sorted(usual[0].split(b"\r\n"))
    assert mine[1] == usual[1] == body
