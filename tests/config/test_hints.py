"""The section ``hints`` and the hints of single models."""

import pytest

from floorline.config import load_runtime_model
from floorline.config.runtime_models import RuntimeModelSettings
from floorline.errors import ConfigError
from floorline.gateway.config_diff import changes
from floorline.zoo import DEFAULT_HINT_WEIGHT

FORMS = """
hints:
  small: 0.62
  large: {like: small, weight: 10}
"""


def hints(settings):
    return [(m.quality_hint, m.quality_like, m.hint_weight) for m in settings.as_zoo().models]


def test_a_number_a_section_and_a_like_reach_routing(more):
    assert hints(more(FORMS)) == [(0.62, "", DEFAULT_HINT_WEIGHT), (None, "small", 10.0)]
    other = more("hints: {large: {quality: 0.8, weight: 30}}")
    assert hints(other) == [(None, "", DEFAULT_HINT_WEIGHT), (0.8, "", 30.0)]


def test_a_model_has_its_own_hint(read):
    settings = read("""
        models:
          - {name: small, endpoint: "http://127.0.0.1:1/v1", quality_hint: 0.5, hint_weight: 40}
          - {name: large, endpoint: "http://127.0.0.1:1/v1", quality_like: small}
        slas: [{name: gold, floor: 0.9}]
    """)
    assert hints(settings) == [(0.5, "", 40.0), (None, "small", DEFAULT_HINT_WEIGHT)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "hints: {small: 62}",
            "hints.small.quality is 62: give a mean satisfaction from 0 to 1: a score of 62 % is "
            "0.62",
        ),
        ("hints: {small: good}", "hints.small.quality is 'good': give a mean satisfaction"),
        ("hints: {small: yes}", "hints.small.quality is true: give a mean satisfaction"),
        ("hints: {small: {weight: 9}}", "hints.small says nothing of the model: give a number"),
        (
            "hints: {small: {quality: 0.5, like: large}}",
            "hints.small.like is given beside quality: keep one of them",
        ),
        ("hints: {small: {like: small}}", "hints.small.like is the model itself: name another"),
        ("hints: {small: {like: larg}}", "hints.small.like is 'larg': did you mean 'large'?"),
        ("hints: {smal: 0.5}", "hints.smal is a hint of no model of this file: did you mean"),
        ("hints: {small: {quality: 0.5, weight: 0}}", "hints.small.weight is 0: give a number of"),
        ("hints: {small: {score: 0.5}}", "hints.small.score is no known field"),
        ("hints: [small]", "hints is a list: give hints by the names of models"),
        ("hints: 0.7", "hints is 0.7: give hints by the names of models"),
    ],
)
def test_a_wrong_hint_is_refused_with_its_fix(wrong, text, message):
    assert wrong(text).startswith(message)


MODELS = """
models:
  - {name: small, endpoint: "http://127.0.0.1:1/v1", %s}
  - {name: large, endpoint: "http://127.0.0.1:1/v1"}
slas: [{name: gold, floor: 0.9}]
"""


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("quality_hint: 1.5", "models[0].quality_hint is 1.5: give a mean satisfaction"),
        ("hint_weight: 9", "models[0].hint_weight is given without quality_hint: give"),
        (
            "quality_hint: 0.5, quality_like: large",
            "models[0].quality_like is given beside quality_hint: keep one of them",
        ),
        ("quality_like: other", "models[0].quality_like is 'other': name one of the models"),
        ("quality_like: small", "models[0].quality_like is the model itself: name another model"),
    ],
)
def test_a_wrong_hint_of_a_model_is_refused(problems, fields, message):
    (line,) = problems(MODELS % fields)
    assert message in line


def test_two_hints_of_one_model_are_refused(problems):
    (line,) = problems(MODELS % "quality_hint: 0.5" + "hints: {small: 0.6}")
    assert "models[0].quality_hint is given beside hints.small: keep one of them" in line


def test_a_changed_hint_is_a_change_of_its_model_and_of_no_price(more):
    old, new = more("hints: {small: 0.6}"), more("hints: {small: 0.7, large: 0.9}")
    found = changes(old, new)
    assert found.models_changed == ("small", "large")
    assert (found.prices, found.other, found.restart) == ((), (), ())
    assert not changes(old, more("hints: {small: {quality: 0.6}}"))


def test_a_model_that_is_added_over_http_has_its_own_hint():
    rules = RuntimeModelSettings(endpoints=[{"url": "https://a.example.com"}])
    data = b'{"name": "m", "endpoint": "https://a.example.com/v1", "quality_hint": 0.7}'
    assert load_runtime_model(data, rules).as_model().quality_hint == 0.7
    with pytest.raises(ConfigError, match=r"quality_hint is 7: give a mean satisfaction"):
        load_runtime_model(data.replace(b"0.7", b"7"), rules)
