"""The check of providers of every kind."""

import asyncio

import msgspec
import pytest
from tests.support.dialect_provider import DialectProvider, models
from tests.support.faulty_provider import refusal, whole

from floorline.config import load_text
from floorline.gateway.ping import ping_all
from floorline.gateway.upstream_config import all_upstream_settings


@pytest.mark.parametrize("kind", ["openai", "anthropic", "responses", "azure"])
def test_a_provider_of_a_kind(kind):
    async def check():
        async with DialectProvider() as speaker:
            base = speaker.base_url.removesuffix("/v1")
            written = models(base, [kind], ["words"])
            if kind == "azure":
                written[0]["endpoint"] = f"{base}?api-version=2024-10-21"
            text = msgspec.json.encode({"models": written, "slas": [{"name": "g", "floor": 0.5}]})
            settings = load_text(text.decode(), environ={})
            if kind != "azure":
                speaker.plan(whole(b'{"data": [{"id": "words"}]}'))
            (found,) = await ping_all(all_upstream_settings(settings), call=True)
            return found, speaker.requests

    found, requests = asyncio.run(check())
    assert found.problem is None
    assert found.reachable
    assert found.note == "called"
    if kind != "azure":
        assert found.listed
        assert requests[0]["line"] == "GET /v1/models HTTP/1.1"
    if kind == "anthropic":
        assert requests[0]["headers"]["anthropic-version"] == "2023-06-01"
        assert requests[0]["headers"]["x-api-key"] == "sk-provider"


def test_a_refused_call_is_a_problem():
    async def check():
        async with DialectProvider() as speaker:
            base = speaker.base_url.removesuffix("/v1")
            text = msgspec.json.encode(
                {
                    "models": models(base, ["anthropic"], ["wrong"]),
                    "slas": [{"name": "g", "floor": 0.5}],
                }
            )
            speaker.plan(refusal(404, {"error": {"message": "none"}}))
            settings = load_text(text.decode(), environ={})
            (found,) = await ping_all(all_upstream_settings(settings), call=True)
            return found

    found = asyncio.run(check())
    assert "messages: at least one is needed" in found.problem
