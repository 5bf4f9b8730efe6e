"""Values that JSON has and stores, floats or the interpreter's stack do not."""

import json

import pytest

BIG = "1" + "0" * 400
VALUES = {
    "deep list": "[" * 100_000 + "]" * 100_000,
    "deep list without an end": "[" * 100_000,
    "deep object": '{"a":' * 100_000,
    "10**400": BIG,
    "-10**400": "-" + BIG,
    "1e400": "1e400",
    "2**53": str(2**53),
    "2**63": str(2**63),
    "2**64": str(2**64),
    "5,000 digits": "9" * 5000,
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "lone surrogate": '"\\ud800"',
    "NUL": '"a\\u0000b"',
    "long text": '"' + "x" * 300_000 + '"',
    "long list": "[" + ",".join(["1"] * 30_000) + "]",
    "bad UTF-8": "\udcff",
}
CHAT = {"model": '"floorline/gold"', "messages": '[{"role": "user", "content": "Why?"}]'}
FIELDS = {
    "/v1/chat/completions": [
        *CHAT, "stream", "tools", "functions", "response_format", "max_tokens",
        "max_completion_tokens", "stream_options", "n", "floorline", "temperature", "other",
    ],
    "/v1/route": [*CHAT, "max_tokens", "tools", "response_format", "floorline", "other"],
    "/v1/preview": [*CHAT, "max_tokens", "tools", "floorline", "stream", "other"],
    "/v1/feedback": ["id", "satisfied", "score", "source", "idempotency", "feedback", "other"],
    "/v1/outcomes": [
        "id", "cost", "input_tokens", "output_tokens", "latency", "error", "completion", "other",
    ],
    "/v1/zoo/models": [
        "name", "endpoint", "model", "input_price", "context_window", "capabilities", "timeouts",
        "retries", "max_answer", "api_key_env", "breaker", "other",
    ],
}  # fmt: skip
NESTED = {
    "/v1/chat/completions": [
        {"messages": '[{"role": %s, "content": "a"}]'},
        {"messages": '[{"role": "user", "content": %s}]'},
        {"messages": '[{"role": "user", "content": [{"type": "text", "text": %s}]}]'},
        {"messages": '[{"role": "user", "content": "a", "tool_calls": [%s]}]'},
        {"floorline": '{"floor": %s}'},
        {"floorline": '{"session": %s}'},
        {"floorline": '{"exclude": [%s]}'},
        {"stream": "true", "stream_options": '{"other": %s}'},
        {"response_format": '{"type": %s}'},
    ],
    "/v1/preview": [{"floorline": '{"floors": %s}'}, {"floorline": '{"floors": [%s]}'}],
    "/v1/feedback": [{"feedback": "[%s]"}],
}


@pytest.fixture
def given(administered):
    """Valid fields of each endpoint."""
    administered.http.headers["content-type"] = "application/json"
    routed = administered.http.post("/v1/route", content=encode(CHAT)).json()["id"]
    answered = administered.chat().json()["id"]
    return {
        "/v1/chat/completions": CHAT,
        "/v1/route": CHAT,
        "/v1/preview": CHAT,
        "/v1/feedback": {"id": json.dumps(answered), "satisfied": "true"},
        "/v1/outcomes": {"id": json.dumps(routed), "cost": "0.1"},
        "/v1/zoo/models": {"name": '"new"', "endpoint": '"http://127.0.0.1:1"'},
    }


def encode(fields):
    text = "{" + ",".join(f'"{name}": {value}' for name, value in fields.items()) + "}"
    return text.encode(errors="surrogateescape")


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_is_taken_or_refused_with_a_text(administered, given, value):
    for path, fields in FIELDS.items():
        bodies = [{**given[path], name: value} for name in fields]
        for nested in NESTED.get(path, []):
            filled = {name: text.replace("%s", value) for name, text in nested.items()}
            bodies.append({**given[path], **filled})
        for body in [*map(encode, bodies), value.encode(errors="surrogateescape")]:
            answer = administered.http.post(path, content=body)
            assert answer.status_code < 500, (path, body[:300], answer.text)
            if answer.status_code >= 400:
                error = answer.json()["error"]
                assert error["message"], (path, body[:300])
                assert "Traceback" not in error["message"]
                assert len(error["message"]) <= 4_000
    assert administered.chat().status_code == 200
