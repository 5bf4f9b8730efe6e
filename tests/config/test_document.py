import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.config import load_text
from floorline.config.document import BadReference, interpolate
from floorline.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "floorline.yaml: the file is empty: give at least models and slas"),
        ("# nothing yet\n", "floorline.yaml: the file is empty: give at least models and slas"),
        ("- a\n", "floorline.yaml:1: the file is a list: write fields such as 'models:' and 'sl"),
        ("just text", "floorline.yaml:1: the file is a single value: write fields such as"),
        (
            "models:\n\t- name: x\n",
            "floorline.yaml:2: the line begins with a tab: indent with spaces",
        ),
        ("models: [\n", "floorline.yaml:2: not readable as YAML ("),
        ("a: 1\n---\nb: 2\n", "floorline.yaml:2: not readable as YAML ("),
        ("a: &x [*x]\n", "floorline.yaml: not readable as YAML (an anchor contains itself)"),
        ("[" * 5000 + "]" * 5000, "floorline.yaml: not readable as YAML (it is nested more than"),
    ],
)
def test_a_text_that_is_no_configuration_is_one_line_of_error(problems, text, message):
    (line,) = problems(text)
    assert line.startswith(message)


def test_a_field_given_twice(problems):
    lines = problems("""\
        slas: []
        models: []
        slas: []
    """)
    assert lines[-1] == (
        "floorline.yaml:3: slas is given twice, first on line 1: remove one of them"
    )


def test_a_tag_and_a_compound_name(problems):
    lines = problems("""\
        models: !!python/object:os.system {}
        slas: [{name: !secret gold, floor: 0.9}]
        ? [a, b]
        : 3
    """)
    assert any("slas[0].name has the tag !secret: remove the tag" in line for line in lines)
    assert any(line.startswith("floorline.yaml:3: ") and "plain name" in line for line in lines)


def test_names_and_texts_are_not_interpreted(read):
    settings = read("""
        models:
          - {name: 2024-01-01, endpoint: "http://h/v1", capabilities: ["on", 'no']}
        slas: [{name: on-time, floor: 0.9, budget: {per_model: {2024-01-01: 3}}}]
    """)
    assert settings.as_zoo().names == ("2024-01-01",)
    assert settings.as_zoo().models[0].capabilities == {"on", "no"}
    assert settings.as_slas()[0].budget.per_model == {"2024-01-01": 3}


def test_anchors_are_read(read):
    settings = read("""
        models:
          - {name: a, endpoint: "http://h/v1", timeouts: &slow {total: 900}}
          - {name: b, endpoint: "http://h/v1", timeouts: *slow}
        slas: [{name: gold, floor: 0.9}]
    """)
    assert settings.models[1].timeouts.total == 900.0


@given(st.text(alphabet="models:slas-[]{}&*!|>'\"#%@` \n\tafloor0.9$~?,", max_size=60))
def test_any_text_is_an_error_of_the_configuration(text):
    with pytest.raises(ConfigError):
        load_text(text, environ={})


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(
    st.sampled_from(["models", "slas", "defaults", "policy", "store", "server", "auth", "seed"]),
    values,
)
def test_any_value_of_a_field_is_valid_or_an_error_of_the_configuration(field, value):
    least = {
        "models": [{"name": "a", "endpoint": "http://h/v1"}],
        "slas": [{"name": "gold", "floor": 0.5}],
    }
    # JSON is YAML but for NaN, which it then reads as a text.
    text = json.dumps({**least, field: value})
    with contextlib.suppress(ConfigError):
        settings = load_text(text, environ={})
        assert settings.as_zoo().names
        assert settings.as_slas()


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${A}", "1"),
        ("x${A}y${B}z", "x1y22z"),
        ("${NONE:-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("${NONE:-http://h:80/v1}", "http://h:80/v1"),
        ("$${A}", "${A}"),
        ("$$$$", "$$"),
        ("cost $5", "cost $5"),
        ("${REF}", "${A}"),
    ],
)
def test_references_are_filled(text, filled):
    assert interpolate(text, {"A": "1", "B": "22", "EMPTY": "", "REF": "${A}"}) == filled


@pytest.mark.parametrize("text", ["${", "${A", "${}", "${1A}", "${A B}", "${A-b}"])
def test_a_malformed_reference(text):
    with pytest.raises(BadReference, match="write \\$\\{NAME\\}"):
        interpolate(text, {"A": "1"})


def test_values_from_the_environment_have_the_type_of_their_field(more):
    settings = more(
        """
        seed: ${SEED}
        server: {port: "${PORT:-9000}", max_body: "${BODY}"}
        store: {store_prompts: "${STORE}", retention: "${DAYS}d"}
        telemetry: {otlp_endpoint: "${OTLP:-}"}
        """,
        SEED="7",
        BODY="1MiB",
        STORE="true",
        DAYS="2",
    )
    assert (settings.seed, settings.server.port, settings.server.max_body) == (7, 9000, 2**20)
    assert settings.store.store_prompts is True
    assert settings.store.retention == 2 * 86400
    assert settings.telemetry.otlp_endpoint is None
