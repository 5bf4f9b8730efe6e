"""Aliases: which names fit which patterns, and in what time."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.gateway.model_names import _fits

TEXTS = st.text("ab*", max_size=8)


@given(name=st.text("ab*\n", max_size=12), pattern=TEXTS)
def test_a_star_stands_for_any_text(name, pattern):
    expression = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
    assert _fits(name, pattern) == (expression.fullmatch(name) is not None)


@pytest.mark.parametrize("name", ["claudehaiku" * 100_000, "x" * 10**6])
def test_a_long_name_takes_no_power_of_its_length(name):
    began = time.process_time()
    assert not _fits(name, "*claude*haiku*claude*y")
    # A regular expression takes minutes for a tenth of this length.
    assert time.process_time() - began < 5.0
