"""Upstreams that call a faulty provider, and a clock that only tests move."""

import asyncio
import json

import pytest

from floorline.config import TimeoutSettings
from floorline.gateway.errors import api_error
from floorline.gateway.upstreams import Backoff, UpstreamError, Upstreams, UpstreamSettings

PATIENT = TimeoutSettings(connect=10.0, first_byte=20.0, idle=20.0, total=30.0)
"""Timeouts that a loaded machine keeps, for tests that are not about them."""
BACKOFF = Backoff(base_seconds=0.5, cap_seconds=4.0, max_retry_after_seconds=20.0)


class UpstreamScene:
    """A faulty provider, upstreams that call it, and a clock that only ``sleep`` moves."""

    def __init__(self, provider):
        self.provider = provider
        self.now = 1000.0
        self.slept = []

    def settings(self, **changes):
        defaults = {
            "model": "their-model",
            "endpoint": self.provider.base_url,
            "timeouts": PATIENT,
            "retries": 0,
            "ask_usage": False,
        }
        return UpstreamSettings(**defaults | changes)

    async def upstreams(self, **changes):
        self.calls = Upstreams(
            {"m": self.settings(**changes)},
            backoff=BACKOFF,
            seed=7,
            clock=lambda: self.now,
            wall_clock=lambda: self.now,
            sleep=self.sleep,
        )
        await self.calls.start()
        return self.calls

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def ask(self, *, stream=False, headers=None, **fields):
        body = {"model": "their-model", "messages": [{"role": "user", "content": "Hi"}], **fields}
        if stream:
            body["stream"] = True
        return await self.calls.call("m", json.dumps(body).encode(), stream=stream, headers=headers)


def openai_error(error):
    """What a client gets to read of an error."""
    return json.loads(api_error(error).body())["error"]


async def refused(scene, **asked):
    with pytest.raises(UpstreamError) as caught:
        await scene.ask(**asked)
    return caught.value


async def drain(answer):
    """What arrives of a stream, and the error at its end, if any."""
    got = []
    try:
        # Appended one by one, so that what came before an error is kept.
        async for chunk in answer.chunks():
            got.append(chunk)  # noqa: PERF401
    except UpstreamError as error:
        return b"".join(got), error
    return b"".join(got), None
