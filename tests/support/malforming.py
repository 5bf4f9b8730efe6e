"""Send a gateway what no decent client would: by hand-made strategies and by schemathesis."""

import contextlib
import http.client
import json
import socket
from collections import Counter

import hypothesis
import msgspec
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

PATIENCE = 60.0
_AT_ONCE = 50_000
_FINE = frozenset({200, 201})
_REFUSED = frozenset({400, 401, 403, 404, 405, 408, 409, 410, 413, 414, 415, 422, 429, 431})
_NOT_HTTP = b"Invalid HTTP request received."

ZOO_OPERATIONS = frozenset({"POST /v1/zoo/models", "DELETE /v1/zoo/models/{name}"})
"""What may leave a gateway with models anywhere in the world, or with none."""

texts = st.text(max_size=20) | st.sampled_from(["", "\0", "\ud800", "é" * 300, "floorline/gold"])
numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from([10**400, -(2**63), 2**64, 1e308, float("nan"), float("inf"), -0.0])
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
parts = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["text", "image_url", "input_audio", "file"]) | values,
        "text": texts | values,
        "image_url": values,
    },
)
roles = st.sampled_from(["system", "user", "assistant", "tool"])
messages = st.fixed_dictionaries(
    {"role": st.one_of(roles, roles, roles, roles, values)},
    optional={
        "content": texts | st.lists(parts | values, max_size=3) | values,
        "tool_calls": values,
        "name": values,
    },
)
fields = {
    "stream": st.booleans() | values,
    "tools": st.lists(values, max_size=2) | values,
    "functions": values,
    "response_format": st.fixed_dictionaries({"type": texts | values}) | values,
    "max_tokens": numbers | values,
    "max_completion_tokens": numbers | values,
    "stream_options": st.fixed_dictionaries({"include_usage": values}) | values,
    "n": st.integers(-1, 4) | values,
    "floorline": st.fixed_dictionaries(
        {}, optional={"floor": numbers | values, "exclude": values, "session": values}
    )
    | values,
}
models = st.sampled_from(
    ["floorline/gold", "floorline/auto", "floorline/", "floorline/gold@x", "sim-nano", "sim-nobody"]
)
chats = st.fixed_dictionaries(
    {
        "model": models | models | models | values,
        "messages": st.lists(messages, min_size=1, max_size=3) | st.lists(messages) | values,
    },
    optional=fields,
)
one_field = st.sampled_from(sorted(fields)).flatmap(
    lambda name: fields[name].map(lambda value: {name: value})
)
nearly_right = st.builds(
    lambda model, content, changed: {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        **changed,
    },
    models,
    texts,
    one_field,
)
feedback = st.fixed_dictionaries(
    {"id": st.sampled_from(["d0-1", "d0-2", "chatcmpl-sim-1"]) | texts | values},
    optional={
        "satisfied": st.booleans() | values,
        "score": st.floats(0, 1) | values,
        "source": texts | values,
        "idempotency": texts | values,
        "cost": numbers | values,
        "latency": numbers | values,
        "output_tokens": numbers | values,
        "completion": texts | values,
        "error": texts | values,
    },
)
batches = st.fixed_dictionaries({"feedback": st.lists(feedback | values, max_size=4) | values})


def _encoded(value):
    # With NaN and lone surrogates as they are: other languages' encoders write them too.
    return json.dumps(value).encode()


def _deep(depth, opening):
    inner = b"1" + (b"]" if opening == b"[" else b"}") * depth
    return b'{"model":"floorline/gold","messages":' + opening * depth + inner + b"}"


def _twice(value):
    body = _encoded(value)
    return body[:-1] + b', "model": "floorline/silver", "messages": [], ' + body[1:]


def _spoilt(value, at, junk):
    body = _encoded(value)
    at %= len(body)
    return body[:at] + junk + body[at + 1 :]


