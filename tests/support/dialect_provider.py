"""A provider that speaks three dialects, and a gateway with a model for each of its scenes.

The provider's name of a model is the scene that it plays, in the dialect of the path.
"""

import asyncio
import contextlib
import json

from tests.support.dialect_answers import (
    BY_PATH,
    CALL,
    OVERLOADED,
    THINKING,
    WORDS,
)
from tests.support.faulty_provider import FaultyProvider, close, hang, stream, whole
from tests.support.live_gateway import InThread

ANSWERS = {
    "words": ([WORDS], "stop"),
    "call": ([WORDS, CALL], "tool"),
    "thinking": ([THINKING, WORDS], "stop"),
    "length": ([WORDS], "length"),
}
"""Blocks and end of the scenes that are sound."""
KINDS = ("openai", "anthropic", "responses")
TOO_LONG = "prompt is too long: 208310 tokens > 200000 maximum"
REFUSED = {
    "wrong": (400, "invalid_request_error", "messages: at least one is needed"),
    "too-long": (400, "invalid_request_error", TOO_LONG),
    "missing": (404, "not_found_error", "model: their-model"),
    "busy": (529, "overloaded_error", OVERLOADED),
    "limited": (429, "rate_limit_error", "too many requests"),
}
"""Status, type and text of the scenes in which the provider refuses the request."""
LATE = {"breaks", "fails", "hangs"}
"""Scenes whose stream ends badly after its first text."""


def dialect_of(connection):
    """Dialect of a request, by its path."""
    path = connection.request["line"].split(" ")[1].partition("?")[0]
    if path.startswith("/openai/deployments/"):
        return BY_PATH["/v1/chat/completions"]
    return BY_PATH[path.replace("/count_tokens", "")]


def play(scene):
    """Return what the provider does in a scene."""

    async def answer(connection):
        dialect = dialect_of(connection)
        asked = connection.request["body"]
        if "/count_tokens" in connection.request["line"]:
            return await whole(json.dumps({"input_tokens": 1234}).encode())(connection)
        if scene in REFUSED:
            status, kind, text = REFUSED[scene]
            body = json.dumps(dialect.error(kind, text)).encode()
            return await whole(body, status, request_id="req_9")(connection)
        if scene == "nameless":
            # Without an id, as some servers answer.
            if asked.get("stream"):
                return await stream(list(dialect.events([WORDS], "stop", id="")))(connection)
            return await whole(json.dumps(dialect.whole([WORDS], "stop", id="")).encode())(
                connection
            )
        if scene in ANSWERS or scene == "unstreamed":
            blocks, end = ANSWERS.get(scene, ANSWERS["call"])
            if asked.get("stream") and scene != "unstreamed":
                return await stream(list(dialect.events(blocks, end)))(connection)
            body = json.dumps(dialect.whole(blocks, end), ensure_ascii=False).encode()
            return await whole(body)(connection)
        if scene == "queued":
            queued = {"id": "resp_1", "object": "response", "status": "queued", "output": []}
            return await whole(json.dumps(queued).encode())(connection)
        if scene == "late":
            # Nothing for long, then an error.
            await asyncio.sleep(0.5)
            status, kind, text = REFUSED["busy"]
            body = json.dumps(dialect.error(kind, text)).encode()
            return await whole(body, status)(connection)
        if scene == "early":
            # An error as the first event of a stream.
            early = [dialect.error_event("overloaded_error", OVERLOADED)]
            return await stream(early)(connection)
        assert scene in LATE
        events = list(dialect.events([WORDS], "stop"))
        begun = [one for one in events if events.index(one) <= _first_text(events)]
        if scene == "fails":
            begun.append(dialect.error_event("overloaded_error", OVERLOADED))
        return await stream(begun, then={"breaks": close, "hangs": hang}.get(scene))(connection)

    return answer


_RESULTS = ('"role": "tool"', '"type": "tool_result"', '_call_output"')
"""What only a request with the result of a tool has, in each dialect."""


def answering(blocks, end, after_result=None):
    """Return an answer of blocks; of others once the request has the result of a tool."""

    async def answer(connection):
        dialect, body = dialect_of(connection), connection.request["body"]
        said, reason = blocks, end
        if after_result is not None and any(sign in json.dumps(body) for sign in _RESULTS):
            said, reason = after_result, "stop"
        if body.get("stream"):
            return await stream(list(dialect.events(said, reason)))(connection)
        return await whole(json.dumps(dialect.whole(said, reason)).encode())(connection)

    return answer


def _first_text(events):
    return next(n for n, one in enumerate(events) if WORDS[1].encode() in one)


SCENES = [*ANSWERS, *REFUSED, *sorted(LATE), "early", "late", "nameless", "queued", "unstreamed"]


class DialectProvider(FaultyProvider):
    """The server; see ``FaultyProvider``."""

    def __init__(self):
        super().__init__()
        self.by_model.update({scene: play(scene) for scene in SCENES})


@contextlib.contextmanager
def speaking(by_model=None):
    """A provider in a thread of its own, with further scenes by the provider's name of a model."""
    provider = DialectProvider()
    provider.by_model.update(by_model or {})
    served = InThread(provider)
    try:
        yield served.value
    finally:
        served.stop()


def models(base, kinds=KINDS, scenes=SCENES):
    """Models of a configuration, one for each kind and scene, as ``KIND-SCENE``."""
    return [
        {
            "name": f"{kind}-{scene}",
            "model": scene,
            "kind": kind,
            "endpoint": f"{base}/v1",
            "api_key": "sk-provider",
            "input_price": 1.0,
            "output_price": 2.0,
            "capabilities": ["tools", "json", "vision"],
            "retries": 0,
            # The scenes that fail shall go on to do so.
            "breaker": {"failures": 1_000_000},
        }
        for kind in kinds
        for scene in scenes
    ]
