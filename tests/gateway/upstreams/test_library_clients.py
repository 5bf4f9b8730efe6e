"""Upstreams through LiteLLM and any-llm, against the same faulty provider as all others.

Both call it as OpenAI's. A library that is not installed is skipped; the two cannot be installed
together with every release of the package ``anthropic``.
"""

import asyncio
import json
from importlib.util import find_spec

import pytest
from pydantic import SecretStr
from tests.support import dialect_answers
from tests.support import faulty_provider as faults
from tests.support.provider_error_bodies import CONTEXT, OTHERS

from floorline.config import BreakerSettings, TimeoutSettings
from floorline.gateway.upstreams import UpstreamError, Usage

# LiteLLM and what it imports warn of each other.
pytestmark = pytest.mark.filterwarnings("default")

TEXT = "".join(faults.TEXT)


def installed(kind, module):
    missing = find_spec(module) is None
    return pytest.param(kind, marks=pytest.mark.skipif(missing, reason=f"needs the extra {kind!r}"))


@pytest.fixture(params=[installed("litellm", "litellm"), installed("any-llm", "any_llm")])
def kind(request):
    return request.param


@pytest.fixture
def play_library(play, kind):
    """Run a scene with upstreams of a library."""

    def run(scene_of, **changes):
        async def scene(s):
            settings = {
                "model": {"litellm": "openai/their-model", "any-llm": "openai:their-model"}[kind],
                "kind": kind,
                "api_key": SecretStr("sk-very-secret"),
            }
            await s.upstreams(**settings | changes)
            try:
                await scene_of(s)
            finally:
                await stop(kind, s.calls)

        play(scene)

    return run


async def stop(kind, upstreams):
    """Close the connections that a library keeps for later calls."""
    if kind == "litellm":
        await stop_litellm()
    else:
        await stop_any_llm(upstreams)


async def stop_litellm():
    """Close the clients that LiteLLM keeps for later calls, and stop what it does on the side."""
    import litellm
    from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

    for client in litellm.in_memory_llm_clients_cache.cache_dict.values():
        if hasattr(client, "close"):
            await client.close()
    litellm.in_memory_llm_clients_cache.flush_cache()
    # Whatever is written down last starts the writer anew.
    for _ in range(20):
        await asyncio.sleep(0.02)
        await GLOBAL_LOGGING_WORKER.stop()


async def stop_any_llm(upstreams):
    for model in upstreams._models.values():
        sdk = model.attempt._client._sdk
        if sdk is not None:
            await sdk.client.close()


async def refused(scene, **asked):
    with pytest.raises(UpstreamError) as caught:
        await scene.ask(**asked)
    return caught.value


def test_a_request_that_is_no_strict_json_is_sent(play_library):
    async def scene(s):
        answer = await s.ask(messages=[{"role": "user", "content": "a\ud800b"}])
        assert json.loads(await answer.body())["choices"][0]["message"]["content"] == TEXT
        assert s.provider.requests[0]["body"]["messages"][0]["content"] == "a\ufffdb"

    play_library(scene)


def test_whole_answer(play_library):
    async def scene(s):
        answer = await s.ask(temperature=0.5, seed=3)
        body = json.loads(await answer.body())
        assert body["choices"][0]["message"]["content"] == TEXT
        assert answer.completion_id == "chatcmpl-1"
        assert answer.usage == Usage(12, 9, cached_tokens=8)
        assert answer.output_characters == len(TEXT)
        sent = s.provider.requests[0]
        assert sent["headers"]["authorization"] == "Bearer sk-very-secret"
        assert sent["headers"]["x-org"] == "us"
        assert (sent["body"]["model"], sent["body"]["temperature"]) == ("their-model", 0.5)

    play_library(scene, headers={"X-Org": "us"})


def test_stream(play_library):
    async def scene(s):
        answer = await s.ask(stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in answer.chunks()]
        assert chunks[-1] == b"data: [DONE]\n\n"
        read = [json.loads(chunk.removeprefix(b"data: ")) for chunk in chunks[:-1]]
        words = [c["choices"][0]["delta"].get("content") or "" for c in read if c["choices"]]
        assert "".join(words) == TEXT
        assert read[-1]["choices"] == []
        assert answer.output_characters == len(TEXT)
        assert answer.usage.completion_tokens == 9

    play_library(scene)