bodies = st.one_of(
    chats.map(_encoded),
    chats.map(lambda value: json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")),
    nearly_right.map(_encoded),
    nearly_right.map(_encoded),
    nearly_right.map(_encoded),
    nearly_right.map(_twice),
    st.builds(_spoilt, nearly_right, st.integers(0, 10**6), st.binary(max_size=3)),
    nearly_right.map(lambda value: _encoded(value)[:-1]),
    nearly_right.map(lambda value: b"\xef\xbb\xbf" + _encoded(value)),
    nearly_right.map(lambda value: json.dumps(value).encode("utf-16")),
    feedback.map(_encoded),
    batches.map(_encoded),
    values.map(_encoded),
    st.binary(max_size=40),
    st.builds(_deep, st.sampled_from([100, 5_000, 200_000]), st.sampled_from([b"[", b'{"a":'])),
)
floors = st.sampled_from([b"0.9", b"nan", b"inf", b"-1", b"1e400", b"", b"0x1", b"0,9", b"\xff"])
tokens = st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=12).map(
    lambda text: text.encode("latin-1")
)
headers = st.fixed_dictionaries(
    {},
    optional={
        b"X-Floorline-Floor": floors | tokens,
        b"X-Floorline-Exclude": tokens | st.just(b"," * 500),
        b"X-Floorline-Session": tokens | st.just(b"s" * 20_000),
        b"Authorization": tokens | st.sampled_from([b"Bearer", b"Bearer fl-a-b", b"Basic eDp5"]),
        b"Content-Type": tokens | st.just(b"text/plain"),
        b"Accept": tokens,
        b"Expect": st.just(b"100-continue"),
        b"traceparent": tokens | st.just(b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"),
    },
)
paths = st.sampled_from(
    [b"/v1/chat/completions"] * 8
    + [b"/v1/feedback", b"/v1/feedback", b"/v1/outcomes", b"/v1/route"]
)
framings = st.sampled_from(["length"] * 6 + ["chunked", "too long", "too short", "bad chunk"])


class Malforming:
    """How many requests were sent, and what the answers were: by status, those to what was no
    HTTP at all, and those that never came because the request did not end; and how many were
    decisions of ``/v1/route``, whose calls the client makes itself.
    """

    def __init__(self):
        self.requests = 0
        self.statuses = Counter()
        self.hung_up = 0
        self.not_http = 0
        self.routed = 0


def write_request(path, given, body, framing):
    """Bytes of a request whose body is framed well or badly."""
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: localhost"]
    lines += [name + b": " + value for name, value in given.items()]
    if b"Content-Type" not in given:
        lines.append(b"Content-Type: application/json")
    if framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
        pieces = [body[at : at + 7] for at in range(0, min(len(body), 700), 7)] + [body[700:]]
        body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces if p) + b"0\r\n\r\n"
    elif framing == "bad chunk":
        lines.append(b"Transfer-Encoding: chunked")
        body = b"zz\r\n" + body
    else:
        length = len(body) + {"length": 0, "too long": 9, "too short": -len(body) // 2}[framing]
        lines.append(b"Content-Length: %d" % length)
    return b"\r\n".join([*lines, b"", b""]) + body


def send(address, data, *, leave):
    """Answer to these bytes: status, type and body; None if the gateway hung up.

    Who ``leave``s says that nothing more will come, which is how clients go away.
    """
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        try:
            connection.sendall(data)
            if leave:
                # It may have hung up already.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
            answer = http.client.HTTPResponse(connection, method="POST")
            answer.begin()
            return answer.status, answer.headers.get("content-type", ""), answer.read()
        except (ConnectionError, http.client.BadStatusLine):
            # What hangs instead ends in a TimeoutError, and that is no ConnectionError.
            return None


def check_answer(answer):
    """Whether an answer is a sound one, or the client's own error in the shape of its dialect."""
    status, kind, body = answer
    if status in _FINE:
        return
    assert status in _REFUSED, (status, body[:500])
    if body == _NOT_HTTP:
        # What is no HTTP never gets as far as to be a request.
        return
    assert kind == "application/json", (status, kind)
    told = msgspec.json.decode(body)
    error = told["error"]
    assert error["message"], body
    # Anthropic's errors name themselves, and have a code and a field only where these say more.
    needed = {"message", "type"} if "type" in told else {"message", "type", "param", "code"}
    assert needed <= set(error), body
    assert "Traceback" not in error["message"]


def _settings(examples):
    return hypothesis.settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def send_malformed(url, examples, found):
    """Send so many requests made by hand-written strategies."""
    host, _, port = url.removeprefix("http://").partition(":")
    address = (host, int(port))

    @_settings(examples)
    @hypothesis.given(paths, st.just({}) | headers, bodies, framings)
    def one(path, given, body, framing):
        found.requests += 1
        data = write_request(path, given, body, framing)
        answer = send(address, data, leave=framing == "too long")
        if answer is None:
            # A client that is refused while it still sends a large body may miss the answer.
            assert framing != "length" or len(data) > _AT_ONCE
            found.hung_up += 1
        else:
            found.statuses[answer[0]] += 1
            found.not_http += answer[2] == _NOT_HTTP
            found.routed += answer[0] == 200 and path == b"/v1/route"
            check_answer(answer)

    one()


def send_by_document(url, examples, found, *, zoo=False, headers=None):
    """Send so many requests for each operation of the OpenAPI document, half of them against it.

    Only those that change the ``zoo``, or all but those.
    """
    document = schemathesis.openapi.from_url(f"{url}/openapi.json")
    checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
    for result in document.get_all_operations():
        operation = result.ok()
        if (operation.label in ZOO_OPERATIONS) is not zoo:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                cases = operation.as_strategy(generation_mode=mode)
                _send_cases(cases, url, examples // 2, found, checks, headers)
            except hypothesis.errors.Unsatisfiable:
                # There is nothing to do wrong in a request without body and parameters.
                continue


def _send_cases(cases, url, examples, found, checks, headers):
    @_settings(examples)
    @hypothesis.given(cases)
    def one(case):
        found.requests += 1
        answer = case.call(base_url=url, timeout=PATIENCE, headers=headers)
        found.statuses[answer.status_code] += 1
        found.routed += answer.status_code == 200 and case.path == "/v1/route"
        (kind,) = answer.headers["content-type"]
        check_answer((answer.status_code, kind, answer.content))
        if answer.content != _NOT_HTTP:
            case.validate_response(answer, checks=checks)

    one()
