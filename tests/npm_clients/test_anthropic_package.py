"""Anthropic's client in JavaScript talks to the gateway, before providers of three dialects.

``make test-clients`` installs the package, in the version of ``package-lock.json``.
"""

import json
import subprocess
from pathlib import Path

import pytest
from tests.support.dialect_answers import (
    CACHED,
    OUTPUT,
    OVERLOADED,
    PROMPT,
    THINKING,
    WORDS,
    joined,
)
from tests.support.dialect_provider import KINDS, models, speaking
from tests.support.live_gateway import Live, wait_until, write_settings

HERE = Path(__file__).parent
WHY = [{"role": "user", "content": "Why is the sky blue?"}]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (HERE / "node_modules").is_dir(), reason="'make test-clients' installs the packages"
    ),
]


@pytest.fixture(scope="module")
def speaker():
    with speaking() as provider:
        yield provider


@pytest.fixture(scope="module")
def gateway(speaker, tmp_path_factory):
    base = speaker.base_url.removesuffix("/v1")
    slas = [
        {"name": "gold", "floor": 0.1, "models": ["anthropic-words"]},
        {"name": "calls", "floor": 0.1, "models": ["anthropic-call"]},
    ]
    text = write_settings(base, models=models(base), slas=slas)
    started = Live(text, tmp_path_factory.mktemp("anthropic"))
    yield started
    started.stop()


def call(gateway, task, model, **fields):
    request = {"model": model, "messages": WHY, **fields}
    if task != "count":
        request.setdefault("max_tokens", 100)
    script = HERE / "anthropic_client.mjs"
    done = subprocess.run(
        ["node", script, gateway.url, "unused", task, json.dumps(request)],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def tokens(usage):
    return (
        usage["input_tokens"] + usage["cache_read_input_tokens"],
        usage["cache_read_input_tokens"],
        usage["output_tokens"],
    )


@pytest.mark.parametrize("task", ["whole", "stream"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer(gateway, kind, task):
    seen = call(gateway, task, f"{kind}-thinking")
    assert seen["blocks"] == [
        {"type": "thinking", "thinking": joined(THINKING)},
        {"type": "text", "text": joined(WORDS)},
    ]
    assert seen["stop"] == "end_turn"
    assert tokens(seen["usage"]) == (PROMPT, CACHED, OUTPUT)
    if task == "stream":
        assert seen["streamed"] == joined(WORDS)
        assert seen["events"][0] == "message_start"
        assert seen["events"][-1] == "message_stop"


@pytest.mark.parametrize("model", ["openai-call", "responses-call", "floorline/calls"])
def test_the_package_runs_tools(gateway, speaker, model):
    begun = len(speaker.requests)
    seen = call(gateway, "tools", model, max_iterations=3)
    assert seen["asked"] == [{"city": "Oslo"}] * 3
    assert seen["stop"] == "tool_use"
    # It asks the provider to keep the conversation, and sends the whole one when it hears that
    # this provider does not.
    first, second, third = (one["body"] for one in speaker.requests[begun:])
    name = "input" if "input" in first else "messages"
    assert len(first[name]) < len(second[name]) < len(third[name])
    assert json.dumps(third).count("It rains.") == 2


def test_the_provider_of_a_named_model_keeps_the_conversation(gateway, speaker):
    begun = len(speaker.requests)
    call(gateway, "tools", "anthropic-call", max_iterations=2)
    first, second = (one["body"] for one in speaker.requests[begun:])
    assert first["thread"] == {"type": "create"}
    assert second["thread"] == {"type": "continue", "previous_message_id": "msg_1"}
    assert len(second["messages"]) == 1


def test_an_sla_and_its_decision(gateway):
    seen = call(gateway, "whole", "floorline/gold")
    assert seen["blocks"] == [{"type": "text", "text": joined(WORDS)}]
    assert seen["decision"]


def test_tokens_are_counted(gateway):
    assert call(gateway, "count", "anthropic-words") == {"input_tokens": 1234}
    assert call(gateway, "count", "openai-words")["input_tokens"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_errors(gateway, kind):
    seen = call(gateway, "stream", f"{kind}-busy")
    assert (seen["status"], seen["type"]) == (529, "overloaded_error")
    assert OVERLOADED in seen["message"]
    seen = call(gateway, "whole", f"{kind}-limited")
    assert (seen["error"], seen["status"]) == ("RateLimitError", 429)
    seen = call(gateway, "stream", f"{kind}-fails")
    assert OVERLOADED in seen["message"]


def test_an_unknown_model(gateway):
    seen = call(gateway, "whole", "gold")
    assert (seen["error"], seen["status"]) == ("NotFoundError", 404)
    assert "floorline/gold" in seen["message"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_client_may_leave_within_a_stream(gateway, kind):
    seen = call(gateway, "stream", f"{kind}-hangs", leave_after=3)
    assert seen["error"] == "APIUserAbortError"
    name = f"{kind}-hangs"
    wait_until(lambda: gateway.gateway.upstreams.health()[name].calls == 0)
