"""The files for proxies can be read, and have the models of the example configuration."""

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from tests.support.envoy_scene import EXAMPLE, NAMES, clusters, filters, place, routes

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = os.environ.get("FLOORLINE_FRAMEWORKS", "")
PROGRAM = Path(ENVIRONMENTS) / "frameworks" / "bin" / "envoy"
MODELS = yaml.safe_load((ROOT / "examples" / "floorline.yaml").read_text())
FORWARD_AUTH = {
    "uri",
    "ssl_verify",
    "request_method",
    "max_req_body_size",
    "request_headers",
    "upstream_headers",
    "client_headers",
    "extra_headers",
    "timeout",
    "keepalive",
    "keepalive_timeout",
    "keepalive_pool",
    "allow_degradation",
    "status_on_error",
}
"""Fields that APISIX 3.21's documentation gives the plug-in `forward-auth`."""


def model_routes():
    return {route["name"]: route for route in routes(envoy()) if route["name"] in NAMES}


def envoy():
    return yaml.safe_load(EXAMPLE.read_text())


def apisix():
    return yaml.safe_load((ROOT / "deploy" / "apisix" / "apisix.yaml").read_text())


def test_envoy_has_a_route_to_each_model_of_the_example():
    assert {one["name"]: one["model"] for one in MODELS["models"]} == NAMES
    for name, route in model_routes().items():
        (header,) = route["match"]["headers"]
        assert header["string_match"]["exact"] == name
        named = route["metadata"]["filter_metadata"]["envoy.filters.http.lua"]
        assert named == {"model": NAMES[name]}
    assert list(model_routes()) == list(NAMES)


@pytest.mark.parametrize("model", MODELS["models"], ids=lambda model: model["name"])
def test_envoy_calls_the_providers_of_the_example(model):
    given = model.get("endpoint", MODELS["defaults"]["endpoint"])
    # ${NAME:-URL} is URL unless the variable says otherwise.
    endpoint = urlsplit(re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", given))
    cluster = clusters(envoy())[model_routes()[model["name"]]["route"]["cluster"]]
    (found,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    address = found["endpoint"]["address"]["socket_address"]
    assert (address["address"], address["port_value"]) == (endpoint.hostname, endpoint.port or 443)
    assert ("transport_socket" in cluster) == (endpoint.scheme == "https")


def test_the_limits_of_envoy_agree():
    """A whole request is held while Floorline decides."""
    (listener,) = envoy()["static_resources"]["listeners"]
    used = filters(envoy())
    assert (
        listener["per_connection_buffer_limit_bytes"]
        == used["ext_authz"]["with_request_body"]["max_request_bytes"]
    )


def test_apisix_asks_with_fields_that_it_documents():
    text = (ROOT / "deploy" / "apisix" / "apisix.yaml").read_text()
    # APISIX ignores a file without this mark.
    assert text.rstrip().endswith("#END")
    chat = apisix()["routes"][0]
    asks = chat["plugins"]["forward-auth"]
    assert set(asks) <= FORWARD_AUTH
    assert asks["request_method"] == "POST"
    ids = {one["id"] for one in apisix()["upstreams"]}
    used = {route["upstream_id"] for route in apisix()["routes"]}
    (rule,) = chat["plugins"]["traffic-split"]["rules"]
    used |= {one["upstream_id"] for one in rule["weighted_upstreams"]}
    assert used == ids
    (function,) = chat["plugins"]["serverless-post-function"]["functions"]
    assert dict(re.findall(r'(\w+) = \{model = "([^"]+)"', function)) == NAMES


def loads(script, folder):
    """Whether Envoy can load a script of Lua."""
    config = place(envoy(), {"openai": 1})
    filters(config)["lua"]["default_source_code"] = {"inline_string": script}
    path = folder / "envoy.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [PROGRAM, "--mode", "validate", "-c", path, "-l", "warning"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(
    not ENVIRONMENTS or not PROGRAM.exists(), reason="make test-frameworks installs Envoy"
)
def test_the_function_for_apisix_can_be_loaded(tmp_path):
    """APISIX has LuaJIT, as Envoy has."""
    (script,) = apisix()["routes"][0]["plugins"]["serverless-post-function"]["functions"]
    assert loads(f"local function made()\n{script}\nend", tmp_path)
    assert not loads(f"local function made()\n{script.replace('then', 'than')}\nend", tmp_path)


def test_agent_router_has_floorline_as_a_provider():
    path = ROOT / "deploy" / "agent-router" / "floorline.yaml"
    objects = {one["kind"]: one for one in yaml.safe_load_all(path.read_text())}
    assert set(objects) == {
        "AIGatewayRoute",
        "AIServiceBackend",
        "Backend",
        "BackendSecurityPolicy",
    }
    (rule,) = objects["AIGatewayRoute"]["spec"]["rules"]
    (header,) = rule["matches"][0]["headers"]
    assert header["value"] in [f"floorline/{sla['name']}" for sla in MODELS["slas"]]
    assert rule["backendRefs"] == [{"name": objects["AIServiceBackend"]["metadata"]["name"]}]
