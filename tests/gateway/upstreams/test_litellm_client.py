"""Upstreams through LiteLLM, against the same faulty provider by way of its ``openai/`` prefix."""

import asyncio
import json
from importlib.util import find_spec

import pytest
from pydantic import SecretStr
from tests.support import faulty_provider as faults
from tests.support.provider_error_bodies import CONTEXT, OTHERS

from floorline.config import BreakerSettings, TimeoutSettings
from floorline.gateway.upstreams import UpstreamError, Usage

pytestmark = [
    pytest.mark.skipif(find_spec("litellm") is None, reason="needs the extra 'litellm'"),
    # It and what it imports warn of each other.
    pytest.mark.filterwarnings("default"),
]

TEXT = "".join(faults.TEXT)


@pytest.fixture
def play_litellm(play):
    """Run a scene with upstreams of kind ``litellm``."""

    def run(scene_of, **changes):
        async def scene(s):
            settings = {
                "model": "openai/their-model",
                "kind": "litellm",
                "api_key": SecretStr("sk-very-secret"),
            }
            await s.upstreams(**settings | changes)
            try:
                await scene_of(s)
            finally:
                await stop_litellm()

        play(scene)

    return run


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


async def refused(scene, **asked):
    with pytest.raises(UpstreamError) as caught:
        await scene.ask(**asked)
    return caught.value


def test_a_request_that_is_no_strict_json_is_sent(play_litellm):
    async def scene(s):
        answer = await s.ask(messages=[{"role": "user", "content": "a\ud800b"}])
        assert json.loads(await answer.body())["choices"][0]["message"]["content"] == TEXT
        assert s.provider.requests[0]["body"]["messages"][0]["content"] == "a\ufffdb"

    play_litellm(scene)


def test_whole_answer(play_litellm):
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

    play_litellm(scene, headers={"X-Org": "us"})


def test_stream(play_litellm):
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

    play_litellm(scene)


def test_usage_is_kept_from_the_client(play_litellm):
    async def scene(s):
        answer = await s.ask(stream=True)
        body = await answer.body()
        assert b'"usage":{' not in body
        assert answer.usage.prompt_tokens == 12

    play_litellm(scene, ask_usage=True)


def test_a_client_cannot_set_arguments_of_litellm(play_litellm):
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

    play_litellm(scene)


def test_closing_a_stream_hangs_up(play_litellm):
    async def scene(s):
        s.provider.plan(faults.stream(faults.events()[:3], then=faults.hang))
        answer = await s.ask(stream=True)
        assert await anext(answer.chunks())
        await answer.aclose()
        await s.provider.until(lambda p: p.open == 0)

    play_litellm(scene)


def test_silence_mid_stream(play_litellm):
    async def scene(s):
        s.provider.plan(faults.stream(faults.events()[:3], then=faults.hang))
        answer = await s.ask(stream=True)
        with pytest.raises(UpstreamError) as caught:
            await answer.body()
        assert caught.value.kind == "timeout"

    play_litellm(scene, timeouts=TimeoutSettings(idle=0.3))


def test_errors(play_litellm):
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

    play_litellm(scene, retries=2)


def test_errors_are_read_by_the_same_table(play_litellm):
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

    play_litellm(scene, breaker=BreakerSettings(failures=1000, open_for=0.5))


def test_a_request_that_is_too_long_names_the_window(play_litellm):
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

    play_litellm(scene)


def test_a_port_without_a_server(play_litellm):
    async def scene(s):
        error = await refused(s)
        assert error.fallback
        assert error.kind in ("connect", "status")

    play_litellm(scene, endpoint="http://127.0.0.1:9/v1")


def test_hang_before_headers(play_litellm):
    async def scene(s):
        s.provider.plan(faults.hang)
        assert (await refused(s)).kind == "timeout"
        await s.provider.until(lambda p: p.open == 0)

    play_litellm(scene, timeouts=TimeoutSettings(first_byte=0.5))
