"""Routing, options and limits are the same in all dialects."""

import pytest
from tests.support.dialect_answers import DIALECTS
from tests.support.dialect_provider import KINDS, models, speaking
from tests.support.live_gateway import Live, write_settings


@pytest.fixture(scope="module")
def speaker():
    with speaking() as provider:
        yield provider


def written(base):
    """A cheap model without capabilities, and a dear one with all, before each kind of provider."""
    found = []
    for kind in KINDS:
        (plain,) = models(base, [kind], ["words"])
        able = {**plain, "name": f"{kind}-able", "input_price": 9.0, "output_price": 9.0}
        found += [{**plain, "name": f"{kind}-plain", "capabilities": []}, able]
    return found


SLAS = [
    {"name": kind, "floor": 0.1, "models": [f"{kind}-plain", f"{kind}-able"]} for kind in KINDS
] + [{"name": f"{kind}-plain", "floor": 0.1, "models": [f"{kind}-plain"]} for kind in KINDS]


@pytest.fixture(scope="module")
def gateway(speaker, tmp_path_factory):
    base = speaker.base_url.removesuffix("/v1")
    text = write_settings(base, models=written(base), slas=SLAS, policy="cheapest")
    started = Live(text, tmp_path_factory.mktemp("routing"))
    yield started
    started.stop()


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
PNG = "data:image/png;base64,iVBORw0KGgo="
ASKED = {
    "openai": {
        "tools": {
            "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
        },
        "json": {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": SCHEMA},
            }
        },
        "vision": [{"type": "image_url", "image_url": {"url": PNG}}],
    },
    "anthropic": {
        "tools": {"tools": [{"name": "f", "input_schema": SCHEMA}]},
        "json": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        "vision": [
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
            }
        ],
    },
    "responses": {
        "tools": {"tools": [{"type": "function", "name": "f", "parameters": SCHEMA}]},
        "json": {"text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}},
        "vision": [{"type": "input_image", "image_url": PNG}],
    },
}


def ask(gateway, client, sla, content="Why?", headers=None, **fields):
    turns = [{"role": "user", "content": content}]
    name = "input" if client == "responses" else "messages"
    limit = {"max_tokens": 50} if client == "anthropic" else {}
    body = {"model": f"floorline/{sla}", name: turns, **limit, **fields}
    return gateway.http.post(DIALECTS[client].path, json=body, headers=headers)


@pytest.mark.parametrize("need", [None, "tools", "json", "vision"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", KINDS)
def test_what_a_request_needs(gateway, client, kind, need):
    asked = ASKED[client].get(need, {})
    fields = {"content": asked} if isinstance(asked, list) else asked
    served = ask(gateway, client, kind, **fields)
    assert served.status_code == 200, served.text
    plain = ask(gateway, client, f"{kind}-plain", **fields)
    if need is None:
        assert plain.status_code == 200
    else:
        assert served.headers["x-floorline-model"] == f"{kind}-able"
        assert plain.status_code == 400
        assert need in plain.json()["error"]["message"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", KINDS)
def test_the_field_floorline(gateway, speaker, client, kind):
    options = {"exclude": [f"{kind}-plain"], "session": "s-1"}
    answer = ask(gateway, client, kind, floorline=options)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-floorline-model"] == f"{kind}-able"
    assert "floorline" not in speaker.requests[-1]["body"]
    header = {"X-Floorline-Exclude": f"{kind}-plain"}
    answer = ask(gateway, client, kind, headers=header)
    assert answer.headers["x-floorline-model"] == f"{kind}-able"


@pytest.mark.parametrize("client", KINDS)
@pytest.mark.parametrize(
    ("sla", "fields", "status"),
    [
        ("none", {}, 404),
        ("openai", {"floorline": {"floor": 7}}, 400),
        ("openai", {"floorline": 7}, 400),
    ],
)
def test_a_refusal(gateway, client, sla, fields, status):
    refused = ask(gateway, client, sla, **fields)
    assert refused.status_code == status
    body = refused.json()
    assert body["error"]["message"]
    if client == "anthropic":
        assert body["type"] == "error"
        kind = "not_found_error" if status == 404 else "invalid_request_error"
        assert body["error"]["type"] == kind


@pytest.mark.parametrize("client", KINDS)
def test_the_budget_of_a_key(speaker, start, tmp_path, client):
    base = speaker.base_url.removesuffix("/v1")
    text = write_settings(base, models=written(base), slas=SLAS, policy="cheapest", auth="keys")
    gateway = start(text)
    keys = gateway.gateway.store.keys
    secret = keys.create("poor", ["chat"], budget=2e-4, period=86_400.0)[1]
    gateway.call(gateway.gateway.auth.set_keys, keys.list())
    headers = {"x-api-key": secret}
    limit = "max_output_tokens" if client == "responses" else "max_tokens"
    answer = ask(gateway, client, client, headers=headers, **{limit: 5})
    assert answer.status_code == 200, answer.text
    refused = ask(gateway, client, client, headers=headers, **{limit: 100_000})
    assert refused.status_code == 429, refused.text
    assert int(refused.headers["retry-after"]) > 0
    if client == "anthropic":
        assert refused.json()["error"]["type"] == "rate_limit_error"
    gateway.gateway.store.flush()
    assert (
        gateway.call(
            lambda: sum(cost for _, cost in gateway.gateway.store.costs(keys.list()[0].id))
        )
        > 0
    )
