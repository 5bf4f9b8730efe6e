"""A model server that we did not write, called as an upstream."""

import asyncio
import json

import pytest

from floorline.gateway.upstreams import Upstreams, UpstreamSettings, estimate_usage
from floorline.gateway.upstreams.sse import SseReader

MESSAGES = [{"role": "user", "content": "tell me what the lazy dog saw"}]


@pytest.fixture
def call(real_server):
    """Open upstreams with the real server as model ``tiny`` and play a scene with them."""

    def run(scene_of):
        settings = UpstreamSettings(
            model=real_server.model, endpoint=real_server.base_url, retries=0
        )

        async def scene():
            calls = Upstreams({"tiny": settings})
            await calls.start()

            async def ask(stream=False, **fields):
                body = {"model": real_server.model, "messages": MESSAGES, "max_tokens": 24}
                if stream:
                    body["stream"] = True
                sent = json.dumps(body | fields).encode()
                return await calls.call("tiny", sent, stream=stream)

            try:
                await scene_of(ask)
                assert calls.health()["tiny"].calls == 0
            finally:
                await calls.close()

        asyncio.run(scene())

    return run


def test_whole_answer(call):
    async def scene(ask):
        answer = await ask()
        body = json.loads(await answer.body())
        assert answer.status == 200
        assert answer.completion_id == body["id"]
        assert answer.usage.completion_tokens == body["usage"]["completion_tokens"] == 24
        assert answer.usage.prompt_tokens == body["usage"]["prompt_tokens"] > 10
        assert answer.output_characters == len(body["choices"][0]["message"]["content"]) > 0
        assert answer.finish_reasons == ["length"]

    call(scene)


def test_stream_says_the_same_as_the_whole_answer(call):
    async def scene(ask):
        whole = json.loads(await (await ask(temperature=0.0)).body())
        answer = await ask(stream=True, temperature=0.0)
        assert answer.content_type == "text/event-stream"
        chunks = [chunk async for chunk in answer.chunks()]
        assert len(chunks) > 3
        events = b"".join(chunks).removesuffix(b"\n\n").split(b"\n\n")
        # This server leaves it out.
        assert events.pop() == b"data: [DONE]"
        deltas = [json.loads(event[6:])["choices"][0]["delta"] for event in events]
        text = "".join(delta.get("content") or "" for delta in deltas)
        assert text == whole["choices"][0]["message"]["content"]
        assert answer.output_characters == len(text)
        assert answer.finish_reasons == ["length"]
        assert answer.usage.completion_tokens == 24
        estimate = estimate_usage(answer.usage.prompt_tokens, answer.output_characters)
        assert estimate.completion_tokens > 0

    call(scene)


def test_a_client_that_leaves_stops_the_generation(call, real_server):
    async def scene(ask):
        # Comes with the server.
        import psutil

        server = psutil.Process(real_server.pid)

        def spent():
            times = server.cpu_times()
            return times.user + times.system

        async def until_idle():
            before = spent()
            while True:
                await asyncio.sleep(0.5)
                before, last = spent(), before
                if before - last < 0.1:
                    return

        start = spent()
        await ask(max_tokens=2000)
        to_the_end = spent() - start

        start = spent()
        answer = await ask(stream=True, max_tokens=2000)
        async for chunk in answer.chunks():
            if b'"content"' in chunk:
                break
        await answer.aclose()
        await until_idle()
        assert spent() - start < to_the_end / 2
        assert (await ask()).status == 200

    call(scene)


@pytest.mark.parametrize(
    ("fields", "status"), [({"model": "another"}, 400), ({"not_a_field": 1}, 422)]
)
def test_errors_are_passed_on(call, fields, status):
    async def scene(ask):
        for stream in (False, True):
            answer = await ask(stream, **fields)
            assert answer.status == status
            assert "detail" in json.loads(await answer.body())

    call(scene)


def test_many_at_once(call):
    async def scene(ask):
        async def one(number):
            answer = await ask(stream=number % 2 == 0, max_tokens=8)
            await answer.body()
            return answer.usage.completion_tokens

        assert await asyncio.gather(*[one(number) for number in range(12)]) == [8] * 12

    call(scene)


def test_its_stream_is_read_the_same_in_any_pieces(call):
    async def scene(ask):
        answer = await ask(stream=True)
        data = await answer.body()
        reader = SseReader()
        for byte in data:
            reader.feed(bytes([byte]))
        reader.close()
        assert reader.found.usage == answer.usage
        assert reader.found.output_characters == answer.output_characters

    call(scene)
