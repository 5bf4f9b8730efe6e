"""Calls that share an id, as those of servers do that number the calls of each answer from 0."""

import time

from floorline.gateway.dialects.conversation import ToolCallPart, ToolResultPart, Turn
from floorline.gateway.dialects.tool_pairs import paired


def calls(*ids):
    return Turn("assistant", [ToolCallPart(id, "f", "") for id in ids])


def results(*ids):
    return Turn("user", [ToolResultPart(id, []) for id in ids])


def test_calls_of_one_id_get_the_next_free_ones():
    found = paired([calls("a", "a_3", "a"), results("a", "a"), calls("a")], [])
    assert [part.id for turn in found[::2] for part in turn.parts] == ["a", "a_3", "a_2", "a_4"]
    assert [part.call for part in found[1].parts] == ["a", "a_3", "a_2"]


def test_many_calls_of_one_id_take_no_square_of_time():
    many = ["a"] * 40_000
    began = time.process_time()
    found = paired([calls(*many), results(*many)], [])
    assert len({part.id for part in found[0].parts}) == len(found[1].parts) == len(many)
    # The square took 70 s.
    assert time.process_time() - began < 20.0
