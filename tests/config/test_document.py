import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.config import load, load_text
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
          - {name: 2024-01-01, endpoint: "http://h/v1", capabilities: ["on", 'no'], price: free}
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


SHARED = """
    x-shared:
      provider: &provider {endpoint: "http://h/v1", retries: 4, timeouts: {total: 900}}
      price: &price {input_price: 2, retries: 9}
    models:
"""
GOLD = "    slas: [{name: gold, floor: 0.9}]\n"


@pytest.mark.parametrize(
    ("model", "retries", "price"),
    [
        ("<<: *provider, name: a", 4, 0.0),
        ("name: a, retries: 1, <<: *provider", 1, 0.0),
        ("<<: *provider, retries: 1, name: a", 1, 0.0),
        ("<<: [*provider, *price], name: a", 4, 2.0),
        ("<<: [*price, *provider], name: a", 9, 2.0),
        ("<<: {endpoint: 'http://h/v1', input_price: 3}, name: a", 2, 3.0),
        ("<<: , name: a, endpoint: 'http://h/v1'", 2, 0.0),
    ],
)
def test_merge_keys_give_the_fields_that_a_section_does_not_set(read, model, retries, price):
    (found,) = read(f"{SHARED}      - {{{model}}}\n{GOLD}").models
    assert (found.endpoint, found.retries, found.input_price) == ("http://h/v1", retries, price)


def test_a_merge_of_a_merge(read):
    settings = read("""
        models:
          - &a {name: a, endpoint: "http://h/v1", input_price: 1}
          - &b {<<: *a, name: b, output_price: 2}
          - {<<: *b, name: c}
        slas: [{name: gold, floor: 0.9}]
    """)
    assert [(m.name, m.input_price, m.output_price) for m in settings.models] == [
        ("a", 1.0, 0.0),
        ("b", 1.0, 2.0),
        ("c", 1.0, 2.0),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [{<<: 3, name: a}]", "models[0].<< is no group of fields: name a group"),
        ("models: [{<<: [1], name: a}]", "models[0].<< is no group of fields: name a group"),
        ("models: [{'<<': {a: 1}, name: a}]", "models[0].<< is no known field"),
        ("models: &x [{<<: *x, name: a}]", "an anchor contains itself"),
        ("models: [&x {<<: *x, name: a}]", "an anchor contains itself"),
        ("models: [{<<: {nam: a}, name: b}]", "models[0].nam is no known field: write name"),
    ],
)
def test_a_bad_merge_is_an_error_with_a_fix(problems, text, message):
    assert any(message in line for line in problems(f"{text}\nslas: []\n"))


def test_notes_of_the_user_may_stand_in_every_section_and_are_ignored(read):
    settings = read("""
        x-owner: {team: [search, 3]}
        models:
          - name: a
            endpoint: http://h/v1
            x-note: the old one
            headers: {x-team: blue}
            timeouts: {x-why: slow, total: 900}
        slas: [{name: gold, floor: 0.9, x-since: 2026-01-01}]
    """)
    assert settings.models[0].timeouts.total == 900
    assert settings.models[0].headers["x-team"].get_secret_value() == "blue"


def test_files_of_windows_are_read(tmp_path):
    text = "models: [{name: ä, endpoint: 'http://h/v1'}]\r\nslas: [{name: gold, floor: 0.9}]\r\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path = tmp_path / f"{encoding}.yaml"
        path.write_bytes(text.encode(encoding))
        assert load(path, environ={}).as_zoo().names == ("ä",)


def test_a_space_that_is_none_is_named(problems):
    (line,) = problems("models:\n  -\u00a0name: a\n    endpoint: x\n")
    assert "has a space of another kind (U+00A0): replace it by a space" in line


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


def test_the_example_of_shared_fields_in_the_documentation_is_read(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    shown = next(part for part in page.split("```") if "&azure" in part).removeprefix("yaml\n")
    (tmp_path / "key").write_text("sk-1\n")
    text = shown.replace("/run/secrets/azure_key", "key") + "slas: [{name: gold, floor: 0.9}]"
    small, large = load_text(text, folder=tmp_path, environ={}).models
    assert small.endpoint == large.endpoint
    assert small.endpoint.endswith("/openai/v1?api-version=preview")
    assert (small.upstream_model, small.key.get_secret_value()) == ("gpt-4o-mini", "sk-1")
