"""Clients in JavaScript that call /v1/responses, before providers of three dialects.

Vercel's ``ai`` calls it by default with the package of OpenAI's. ``make test-clients`` installs the
packages, in the versions of ``package-lock.json``.
"""

import base64
import json
import struct
import subprocess
from pathlib import Path

import pytest
from tests.support import faulty_provider as fp
from tests.support.dialect_answers import OUTPUT, PROMPT, THINKING, WORDS, joined
from tests.support.dialect_provider import KINDS, answering, models, speaking
from tests.support.live_gateway import Live, write_settings

HERE = Path(__file__).parent
TEXT = joined(WORDS)
CALL = ("tool", "weather", '{"city"', ': "Oslo"}')
OBJECT = ("text", '{"city": ', '"Oslo"}')
NUMBERS = base64.b64encode(struct.pack("<2f", 0.25, -0.5)).decode()
EMBEDDING = {
    "object": "list",
    # The package asks for base64.
    "data": [{"object": "embedding", "index": 0, "embedding": NUMBERS}],
    "usage": {"prompt_tokens": 5, "total_tokens": 5},
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (HERE / "node_modules").is_dir(), reason="'make test-clients' installs the packages"
    ),
]


async def embed_or_complete(connection):
    if "/embeddings" in connection.request["line"]:
        return await fp.whole(json.dumps(EMBEDDING).encode())(connection)
    chunks = [
        {"id": "c", "object": "text_completion", "choices": [{"index": 0, "text": word, **end}]}
        for word, end in (("Hi", {"finish_reason": None}), ("!", {"finish_reason": "stop"}))
    ]
    return await fp.stream([*map(fp.event, chunks), b"data: [DONE]\n\n"])(connection)


SCENES = {
    "thinking": answering([THINKING, WORDS], "stop"),
    "loop": answering([THINKING, WORDS, CALL], "tool", [WORDS]),
    "object": answering([OBJECT], "stop"),
    "plain": embed_or_complete,
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with speaking(SCENES) as provider:
        base = provider.base_url.removesuffix("/v1")
        zoo = models(base, scenes=[*SCENES, "wrong", "fails", "breaks"])
        text = write_settings(base, models=zoo, slas=[{"name": "gold", "floor": 0.1}])
        started = Live(text, tmp_path_factory.mktemp("npm"))
        yield started
        started.stop()


def run(script, *arguments):
    done = subprocess.run(
        ["node", HERE / script, *arguments], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def openai(gateway, task, model):
    return run("openai_responses.mjs", f"{gateway.url}/v1", task, model)


def vercel(gateway, task, model):
    url = f"{gateway.url}/v1"
    return run("vercel_ai.mjs", url, "responses", task, model, "Why is the sky blue?")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["text", "stream"])
def test_the_openai_package_gets_a_response(gateway, task, kind):
    seen = openai(gateway, task, f"{kind}-thinking")
    assert (seen["text"], seen["status"]) == (TEXT, "completed")
    assert seen["kinds"] == ["reasoning", "message"]
    usage = seen["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (PROMPT, OUTPUT)


@pytest.mark.parametrize("kind", KINDS)
def test_the_openai_package_calls_a_tool_and_sends_its_result(gateway, kind):
    seen = openai(gateway, "tools", f"{kind}-loop")
    assert (seen["text"], seen["asked"]) == (TEXT, {"city": "Oslo"})


@pytest.mark.parametrize("kind", KINDS)
def test_the_openai_package_gets_an_object(gateway, kind):
    assert openai(gateway, "object", f"{kind}-object") == {"object": {"city": "Oslo"}}


def test_the_openai_package_embeds_and_completes(gateway):
    seen = openai(gateway, "embeddings", "openai-plain")
    assert seen == {"embedding": [0.25, -0.5], "usage": EMBEDDING["usage"]}
    assert openai(gateway, "completions", "openai-plain") == {"text": "Hi!"}
    seen = openai(gateway, "embeddings", "floorline/gold")
    assert (seen["error"], seen["param"]) == ("BadRequestError", "model")


@pytest.mark.parametrize("kind", KINDS)
def test_both_packages_show_errors(gateway, kind):
    seen = openai(gateway, "text", f"{kind}-wrong")
    assert (seen["error"], seen["status"]) == ("BadRequestError", 400)
    assert "messages: at least one is needed" in seen["message"]
    seen = vercel(gateway, "text", f"{kind}-wrong")
    assert (seen["error"], seen["status"]) == ("AI_APICallError", 400)
    assert "messages: at least one is needed" in seen["message"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scene", ["fails", "breaks"])
def test_both_packages_see_an_error_within_a_stream(gateway, scene, kind):
    seen = openai(gateway, "stream", f"{kind}-{scene}")
    assert "error" in seen or seen["status"] == "failed"
    seen = vercel(gateway, "stream", f"{kind}-{scene}")
    assert "error" in seen, seen


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["text", "stream"])
def test_vercels_package_gets_a_response(gateway, task, kind):
    seen = vercel(gateway, task, f"{kind}-thinking")
    assert (seen["text"], seen["finish"]) == (TEXT, "stop")
    assert (seen["usage"]["inputTokens"], seen["usage"]["outputTokens"]) == (PROMPT, OUTPUT)


@pytest.mark.parametrize("kind", KINDS)
def test_vercels_package_calls_a_tool_and_sends_its_result(gateway, kind):
    seen = vercel(gateway, "tools", f"{kind}-loop")
    assert seen == {"text": TEXT, "asked": [{"city": "Oslo"}], "steps": 2}


@pytest.mark.parametrize("kind", KINDS)
def test_vercels_package_streams_a_tool_loop(gateway, kind):
    seen = vercel(gateway, "streamedTools", f"{kind}-loop")
    assert (seen["text"], seen["asked"], seen["steps"]) == (TEXT * 2, [{"city": "Oslo"}], 2)
    assert seen["thinking"] == joined(THINKING)


@pytest.mark.parametrize("kind", KINDS)
def test_vercels_package_gets_an_object(gateway, kind):
    assert vercel(gateway, "object", f"{kind}-object") == {"object": {"city": "Oslo"}}


# The provider that keeps its items is asked by their ids; the gateway keeps those of the others.
@pytest.mark.parametrize("kind", KINDS)
def test_vercels_package_refers_to_the_items_of_an_earlier_turn(gateway, kind):
    assert vercel(gateway, "turns", f"{kind}-thinking")["text"] == TEXT
