"""From the models of the configuration to settings of calls."""

import pytest
from pydantic import SecretStr

from floorline.config import ModelSettings, ProviderSettings, load_text
from floorline.config.provider import KEY_FIELDS
from floorline.errors import ConfigError, InvalidInput
from floorline.gateway.upstream_config import all_upstream_settings, upstream_settings
from floorline.gateway.upstreams import UpstreamSettings

FILE = """
models:
  - name: small
    model: llama3
    endpoint: http://127.0.0.1:8000/v1
    kind: openai
    api_key_env: KEY
    headers: {{X-Org: our-org}}
    pass_headers: [x-user-id]
    proxy: http://me:proxy-word@proxy.example:3128
    no_proxy: [localhost]
    keep_alive: 15s
    fallback_on: [content_filter]
    timeouts: {{connect: 1s, first_byte: 2s, idle: 3s, total: 4s}}
    retries: 5
    breaker: {{failures: 6, rate: 0.7, window: 8s, open_for: 9s, probes: 10}}
    max_concurrency: 11
    queue_length: 12
    queue_wait: 13s
    max_answer: 14kB
    ask_usage: false
    output_price: {price}
slas: [{{name: gold, floor: 0.9}}]
"""


def small(price=1.0, key="sk-1"):
    return load_text(FILE.format(price=price), environ={"KEY": key}).models[0]


def test_every_field_reaches_the_calls():
    model = small()
    settings = upstream_settings(model)
    assert (settings.model, settings.key) == ("llama3", SecretStr("sk-1"))
    for name in ProviderSettings.model_fields.keys() - KEY_FIELDS:
        assert getattr(settings, name) == getattr(model, name), name
        assert name in model.model_fields_set, f"{name} is not in the file of this test"
    assert settings.breaker.window_seconds == 8.0
    assert settings.max_answer == 14_000


def test_the_fields_of_calls_are_declared_once():
    assert set(UpstreamSettings.__annotations__) == {"model", "check_addresses"}


def test_a_price_changes_no_call_but_a_key_does():
    assert upstream_settings(small(price=2.0)) == upstream_settings(small())
    assert upstream_settings(small(key="sk-2")) != upstream_settings(small())


def test_secrets_are_not_shown():
    settings = upstream_settings(small(key="sk-very-secret"))
    hidden = ["me:proxy-word", "our-org", "proxy-word", "sk-very-secret"]
    assert sorted(settings.secrets()) == hidden
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert not [secret for secret in hidden if secret in shown]


def test_a_model_with_a_key_and_the_header_that_carries_it():
    text = """
    defaults: {endpoint: "http://h/v1", headers: {authorization: Basic abc}}
    models: [{name: a, api_key: sk-1}, {name: b}]
    slas: [{name: gold, floor: 0.9}]
    """
    with pytest.raises(ConfigError) as error:
        all_upstream_settings(load_text(text, environ={}))
    assert list(error.value.problems) == [
        "model 'a': headers is 'Authorization': remove this header, or the key (api_key, "
        "api_key_env, …)"
    ]


def test_a_model_of_an_openai_compatible_endpoint_needs_one():
    with pytest.raises(InvalidInput, match="endpoint is missing: give the base URL of its API"):
        upstream_settings(ModelSettings(name="small"))
    elsewhere = upstream_settings(ModelSettings(name="small", kind="litellm"))
    assert elsewhere.endpoint is None
