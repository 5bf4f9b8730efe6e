"""Clients in JavaScript talk to the gateway: OpenAI's package, and Vercel's ``ai``.

``make test-clients`` installs the packages, in the versions of ``package-lock.json``.
"""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from tests.support import faulty_provider as fp
from tests.support.faulty_provider import FaultyProvider
from tests.support.live_gateway import InThread, wait_until
from tests.support.stage import Stage, settings_of

HERE = Path(__file__).parent
TEXT = "".join(fp.TEXT)
WHY = [{"role": "user", "content": "Why is the sky blue?"}]
FAMILIES = ("openai", "compatible")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (HERE / "node_modules").is_dir(), reason="'make test-clients' installs the packages"
    ),
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    provider = InThread(FaultyProvider())
    capable = {"capabilities": ["tools", "json"]}
    # Comments within streams come soon, so that each client meets some.
    text = settings_of(provider.value, model=capable, server={"stream_keepalive": "150ms"})
    begun = Stage(text, provider.value, tmp_path_factory.mktemp("npm"))
    yield begun
    wait_until(begun.at_rest)
    begun.stop()
    provider.stop()


def run(script, *arguments):
    done = subprocess.run(
        ["node", HERE / script, *arguments], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def openai(stage, path="/v1", **fields):
    request = {"model": "floorline/gold", "messages": WHY, **fields}
    return run("openai_client.mjs", stage.url + path, json.dumps(request))


def vercel(stage, family, task, model="floorline/gold"):
    return run("vercel_ai.mjs", f"{stage.url}/v1", family, task, model, "Why is the sky blue?")


def test_the_openai_package_gets_a_whole_answer(stage):
    stage.happened()
    seen = openai(stage)
    assert (seen["text"], seen["finish"], seen["usage"]) == (TEXT, "stop", fp.USAGE)
    (decision,), (outcome,) = stage.happened()
    assert seen["decision"] == decision.id
    assert (outcome.input_tokens, outcome.output_tokens) == (12, 9)


def test_the_openai_package_gets_a_stream(stage):
    seen = openai(stage, stream=True, stream_options={"include_usage": True})
    assert (seen["text"], seen["finish"], seen["usage"]) == (TEXT, "stop", fp.USAGE)


def thinking(answer, seconds=0.5):
    async def late(connection):
        await asyncio.sleep(seconds)
        await answer(connection)

    return late


def test_the_openai_package_skips_comments(stage):
    stage.plan(thinking(fp.error(500)), thinking(fp.stream(fp.events(usage=fp.USAGE))))
    seen = openai(stage, stream=True, stream_options={"include_usage": True})
    assert (seen["text"], seen["finish"], seen["usage"]) == (TEXT, "stop", fp.USAGE)
    # The headers came with the first comment, while the first model was called.
    failed, served = stage.happened()[0][-2:]
    assert (seen["decision"], served.after) == (failed.id, failed.id)


@pytest.mark.parametrize("family", FAMILIES)
def test_vercels_package_skips_comments(stage, family):
    stage.plan(thinking(fp.error(500)), thinking(fp.stream(fp.events(usage=fp.USAGE))))
    seen = vercel(stage, family, "stream")
    assert (seen["text"], seen["finish"]) == (TEXT, "stop")
    assert (seen["usage"]["inputTokens"], seen["usage"]["outputTokens"]) == (12, 9)


@pytest.mark.parametrize("family", FAMILIES)
def test_vercels_package_gets_a_whole_answer(stage, family):
    seen = vercel(stage, family, "text")
    assert (seen["text"], seen["finish"]) == (TEXT, "stop")
    assert (seen["usage"]["inputTokens"], seen["usage"]["outputTokens"]) == (12, 9)


@pytest.mark.parametrize("family", FAMILIES)
def test_vercels_package_gets_a_stream(stage, family):
    stage.happened()
    seen = vercel(stage, family, "stream")
    assert (seen["text"], seen["finish"]) == (TEXT, "stop")
    assert (seen["usage"]["inputTokens"], seen["usage"]["outputTokens"]) == (12, 9)
    (outcome,) = stage.happened()[1]
    assert (outcome.error, outcome.input_tokens, outcome.output_tokens) == (None, 12, 9)


def a_tool_call(connection):
    call = {"id": "call-1", "type": "function"}
    call["function"] = {"name": "weather", "arguments": '{"city": "Oslo"}'}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    body = {"id": "chatcmpl-2", "object": "chat.completion", "choices": [choice]}
    return fp.whole(json.dumps(body | {"usage": fp.USAGE}).encode())(connection)


@pytest.mark.parametrize("family", FAMILIES)
def test_vercels_package_calls_a_tool_and_sends_its_result(stage, family):
    stage.plan(a_tool_call)
    seen = vercel(stage, family, "tools")
    assert seen == {"text": TEXT, "asked": [{"city": "Oslo"}], "steps": 2}
    assert [m["role"] for m in stage.provider.requests[-1]["body"]["messages"]] == [
        "user",
        "assistant",
        "tool",
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_vercels_package_gets_an_object(stage, family):
    message = {"role": "assistant", "content": '{"city": "Oslo"}'}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "chatcmpl-3", "object": "chat.completion", "choices": [choice]}
    stage.plan(fp.whole(json.dumps(body | {"usage": fp.USAGE}).encode()))
    assert vercel(stage, family, "object") == {"object": {"city": "Oslo"}}
    assert stage.provider.requests[-1]["body"]["response_format"]["type"] == "json_schema"


async def close_late(connection):
    await asyncio.sleep(0.3)
    connection.close()


@pytest.mark.parametrize("client", ["npm", *FAMILIES])
def test_a_stream_is_a_success_although_its_provider_closes_late(stage, client):
    stage.happened()
    stage.plan(fp.stream(fp.events(usage=fp.USAGE), then=close_late))
    seen = openai(stage, stream=True) if client == "npm" else vercel(stage, client, "stream")
    assert (seen["text"], seen["finish"]) == (TEXT, "stop")
    (outcome,) = stage.happened()[1]
    assert (outcome.error, outcome.input_tokens, outcome.output_tokens) == (None, 12, 9)


def test_the_openai_package_may_leave_within_a_stream(stage):
    stage.happened()
    stage.plan(fp.stream(fp.events(usage=fp.USAGE)[:3], then=fp.hang))
    assert openai(stage, stream=True, leave_after=2)["chunks"] == 2
    (outcome,) = stage.happened()[1]
    assert outcome.error == "the client disconnected"


def too_long(window):
    about = {
        "message": f"This model's maximum context length is {window} tokens.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
    return fp.whole(json.dumps({"error": about}).encode(), status=400)


# The windows become smaller: a model whose window is known to be no larger would not be called.
@pytest.mark.parametrize(
    ("client", "window"), [("npm", 8192), ("openai", 4096), ("compatible", 2048)]
)
def test_another_model_answers_what_is_too_long_for_the_first(stage, client, window):
    stage.happened()
    stage.plan(too_long(window))
    seen = openai(stage) if client == "npm" else vercel(stage, client, "text")
    assert (seen["text"], seen["finish"]) == (TEXT, "stop")
    first, second = stage.happened()[0]
    assert second.after == first.id
    assert second.model != first.model


def test_both_packages_show_what_is_wrong(stage):
    seen = openai(stage, model="gold")
    assert (seen["error"], seen["status"], seen["code"]) == (
        "NotFoundError",
        404,
        "model_not_found",
    )
    assert "did you mean floorline/gold?" in seen["message"]
    for family in FAMILIES:
        seen = vercel(stage, family, "stream", model="gold")
        assert (seen["error"], seen["status"]) == ("AI_APICallError", 404)
        assert "did you mean floorline/gold?" in seen["message"]


def test_both_packages_show_a_base_url_without_its_path(stage):
    seen = openai(stage, path="")
    assert seen["status"] == 404
    assert f"{stage.url}/v1" in seen["message"]


def test_errors_name_the_decision(stage):
    stage.plan(*[fp.error(500)] * 3)
    seen = openai(stage)
    assert seen["status"] == 502
    assert seen["decision"] == stage.happened()[0][-1].id
    stage.plan(*[fp.error(500)] * 3)
    seen = vercel(stage, "openai", "text")
    assert seen["status"] == 502
    assert seen["decision"] == stage.happened()[0][-1].id
