import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.gateway.session_keys import SESSION_HEADERS, request_prefixes, session_name

UUID = "0b1c2d3e-1111-2222-3333-444455556666"


def raw(**fields):
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()}


@pytest.mark.parametrize("header", SESSION_HEADERS)
def test_an_agents_header_names_the_conversation(header):
    assert session_name("", {header: "s-17"}, raw(prompt_cache_key="other")) == "~s-17"
    assert session_name("mine", {header: "s-17"}, {}) == "mine"


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt_cache_key": UUID},
        {"conversation": UUID},
        {"conversation": {"id": UUID}},
        {"session_id": UUID},
        {"metadata": {"session_id": UUID}},
        {"metadata": {"user_id": f"user_8f_account__session_{UUID}"}},
        {"metadata": {"user_id": json.dumps({"device_id": "d", "session_id": UUID})}},
    ],
    ids=str,
)
def test_fields_of_the_body_name_the_conversation(fields):
    assert session_name("", {}, raw(**fields)) == f"~{UUID}"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"metadata": {"user_id": "user-17"}},
        {"metadata": {"user_id": "{not json"}},
        {"metadata": None},
        {"conversation": 17},
        {"prompt_cache_key": ""},
        {"prompt_cache_key": ["a"]},
        {"previous_response_id": "resp_1"},
    ],
    ids=str,
)
def test_other_fields_name_none(fields):
    assert session_name("", {}, raw(**fields)) == ""


def test_a_name_that_is_none_becomes_its_digest():
    long = session_name("", {"session-id": "x" * 5000}, {})
    odd = session_name("", {}, raw(prompt_cache_key="a\0b"))
    assert long.startswith("~sha256-")
    assert odd.startswith("~sha256-")
    assert session_name("", {"session-id": "x" * 255}, {}) == "~" + "x" * 255
    assert len(session_name("", {"session-id": "x" * 256}, {})) <= 256


@given(st.binary(max_size=40))
def test_no_field_refuses_a_request(data):
    for field in ("metadata", "conversation", "prompt_cache_key", "session_id"):
        name = session_name("", {}, {field: msgspec.Raw(data)})
        assert len(name) <= 256


def test_tools_and_system_prompt_are_part_of_the_prefix():
    messages = [{"role": "user", "content": "hi"}]
    plain = request_prefixes(messages, {})
    for field in ("tools", "system", "instructions"):
        assert request_prefixes(messages, raw(**{field: "x" * 80})).hashes[-1] != plain.hashes[-1]
    assert request_prefixes(messages, raw(temperature=1)) == plain
