"""Bodies of requests are read up to a limit and decoded into a type."""

import asyncio

import msgspec
import pytest

from floorline.gateway.api.body import decode_body, read_body
from floorline.gateway.body_memory import BodyMemory
from floorline.gateway.errors import ApiError


class Item(msgspec.Struct):
    name: str
    count: int = 0


def read(*messages, limit=10, memory=100, headers=()):
    """Read a body that arrives in ASGI messages; also how many of them were read."""
    scope = {"headers": list(headers)}
    left = list(messages)

    async def receive():
        return left.pop(0)

    with BodyMemory(lambda: memory).request() as taken:
        return asyncio.run(read_body(scope, receive, limit, taken)), len(messages) - len(left)


def part(body, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


DISCONNECT = {"type": "http.disconnect"}


@pytest.mark.parametrize(
    "messages",
    [
        [part(b"1234567890", more=False)],
        [part(b"12345"), part(b""), part(b"67890", more=False)],
        [part(b"1234567890"), {"type": "http.request"}],
    ],
)
def test_a_body_is_joined_from_its_parts(messages):
    assert read(*messages) == (b"1234567890", len(messages))


def test_an_empty_body():
    assert read({"type": "http.request"})[0] == b""


@pytest.mark.parametrize(
    "messages",
    [
        [part(b"12345678901", more=False)],
        [part(b"12345"), part(b"678901"), part(b"never read")],
    ],
)
def test_a_body_above_the_limit_is_413(messages):
    with pytest.raises(ApiError, match=r"larger than 10 bytes \(server\.max_body\)") as caught:
        read(*messages)
    assert (caught.value.status, caught.value.code) == (413, "body_too_large")


@pytest.mark.parametrize("messages", [[DISCONNECT], [part(b"123"), DISCONNECT]])
def test_a_client_that_disconnects_before_the_end(messages):
    with pytest.raises(ApiError, match="disconnected before the end of the body"):
        read(*messages)


def test_a_body_is_decoded_into_its_type():
    assert decode_body(b'{"name": "a", "count": 2}', Item) == Item("a", 2)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"name": 3}', r"Expected `str`, got `int` - at `\$.name`"),
        (b"{}", "required field `name`"),
        (b"{", "truncated"),
        (b'{"name": "\xff"}', "UTF-8|utf-8"),
        (b"[" * 100_000, "malformed"),
    ],
)
def test_a_malformed_body_is_400_and_names_the_field(body, problem):
    with pytest.raises(ApiError, match=problem) as caught:
        decode_body(body, Item)
    assert (caught.value.status, caught.value.code) == (400, "invalid_body")


def test_all_bodies_together_are_bounded():
    pieces = [part(b"12345"), part(b"67890", more=False)]
    assert read(*pieces, memory=10)[0] == b"1234567890"
    with pytest.raises(ApiError, match=r"take 9 bytes \(server\.max_body_memory\)") as caught:
        read(*pieces, memory=9)
    assert (caught.value.status, caught.value.headers["retry-after"]) == (503, "1")
    # One that arrives in one piece is not counted.
    assert read(part(b"1234567890", more=False), memory=1)[0] == b"1234567890"


def test_the_memory_of_a_body_is_released():
    memory = BodyMemory(lambda: 10)
    with memory.request() as one, memory.request() as other:
        one.take(6)
        with pytest.raises(ApiError):
            other.take(5)
        other.take(4)
        assert memory.held == 10
    assert memory.held == 0
    with pytest.raises(ApiError), memory.request() as one:
        one.take(11)
    assert memory.held == 0


@pytest.mark.parametrize(
    "body",
    [b"[" + b"[]," * 100_000 + b"[]]", b"[" + b'{"a":1},' * 100_000 + b"1]", b"[" * 100_001],
)
def test_the_values_of_a_large_body_are_bounded(body):
    with pytest.raises(ApiError, match="more than 100,000 lists and objects") as caught:
        read(part(body, more=False), limit=10**8, memory=10**9)
    assert caught.value.status == 413


def test_what_a_large_body_is_decoded_to_is_counted():
    body = b"[" + b"1," * 100_000 + b"1]"
    assert read(part(body, more=False), limit=10**8, memory=5_100_000)[0] == body
    with pytest.raises(ApiError, match=r"server\.max_body_memory"):
        read(part(body, more=False), limit=10**8, memory=4_900_000)
    text = b'"' + b"x" * 1_000_000 + b'"'
    assert read(part(text, more=False), limit=10**8, memory=0)[0] == text
