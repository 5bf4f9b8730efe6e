"""LiteLLM's own proxy with Floorline as its hook."""

import json
import os
import subprocess
from pathlib import Path

import httpx2 as httpx
import pytest
from tests.support.gateway_fixtures import (
    administered,
    provider,
    start,
    start_administered,
)
from tests.support.live_gateway import MODELS, wait_until
from tests.upstream_real.conftest import free_port

__all__ = ["administered", "provider", "start", "start_administered"]

ROOT = Path(__file__).parent.parent.parent
PROXY = os.environ.get("FLOORLINE_LITELLM_PROXY", "")
"""The command of LiteLLM in an environment of `requirements/litellm-proxy.txt`."""
ASK = [{"role": "user", "content": "Why is the sky blue?"}]

pytestmark = pytest.mark.skipif(not PROXY, reason="make test-upstream installs the proxy")


def answers(url, process):
    assert process.poll() is None, "the proxy ended"
    try:
        return httpx.get(f"{url}/health/liveliness", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def proxy(administered, provider, tmp_path):
    """URL of a proxy that asks the gateway and calls the fake provider."""
    parameters = {
        "api_base": f"{provider}/v1",
        "api_key": "none",
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 2e-6,
    }
    config = {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": f"openai/{name}", **parameters}}
            for name in MODELS
        ],
        "litellm_settings": {"callbacks": "floorline_hook.hook"},
    }
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    (tmp_path / "floorline_hook.py").write_text(
        "from floorline.plugins.litellm import FloorlineHook\n\nhook = FloorlineHook()\n"
    )
    port = free_port()
    command = [PROXY, "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    key = administered.http.headers["authorization"].removeprefix("Bearer ")
    environment = {
        **os.environ,
        "FLOORLINE_API_KEY": key,
        "FLOORLINE_URL": administered.url,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "PYTHONPATH": str(ROOT / "src"),
    }
    with (tmp_path / "proxy.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: answers(url, process), seconds=180)
            yield url
        finally:
            process.kill()
            process.wait()


def test_the_proxy_serves_what_the_gateway_chose_and_reports_it(proxy, administered):
    def steps(decision):
        administered.call(administered.gateway.store.flush)
        return administered.http.get(f"/v1/decisions/{decision}").json()["timeline"]

    def ask(model, **fields):
        body = {"model": model, "messages": ASK, **fields}
        return httpx.post(f"{proxy}/v1/chat/completions", json=body, timeout=60)

    answer = ask("floorline/gold", floorline={"exclude": [MODELS[0]]})
    assert answer.status_code == 200, answer.text
    decision = answer.headers["x-floorline-decision"]
    made = administered.http.get(f"/v1/decisions/{decision}").json()
    assert made["model"] != MODELS[0]
    # In the body the proxy keeps the name that the client gave.
    assert answer.headers["x-litellm-model-group"] == made["model"]
    wait_until(lambda: len(steps(decision)) > 1)
    usage = answer.json()["usage"]
    outcome = steps(decision)[1]
    assert outcome["error"] is None
    assert outcome["output_tokens"] == usage["completion_tokens"]
    assert outcome["cost"] == pytest.approx(
        1e-6 * usage["prompt_tokens"] + 2e-6 * usage["completion_tokens"]
    )
    sent = administered.http.post("/v1/feedback", json={"id": decision, "satisfied": True})
    assert sent.status_code == 200
    assert administered.http.get("/v1/slas/gold").json()["labels"] == 1

    stream = ask("floorline/gold", stream=True)
    assert "data: [DONE]" in stream.text
    wait_until(lambda: len(steps(stream.headers["x-floorline-decision"])) > 1)

    assert "x-floorline-decision" not in ask(MODELS[0]).headers
    refused = ask("floorline/bronze")
    assert refused.status_code == 400
    assert "bronze" in refused.text
