"""The published schema, reference and example agree with the code."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from floorline.config import load
from floorline.config.reference import json_schema, schema_text, tables
from floorline.encoders import make_encoder
from floorline.errors import DataError, InvalidInput

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "floorline.yaml"


def complaints(text):
    validator = jsonschema.Draft202012Validator(json_schema())
    return [error.json_path for error in validator.iter_errors(yaml.safe_load(text))]


def test_the_published_schema_is_that_of_the_code():
    published = (ROOT / "docs" / "floorline.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), "run: floorline check --schema > docs/floorline.schema.json"


def test_the_reference_in_the_docs_is_that_of_the_code():
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    _, _, rest = text.partition("<!-- fields -->\n")
    reference, _, _ = rest.partition("<!-- end of fields -->")
    assert reference.strip() == tables(), (
        "put what python -m floorline.config.reference prints between the two marks"
    )


def test_every_field_has_a_description():
    schema = json_schema()
    for part in [schema, *schema["$defs"].values()]:
        for name, field in part["properties"].items():
            described = field.get("description") or "$ref" in field
            assert described, f"{part['title']}.{name}"


def test_the_example_is_valid_for_floorline_and_for_editors():
    settings = load(EXAMPLE, environ={})
    assert settings.as_zoo().names == ("small", "medium", "large")
    assert complaints(EXAMPLE.read_text()) == []
    first = EXAMPLE.read_text().splitlines()[0]
    schema = EXAMPLE.parent / first.partition("$schema=")[2]
    assert json.loads(schema.read_text()) == json_schema()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("models: []\nslas: [{name: a, floor: 1}]", "$.models"),
        ("models: [{name: a, inputprice: 3}]\nslas: [{name: a, floor: 1}]", "$.models[0]"),
        ("models: [{name: a, input_price: -3}]\nslas: [{name: a, floor: 1}]", None),
        ("models: [{name: a}]\nslas: [{name: a, floor: 1.5}]", None),
        ("models: [{name: a}]\nslas: [{name: a, floor: 1, max_latency: 5 moons}]", None),
    ],
)
def test_editors_see_mistakes(text, path):
    found = complaints(text)
    assert len(found) == 1
    if path is not None:
        assert found == [path]


def test_editors_accept_references_and_short_forms():
    text = """
    models: [{name: a, input_price: "${PRICE}", timeouts: {total: 10m}, context_window: null}]
    slas: [{name: a, floor: "${FLOOR:-0.9}"}]
    policy: sla_router
    """
    assert complaints(text) == []


@pytest.mark.parametrize("spec", ["hashed", "hashed:projected", "hashed:sparse", "lsa:x", "magic"])
def test_the_encoders_a_file_can_name_are_those_there_are(more, spec, tmp_path):
    try:
        make_encoder(spec if ":x" not in spec else f"lsa:{tmp_path}/x")
        known = True
    except DataError:
        known = True
    except InvalidInput:
        known = False
    try:
        more(f"encoder: {spec}")
        accepted = True
    except ValueError:
        accepted = False
    assert accepted == known
