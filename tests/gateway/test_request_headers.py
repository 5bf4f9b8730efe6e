"""Headers that are looked up in a table are those of Starlette."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from floorline.gateway.request_headers import RequestHeaders

NAMES = st.sampled_from(("accept", "x-session-id", "x-a"))
VALUES = st.text(st.characters(max_codepoint=255), max_size=5)
LINES = st.lists(st.tuples(NAMES, VALUES), max_size=6)


@given(LINES)
def test_headers_are_those_of_starlette(lines):
    raw = [(name.encode(), value.encode("latin-1")) for name, value in lines]
    ours, theirs = RequestHeaders({"headers": raw}), Headers(raw=raw)
    for name in ("accept", "Accept", "X-Session-Id", "x-a", "missing"):
        assert (name in ours) == (name in theirs)
        assert ours.get(name) == theirs.get(name)
        assert ours.get(name, "none") == theirs.get(name, "none")
        assert ours.getlist(name) == theirs.getlist(name)
        if name in theirs:
            assert ours[name] == theirs[name]
    assert ours.items() == theirs.items()
    assert ours == theirs


def test_a_header_that_is_missing_is_an_error_that_names_it():
    with pytest.raises(KeyError, match="x-none"):
        RequestHeaders({"headers": [(b"a", b"b")]})["x-none"]
