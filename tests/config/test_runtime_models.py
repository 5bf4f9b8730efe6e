"""The ``runtime_models`` section: what models over HTTP may use."""

import pytest

from floorline.config import load_runtime_model
from floorline.errors import ConfigError, without_credentials

ENVIRON = {"EXAMPLE_KEY": "sk-example", "OTHER": "sk-other"}


@pytest.fixture
def rules(more):
    return more("""
        runtime_models:
          endpoints:
            - url: https://*.example.com
              key_envs: [EXAMPLE_KEY]
            - url: http://gpu-box:*
            - url: http://10.0.0.5:8000/
    """).runtime_models


def load(rules, endpoint, **fields):
    written = ", ".join(f'"{name}": "{value}"' for name, value in fields.items())
    data = f'{{"name": "new", "endpoint": "{endpoint}"{", " + written if written else ""}}}'
    return load_runtime_model(data.encode(), rules, environ=ENVIRON)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://eu.example.com/v1",
        "https://a.b.example.com:443/v1?api-version=1",
        "https://EU.EXAMPLE.com./v1",
        "http://gpu-box/v1",
        "http://gpu-box:9999/v1",
        "http://10.0.0.5:8000/v1",
    ],
)
def test_what_a_rule_allows(rules, endpoint):
    assert load(rules, endpoint).name == "new"


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://example.com/v1",
        "https://badexample.com/v1",
        "http://eu.example.com/v1",
        "https://eu.example.com:8443/v1",
        "https://gpu-box/v1",
        "http://gpu-box.example.com/v1",
        "http://10.0.0.5/v1",
        "http://10.0.0.50:8000/v1",
        "http://[::ffff:10.0.0.5]:8000/v1",
    ],
)
def test_what_no_rule_allows(rules, endpoint):
    with pytest.raises(ConfigError, match="which is not allowed: give one under"):
        load(rules, endpoint)


def test_a_key_belongs_to_its_endpoint(rules):
    model = load(rules, "https://eu.example.com/v1", api_key_env="EXAMPLE_KEY")
    assert model.key.get_secret_value() == "sk-example"
    for endpoint in ("http://gpu-box/v1", "http://10.0.0.5:8000/v1"):
        with pytest.raises(ConfigError, match="for this endpoint: there is none"):
            load(rules, endpoint, api_key_env="EXAMPLE_KEY")
    with pytest.raises(ConfigError, match="for this endpoint: EXAMPLE_KEY"):
        load(rules, "https://eu.example.com/v1", api_key_env="OTHER")


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com",
        "https://",
        "https://*",
        "https://*.com",
        "https://*.0.0.1",
        "https://a.*.example.com",
        "https://api.example.com/v1",
        "https://api.example.com?x",
        "https://user@api.example.com",
        "https://api.example.com:0",
        "ftp://api.example.com",
        "http://2130706433",
    ],
)
def test_a_rule_that_is_no_origin(wrong, url):
    message = wrong(f"runtime_models: {{endpoints: [{{url: '{url}'}}]}}")
    shown = without_credentials(url)
    assert message.startswith(f"runtime_models.endpoints[0].url is '{shown}'")
    assert ": give scheme and host" in message


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254", "http://[fe80::1]:80", "http://metadata.google.internal"]
)
def test_a_rule_for_a_metadata_service_is_refused(wrong, url):
    message = wrong(f"runtime_models: {{endpoints: [{{url: '{url}'}}]}}")
    assert message.endswith("remove it: no added model is called there")


@pytest.mark.parametrize("name", ["$KEY", "${KEY:-x}", "A B", "1A", "A=B"])
def test_a_key_is_listed_by_its_variables_name(wrong, name):
    section = f"{{endpoints: [{{url: 'http://a', key_envs: ['{name.replace('$', '$$')}']}}]}}"
    message = wrong(f"runtime_models: {section}")
    assert message.endswith("give the name of an environment variable, without $")
