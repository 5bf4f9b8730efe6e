"""The section ``aliases``."""

import json

import pytest

from floorline.config import load_text
from floorline.errors import ConfigError

FILE = {
    "models": [{"name": "small", "endpoint": "http://127.0.0.1:1/v1"}],
    "slas": [{"name": "gold", "floor": 0.9}],
}


def load(aliases):
    return load_text(json.dumps({**FILE, "aliases": aliases}), environ={})


def test_aliases_of_slas_and_models():
    given = {"claude-*": "floorline/gold", "*": "floorline/auto", "gpt-5": "small"}
    assert list(load(given).aliases.items()) == list(given.items())
    assert load({}).aliases == {}


@pytest.mark.parametrize(
    ("aliases", "message"),
    [
        ({"a": "floorline/gol"}, "aliases.a is 'floorline/gol': did you mean 'floorline/gold'?"),
        ({"a": "large"}, "aliases.a is 'large': "),
        ({"floorline/x": "small"}, "that does not begin with floorline/"),
        ({"*****": "small"}, "with at most 4 stars"),
        ({"x" * 300: "small"}, "give a name of at most "),
        ({f"a{n}": "small" for n in range(101)}, "give at most 100 names"),
        ({"a": ["small"]}, "aliases.a"),
        ("claude", "aliases"),
    ],
)
def test_a_bad_alias_is_named_with_a_fix(aliases, message):
    with pytest.raises(ConfigError) as error:
        load(aliases)
    assert message in str(error.value)
