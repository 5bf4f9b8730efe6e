"""What errors of providers mean, and what they lead to."""

import json
import re
from pathlib import Path

import pytest
from tests.support.provider_error_bodies import CONTEXT, OTHERS

from floorline.gateway.upstreams import UpstreamError
from floorline.gateway.upstreams.effects import EFFECTS, breaker_effect
from floorline.gateway.upstreams.error_signs import REQUESTED, SIGNS, WINDOWS, ErrorReason
from floorline.gateway.upstreams.provider_errors import (
    ProviderError,
    names_field,
    read_error,
    read_fields_of,
    read_object,
)

DOCS = Path(__file__).parents[3] / "docs" / "upstreams.md"
REASONS = ErrorReason.__args__


def encoded(body):
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


@pytest.mark.parametrize(
    ("provider", "status", "body", "window"), CONTEXT, ids=[case[0] for case in CONTEXT]
)
def test_requests_that_are_too_long(provider, status, body, window):
    found = read_error(status, read_fields_of(encoded(body)))
    assert (found.reason, found.certain) == ("context_length_exceeded", True)
    assert found.window == window, provider
    if found.requested is not None:
        assert window is None or found.requested > window


@pytest.mark.parametrize(
    ("provider", "status", "body", "reason"), OTHERS, ids=[f"{c[0]}-{c[3]}" for c in OTHERS]
)
def test_other_errors(provider, status, body, reason):
    assert read_error(status, read_fields_of(encoded(body))).reason == reason, provider


def test_an_error_within_a_stream_is_read_without_a_status():
    for _, status, body, *_ in CONTEXT:
        if isinstance(body, dict) and isinstance(body.get("error"), dict):
            error = {k: v for k, v in body["error"].items() if v != status}
            assert read_object(error).reason == "context_length_exceeded"
    assert read_object({"message": "overloaded", "code": 529}).reason == "overloaded"
    assert read_object({"message": "hm"}).reason == "server_error"


def test_words_that_the_request_has_itself_prove_nothing():
    told = "The model `m` does not exist."
    body = encoded({"error": {"message": f"bad role: {told}", "code": 400}})
    fields = read_fields_of(body)
    # A client that escapes them is not believed either.
    request = json.dumps({"messages": [{"role": told}]}).replace("model", "\\u006dodel")
    believed = read_error(400, fields)
    quoted = read_error(400, fields, request.encode())
    assert (believed.reason, believed.certain) == ("model_not_found", True)
    assert (quoted.reason, quoted.certain) == ("model_not_found", False)
    failed = UpstreamError("", "status", meaning=quoted)
    assert breaker_effect(failed) == "ignored"
    assert breaker_effect(UpstreamError("", "status", meaning=believed)) == "opens"


@pytest.mark.parametrize(
    "error",
    [
        {"message": "Tool choice 'model' not found in 'tools' parameter.", "param": "tool_choice"},
        {"message": "Tool choice 'model' not found in 'tools' parameter."},
        {"message": "The file for the model was not found", "param": "messages[0].file"},
    ],
)
def test_other_things_that_were_not_found_are_no_model(error):
    assert read_error(400, read_fields_of(encoded({"error": error}))).reason == "client_error"


def test_a_code_that_a_message_quotes_from_the_request_proves_nothing():
    body = encoded({"error": {"message": 'bad content: {"code": "insufficient_quota"}'}})
    request = json.dumps({"messages": [{"content": {"code": "insufficient_quota"}}]}).encode()
    found = read_error(400, read_fields_of(body), request)
    assert found == ProviderError("insufficient_quota", certain=False)


def test_pydantics_copy_of_the_input_is_not_read():
    body = encoded(
        {
            "detail": [
                {"type": "missing", "loc": ["body", "x"], "input": {"code": "model_not_found"}}
            ]
        }
    )
    assert read_error(422, read_fields_of(body)).reason == "client_error"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 50_000,
        json.dumps({"error": [{"message": "x" * 50}] * 5_000}).encode(),
        json.dumps({"error": {"message": "{" * 30_000 + "}"}}).encode(),
        b'{"error": {"code": {"a": 1}, "message": 7, "type": null}}',
        b'\xff\xfe{"error"',
    ],
)
def test_odd_errors_are_read_within_bounds(body):
    fields = read_fields_of(body)
    assert len(fields.texts) <= 300
    assert read_error(400, fields).reason == "client_error"
    assert read_error(500, fields).reason == "server_error"


def test_every_repetition_in_a_pattern_is_bounded():
    # One without a bound is tried to the end of a message from each of its places.
    for words in (*(sign.words for sign in SIGNS), *WINDOWS, *REQUESTED):
        assert not re.search(r"[*]|(?<!\\)[+]", words), words


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"]}]}, True),
        ({"error": {"message": 'Unknown name "stream_options": Cannot find field.'}}, True),
        ({"error": {"message": "Unknown parameter", "param": "stream_options"}}, True),
        ({"error": {"message": "Unknown parameter: 'top_k'", "param": "top_k"}}, False),
        ({"error": {"message": "bad request"}}, None),
    ],
)
def test_whether_an_error_is_about_a_field(body, named):
    assert names_field(read_fields_of(encoded(body)), "stream_options") is named


def test_every_reason_has_an_effect_a_sign_and_a_row_in_the_docs():
    assert set(EFFECTS) == set(REASONS)
    assert {sign.reason for sign in SIGNS} == set(REASONS) - {"server_error"}
    rows = re.findall(
        r"^\| `(\w+)` \| [^|]+ \| ([\w ]+) \| ([\w`]+) \| (\w+) \|$", DOCS.read_text(), re.MULTILINE
    )
    documented = {reason: tuple(rest) for reason, *rest in rows}
    words = {"setting": "`fallback_on`"}
    assert documented == {
        reason: (
            "by status" if effect.retried else "no",
            words.get(effect.another_model, effect.another_model),
            effect.breaker,
        )
        for reason, effect in EFFECTS.items()
    }


def test_every_provider_of_the_table_is_in_the_docs():
    text = DOCS.read_text()
    for sign in SIGNS:
        for provider in re.split(r", | \(.*\)", sign.providers):
            assert not provider[:1].isupper() or provider in text, provider