def test_usage_is_kept_from_the_client(play_library):
    async def scene(s):
        answer = await s.ask(stream=True)
        body = await answer.body()
        assert b'"usage":{' not in body
        assert answer.usage.prompt_tokens == 12

    play_library(scene, ask_usage=True)


def test_a_client_cannot_set_arguments_of_a_library(play_library):
    async def scene(s):
        await s.ask(
            api_base="http://127.0.0.1:9",
            api_key="sk-mine",
            mock_response="ha",
            custom_llm_provider="anthropic",
            extra_headers={"Authorization": "Bearer mine"},
            top_k=4,
        )
        sent = s.provider.requests[0]
        assert sent["headers"]["authorization"] == "Bearer sk-very-secret"
        assert sent["body"]["top_k"] == 4

    play_library(scene)


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def calls_of(stream, body):
    """Calls of tools in a whole answer, or in the events of a stream."""
    if not stream:
        (call,) = json.loads(body)["choices"][0]["message"]["tool_calls"]
        return call["id"], call["function"]["name"], call["function"]["arguments"]
    events = [json.loads(one[6:]) for one in body.split(b"\n\n")[:-2]]
    calls = [
        call
        for event in events
        for choice in event["choices"]
        for call in choice["delta"].get("tool_calls") or ()
    ]
    named = calls[0]
    arguments = "".join(call["function"].get("arguments") or "" for call in calls)
    return named["id"], named["function"]["name"], arguments


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_offered_and_called(play_library, stream):
    async def scene(s):
        blocks = [dialect_answers.WORDS, dialect_answers.CALL]
        chat = dialect_answers.Chat
        if stream:
            s.provider.plan(faults.stream(list(chat.events(blocks, "tool"))))
        else:
            s.provider.plan(faults.whole(json.dumps(chat.whole(blocks, "tool")).encode()))
        earlier = [
            {"role": "user", "content": "How is it in Rome?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_0",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_0", "content": "sunny"},
        ]
        answer = await s.ask(
            stream=stream, tools=[TOOL], tool_choice="auto", messages=earlier, prompt_cache_key="k"
        )
        body = await answer.body()
        assert calls_of(stream, body) == ("call_1", "get_weather", '{"city": "Oslo"}')
        sent = s.provider.requests[0]["body"]
        assert sent["tools"] == [TOOL]
        assert (sent["tool_choice"], sent["prompt_cache_key"]) == ("auto", "k")
        assert sent["messages"][1]["tool_calls"] == earlier[1]["tool_calls"]
        assert sent["messages"][2] == earlier[2]
        counted = Usage(dialect_answers.PROMPT, dialect_answers.OUTPUT, dialect_answers.CACHED)
        assert answer.usage == counted

    play_library(scene, ask_usage=True)


@pytest.mark.parametrize("stream", [False, True])
def test_anthropics_api_is_called(play, kind, stream):
    """Through the library's own translation, with the package of Anthropic."""
    scene_model = {"litellm": "anthropic/claude-x", "any-llm": "anthropic:claude-x"}[kind]

    async def scene(s):
        root = s.provider.base_url.removesuffix("/v1")
        key = SecretStr("sk-very-secret")
        await s.upstreams(model=scene_model, kind=kind, endpoint=root, api_key=key, ask_usage=True)
        try:
            blocks = [dialect_answers.WORDS, dialect_answers.CALL]
            messages = dialect_answers.Messages
            if stream:
                s.provider.plan(faults.stream(list(messages.events(blocks, "tool"))))
            else:
                s.provider.plan(faults.whole(json.dumps(messages.whole(blocks, "tool")).encode()))
            # Names of the user and of a cache, which not every kit takes, do not stop a request.
            named = {"user": "u-1", "prompt_cache_key": "k"} if kind == "any-llm" else {}
            answer = await s.ask(stream=stream, tools=[TOOL], max_tokens=100, **named)
            name, arguments = calls_of(stream, await answer.body())[1:]
            assert (name, json.loads(arguments)) == ("get_weather", {"city": "Oslo"})
            sent = s.provider.requests[0]
            assert sent["line"].split(" ")[1].partition("?")[0] == "/v1/messages"
            assert sent["headers"]["x-api-key"] == "sk-very-secret"
            assert (sent["body"]["model"], sent["body"]["max_tokens"]) == ("claude-x", 100)
            assert sent["body"]["tools"][0]["name"] == "get_weather"
            counted = Usage(dialect_answers.PROMPT, dialect_answers.OUTPUT, dialect_answers.CACHED)
            assert answer.usage == counted
            if kind == "any-llm":
                # A field that no argument of the kit stands for is named, before a call.
                error = await refused(s, stream=stream, seed=3)
                assert error.meaning.reason == "unsupported"
                assert len(s.provider.requests) == 1
            # An error in a form that only Anthropic has.
            wrong = messages.error("invalid_request_error", "messages: at least one is needed")
            s.provider.plan(faults.refusal(400, wrong))
            answer = await s.ask(max_tokens=100)
            assert answer.status == 400
            told = json.loads(await answer.body())["error"]["message"]
            assert "messages: at least one is needed" in told
        finally:
            await stop(kind, s.calls)

    play(scene)


def test_closing_a_stream_hangs_up(play_library):
    async def scene(s):
        s.provider.plan(faults.stream(faults.events()[:3], then=faults.hang))
        answer = await s.ask(stream=True)
        assert await anext(answer.chunks())
        await answer.aclose()
        await s.provider.until(lambda p: p.open == 0)

    play_library(scene)


def test_silence_mid_stream(play_library):
    async def scene(s):
        s.provider.plan(faults.stream(faults.events()[:3], then=faults.hang))
        answer = await s.ask(stream=True)
        with pytest.raises(UpstreamError) as caught:
            await answer.body()
        assert caught.value.kind == "timeout"

    play_library(scene, timeouts=TimeoutSettings(idle=0.3))


def test_errors(play_library):
    async def scene(s):
        s.provider.plan(faults.error(429, Retry_After="7"), faults.error(503))
        assert (await s.ask()).attempts == 3
        assert s.slept[0] == 7.0
        s.provider.plan(faults.error(400, "the messages are too rude"))
        answer = await s.ask()
        assert answer.status == 400
        assert "too rude" in json.loads(await answer.body())["error"]["message"]
        s.provider.plan(faults.error(401, "Incorrect key sk-very-secret"))
        error = await refused(s)
        assert error.status == 401
        assert "sk-very" not in str(error)
        s.provider.plan(*[faults.error(500, "key sk-very-secret is tired")] * 3)
        error = await refused(s)
        assert (error.kind, error.status) == ("status", 500)
        assert "sk-very" not in str(error)

    play_library(scene, retries=2)


def test_errors_are_read_by_the_same_table(play_library):
    async def scene(s):
        expected = [(*case[:3], "context_length_exceeded") for case in CONTEXT] + OTHERS
        for provider, status, body, reason in expected:
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            s.provider.plan(faults.whole(data, status))
            # A breaker that opened is closed by the next probe.
            s.now += 1.0
            if reason in ("client_error", "content_filter"):
                assert (await s.ask()).status == status, provider
                continue
            error = await refused(s)
            assert error.meaning.reason == reason, provider
            assert "sk-very" not in str(error)

    play_library(scene, breaker=BreakerSettings(failures=1000, open_for=0.5))


def test_a_request_that_is_too_long_names_the_window(play_library):
    async def scene(s):
        _, status, body, window = CONTEXT[0]
        s.provider.plan(faults.whole(json.dumps(body).encode(), status))
        error = await refused(s)
        assert (error.meaning.window, error.meaning.teaches_window) == (window, True)
        # In a stream the error arrives in its first event.
        s.provider.plan(faults.stream([faults.event(body)]))
        error = await refused(s, stream=True)
        assert error.meaning.reason == "context_length_exceeded"
        assert json.loads(error.answer.body)["error"]["code"] == "context_length_exceeded"

    play_library(scene)


def test_a_port_without_a_server(play_library):
    async def scene(s):
        error = await refused(s)
        assert error.fallback
        assert error.kind in ("connect", "status")

    play_library(scene, endpoint="http://127.0.0.1:9/v1")


def test_hang_before_headers(play_library):
    async def scene(s):
        s.provider.plan(faults.hang)
        assert (await refused(s)).kind == "timeout"
        await s.provider.until(lambda p: p.open == 0)

    play_library(scene, timeouts=TimeoutSettings(first_byte=0.5))
