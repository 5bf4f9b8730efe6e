"""Configurations check their numbers against what their fields declare."""

from typing import Annotated

import pytest

from floorline.core.config import Config, Constant, constants
from floorline.errors import InvalidInput


class Base(Config, frozen=True, kw_only=True):
    name: str = "any"
    share: Annotated[float, Constant("share", "A share.", "made up", high=1.0, off=0.0)] = 0.5


class Longer(Base, frozen=True, kw_only=True):
    count: Annotated[int, Constant("pieces", "A count.", "made up", low=1.0)] = 3


def test_declarations_of_the_base_come_first():
    assert list(constants(Longer)) == ["share", "count"]
    assert constants(Longer)["share"].off == 0.0


def test_numbers_take_the_declared_form():
    config = Longer(share=1, count=4.0)
    assert (type(config.share), type(config.count)) == (float, int)
    assert config == Longer(share=1.0, count=4)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"share": 1.5}, r"Longer\.share is 1\.5: give a number from 0 to 1 \(share\)"),
        ({"share": "half"}, r"Longer\.share is 'half'"),
        ({"count": 0}, r"Longer\.count is 0: give a whole number of 1 or more \(pieces\)"),
        ({"count": 2.5}, r"Longer\.count is 2\.5: give a whole number"),
        ({"length": 1}, "Longer is 'length': choose one of: name, share, count"),
    ],
)
def test_bad_values_are_refused_by_field_value_and_fix(changes, text):
    with pytest.raises(InvalidInput, match=text):
        Longer().changed(**changes)
