"""References to items of translated answers."""

import pytest

from floorline.gateway.dialects.responses.item_memory import ItemMemory
from floorline.gateway.errors import ApiError

LIMIT = 10**6


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def item(id, text="a"):
    return {"type": "message", "id": id, "role": "assistant", "content": text}


def reference(id):
    return {"type": "item_reference", "id": id}


def test_only_the_owner_finds_its_items():
    memory = ItemMemory(Clock())
    memory.keep("a", [item("msg_1")])
    given = [{"role": "user", "content": "b"}, reference("msg_1"), {"id": "msg_1"}]
    assert memory.resolved("a", given, LIMIT) == [given[0], item("msg_1"), item("msg_1")]
    assert memory.resolved("b", given, LIMIT) == given
    assert memory.resolved("a", "text", LIMIT) == "text"


def test_items_are_kept_for_a_while():
    clock = Clock()
    memory = ItemMemory(clock, max_seconds=10)
    memory.keep("", [item("msg_1")])
    clock.now = 9
    assert memory.resolved("", [reference("msg_1")], LIMIT) == [item("msg_1")]
    clock.now = 11
    assert memory.resolved("", [reference("msg_1")], LIMIT) == [reference("msg_1")]
    memory.keep("", [item("msg_2")])
    assert len(memory._kept) == 1


def test_items_are_kept_up_to_a_size():
    memory = ItemMemory(Clock(), max_bytes=4_000)
    for n in range(100):
        memory.keep("", [item(f"msg_{n}", "x" * 100)])
    found = [memory.resolved("", [reference(f"msg_{n}")], LIMIT)[0] for n in range(100)]
    kept = [one for one in found if one["type"] == "message"]
    assert [one["id"] for one in kept] == [f"msg_{n}" for n in range(100 - len(kept), 100)]
    assert 5 < len(kept) < 12
    memory.keep("", [item("large", "x" * 10_000)])
    assert memory._bytes == len(memory._kept) == 0


def test_references_are_bounded_by_the_bytes_of_their_items():
    memory = ItemMemory(Clock())
    memory.keep("", [item("msg_1", "x" * 1_000)])
    assert len(memory.resolved("", [reference("msg_1")] * 9, 10_000)) == 9
    with pytest.raises(ApiError, match="more than 10,000 bytes") as caught:
        memory.resolved("", [reference("msg_1")] * 10_000, 10_000)
    assert caught.value.status == 413
