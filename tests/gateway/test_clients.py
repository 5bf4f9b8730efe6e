"""Clients of OpenAI's API talk to the gateway unchanged."""

import asyncio
import json
import shutil
import subprocess

import httpx2 as httpx
import openai
import pytest

WHY = [{"role": "user", "content": "Why is the sky blue?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


@pytest.fixture
def client(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_openai_sdk(client):
    answer = client.chat.completions.create(model="floorline/gold", messages=WHY)
    assert answer.choices[0].message.content.startswith("This answer is simulated")
    assert answer.usage.total_tokens > 0


def test_openai_sdk_sees_headers_and_gives_feedback_by_the_completions_id(client, gateway):
    raw = client.chat.completions.with_raw_response.create(model="floorline/gold", messages=WHY)
    assert raw.headers["x-floorline-model"] == raw.parse().model
    sent = gateway.http.post("/v1/feedback", json={"id": raw.parse().id, "satisfied": True})
    assert sent.json()["decision"] == raw.headers["x-floorline-decision"]


def test_openai_sdk_streams(client):
    stream = client.chat.completions.create(
        model="floorline/gold", messages=WHY, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text.startswith("This answer is simulated")
    assert chunks[-1].usage.completion_tokens > 0


def test_openai_sdk_asynchronously(gateway):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="unused") as client:
            answers = await asyncio.gather(
                *(
                    client.chat.completions.create(model="floorline/auto", messages=WHY)
                    for _ in range(8)
                )
            )
            stream = await client.chat.completions.create(
                model="floorline/silver", messages=WHY, stream=True
            )
            return answers, [chunk async for chunk in stream]

    answers, chunks = asyncio.run(ask())
    assert len({answer.id for answer in answers}) == 8
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_openai_sdk_calls_tools(client):
    answer = client.chat.completions.create(model="floorline/gold", messages=WHY, tools=TOOLS)
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "weather"
    assert "city" in json.loads(call.function.arguments)
    again = client.chat.completions.create(
        model="floorline/gold",
        messages=[
            *WHY,
            answer.choices[0].message,
            {"role": "tool", "tool_call_id": call.id, "content": "Rain."},
        ],
        tools=TOOLS,
    )
    assert again.choices[0].finish_reason == "stop"


def test_openai_sdk_streams_tool_calls(client):
    stream = client.chat.completions.create(
        model="floorline/gold", messages=WHY, tools=TOOLS, stream=True
    )
    names = [
        call.function.name
        for chunk in stream
        for call in chunk.choices[0].delta.tool_calls or []
        if call.function.name
    ]
    assert names == ["weather"]


def test_openai_sdk_in_json_mode_with_several_choices(client):
    answer = client.chat.completions.create(
        model="floorline/gold", messages=WHY, response_format={"type": "json_object"}, n=3
    )
    assert [json.loads(c.message.content) for c in answer.choices] == [{"simulated": True}] * 3


def test_openai_sdk_lists_models(client):
    names = [model.id for model in client.models.list()]
    assert names[:3] == ["floorline/auto", "floorline/gold", "floorline/silver"]
    assert "sim-nano" in names
    assert client.models.retrieve("floorline/gold").owned_by == "floorline"


def test_openai_sdk_understands_our_errors(client):
    with pytest.raises(
        openai.NotFoundError, match="there is no SLA 'bronze': use one of"
    ) as caught:
        client.chat.completions.create(model="floorline/bronze", messages=WHY)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError, match=r"floor is 2\.0: give the share of"):
        client.chat.completions.create(
            model="floorline/gold", messages=WHY, extra_body={"floorline": {"floor": 2}}
        )


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_curl_streams(gateway):
    body = {"model": "floorline/gold", "messages": WHY, "stream": True}
    done = subprocess.run(
        [
            *("curl", "-sSN", "--fail", f"{gateway.url}/v1/chat/completions"),
            *("-H", "Content-Type: application/json", "-d", json.dumps(body)),
        ],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith(b"data: {")
    assert done.stdout.endswith(b"data: [DONE]\n\n")


def test_a_stream_is_passed_on_byte_for_byte(gateway, provider):
    body = {"model": "sim-nano", "messages": WHY, "stream": True}
    straight = httpx.post(f"{provider}/v1/chat/completions", json=body, timeout=60).text
    through = gateway.http.post("/v1/chat/completions", json=body).text

    def without_ids(text):
        return [json.loads(e[6:]) | {"id": "", "created": 0} for e in text.split("\n\n")[:-2]]

    assert without_ids(through) == without_ids(straight)
    assert through.endswith("\n\ndata: [DONE]\n\n")
