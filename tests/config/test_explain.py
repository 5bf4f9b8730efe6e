"""Problems are explained with their field, value and fix, and never with a secret."""

import pytest

from floorline.config import load_text
from floorline.errors import ConfigError

KEY = "sk-very-secret-0123456789"
FILE = """
models:
  - name: small
    endpoint: http://127.0.0.1:8000/v1
    {how}
slas: [{{name: gold, floor: 0.9}}]
"""


def test_all_mistakes_are_reported_in_the_order_of_the_file(problems):
    assert problems("""\
        models:
          - name: small
            endpoint: http://127.0.0.1:8000/v1
            inputprice: 3
            input_price: -3
          - name: small
        slas:
          - name: gold
            floor: 1.3
            models: [huge]
        server: {port: 99999}
    """) == [
        "floorline.yaml:4: models[0].inputprice is no known field: write input_price",
        "floorline.yaml:5: models[0].input_price is -3: give a price from 0 to 1e+09 (cost unit "
        "per million tokens)",
        "floorline.yaml:6: models[1].name is 'small': give another name: models[0] has this one",
        "floorline.yaml:6: models[1].endpoint is missing: give the base URL of its API, such as "
        "http://127.0.0.1:8000/v1",
        "floorline.yaml:9: slas[0].floor is 1.3: give the share of satisfied requests, from 0 to 1",
        "floorline.yaml:10: slas[0].models[0] is 'huge': name one of the models: small",
        "floorline.yaml:11: server.port is 99999: give a port from 0 (any) to 65535",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("auth: open", "auth is 'open': choose 'keys' or 'none'"),
        (
            "auth: none\nserver: {host: 0.0.0.0}",
            "auth is 'none': set auth: keys, or a loopback server.host instead of 0.0.0.0",
        ),
        ("telemetri: {}", "telemetri is no known field: write telemetry"),
        ("memory: yes", "memory is true: give a whole number of 1 or more"),
        ("memory: .inf", "memory is inf: give a whole number of 1 or more"),
        (
            "feedback: {max_age: 30 moons}",
            "feedback.max_age is '30 moons': give seconds above 0, or a text such as 30s, 12h or "
            "30d, at most 100 years",
        ),
        (
            "server: {max_body: 0}",
            "server.max_body is 0: give bytes, 1 or more, or a text such as 20MiB, at most 1 PiB",
        ),
        ("server: 8080", "server is 8080: give fields, one on each line"),
        ("store: {store_prompts: maybe}", "store.store_prompts is 'maybe': write true or false"),
        (
            "telemetry: {service_name: 3}",
            "telemetry.service_name is 3: give a text, in quotes if it looks like a number",
        ),
        (
            "encoder: magic",
            "encoder is 'magic': write hashed, hashed:sparse, lsa:PATH, minilm (downloads it) or "
            "minilm:PATH",
        ),
        (
            "policy: {name: sla_router, options: {V: 3}}",
            "policy.options.V is no parameter of the policy: choose one of: v, c, clip, estimator",
        ),
    ],
)
def test_a_mistake_is_named_with_its_value_and_a_fix(wrong, text, message):
    assert wrong(text) == message


def test_no_message_shows_a_secret(problems):
    lines = problems(
        FILE.format(
            how="""headers: {X-Key: [sk-very-secret-0123456789], "a b": sk-very-secret-0123456789}
    api_key: [sk-very-secret-0123456789]
    input_price: ${KEY}
    endpoint2: ${KEY}"""
        )
        + f"store: {{url: 'mysql://me:{KEY}@db'}}\n",
        KEY=KEY,
    )
    assert len(lines) >= 6
    assert KEY not in "\n".join(lines)
    assert any("models[0].input_price is '${KEY}': give a price" in line for line in lines)


SECRET = "hunter2-secret"
SLAS = "slas: [{{name: gold, floor: 0.9}}]\n"
MODEL = "models: [{{name: small, endpoint: 'http://127.0.0.1:1/v1', {}}}]\n" + SLAS
ENDPOINT = "models: [{{name: small, endpoint: '{}'}}]\n" + SLAS
REST = MODEL.format("retries: 1")


@pytest.mark.parametrize(
    "text",
    [
        ENDPOINT.format(f"https://me:{SECRET}@host/v1"),
        ENDPOINT.format(f"https://{SECRET}@host/v1"),
        ENDPOINT.format(f"https://me:a/b@{SECRET}@host/v1"),
        ENDPOINT.format(f"https://host/v1/models?key={SECRET}"),
        ENDPOINT.format(f"https://host/v1#{SECRET}"),
        ENDPOINT.format(f"me:{SECRET}@host/v1"),
        MODEL.format(f"api_key: [{SECRET}]"),
        MODEL.format(f"api_key: {{a: {SECRET}}}"),
        MODEL.format(f'api_key: "{SECRET}\\n{SECRET}"'),
        MODEL.format(f"api_key: 'Bearer {SECRET}'"),
        MODEL.format(f"headers: {{A: '{SECRET}ü'}}"),
        ENDPOINT.format(f"host/v1?key={SECRET}"),
        ENDPOINT.format(f"https://host/v1/embeddings?key={SECRET}"),
        MODEL.format(f"api_key_env: {SECRET}"),
        MODEL.format(f"api_key_file: {SECRET}"),
        MODEL.format(f"headers: 'Authorization: {SECRET}'"),
        MODEL.format(f"headers: ['Authorization: {SECRET}']"),
        MODEL.format(f"headers: {{'Authorization: {SECRET}': x}}"),
        MODEL.format(f"headers: {{A: [{SECRET}]}}"),
        f"{REST}store: {{url: 'postgres//me:{SECRET}@host/db'}}",
        f"{REST}store: {{url: ['postgresql://me:{SECRET}@host/db']}}",
        f"{REST}store: 'postgresql://me:{SECRET}@host/db'",
        f"{REST}telemetry: {{otlp_endpoint: 'https://me:{SECRET}@host:4318'}}",
        f"models: [{{name: a, api_key: '{SECRET}",
        f"api_key: {SECRET}: b",
    ],
)
def test_no_message_shows_a_secret_in_the_wrong_place(text):
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    assert SECRET not in str(caught.value)
