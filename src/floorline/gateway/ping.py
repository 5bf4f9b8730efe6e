"""Ask every provider whether it is there, takes the key and knows the model."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp
import msgspec

from floorline.gateway.upstreams import Retries, Secret, UpstreamError, Upstreams, UpstreamSettings
from floorline.gateway.upstreams.http_client import open_session

_MOST_BYTES = 4 * 2**20
_LONGEST = 160
_KEY_FIX = "set api_key_env, api_key_file or api_key to a key that is valid there"


class Ping(NamedTuple):
    """What a provider answered.

    ``reachable`` and ``listed`` (whether its list of models has the model) are None where nobody
    could tell; ``seconds`` until the answer; ``problem`` what is wrong and what to do, None if
    nothing is; ``note`` what could not be found out.
    """

    model: str
    endpoint: str
    reachable: bool | None
    seconds: float | None = None
    listed: bool | None = None
    problem: str | None = None
    note: str = ""


async def ping_all(
    models: Mapping[str, UpstreamSettings], *, call: bool = False, timeout: float = 10.0
) -> list[Ping]:
    """Ping the providers of all models at once.

    Parameters
    ----------
    models
        How each is called, by name.
    call
        Also ask each model for one token, which is charged.
    timeout
        Seconds after which an answer counts as none.
    """
    once = Retries(attempts=1)
    upstreams = Upstreams(
        {name: msgspec.structs.replace(s, retries=once) for name, s in models.items()}
    )
    await upstreams.start()
    try:
        async with open_session() as session:
            pingers = [_Pinger(session, name, s, timeout) for name, s in models.items()]
            found = await asyncio.gather(*(pinger.list_models() for pinger in pingers))
            if call:
                pairs = zip(pingers, found, strict=True)
                found = await asyncio.gather(*(p.call(upstreams, ping) for p, ping in pairs))
            return list(found)
    finally:
        await upstreams.close(0.0)


class _Pinger:
    def __init__(
        self, session: aiohttp.ClientSession, name: str, settings: UpstreamSettings, timeout: float
    ) -> None:
        self.session = session
        self.name = name
        self.settings = settings
        self.timeout = timeout
        self.endpoint = settings.base_url

    async def list_models(self) -> Ping:
        """Ask for the provider's list of models."""
        if self.settings.kind != "openai":
            note = "through LiteLLM, which has no list of models; --call asks the model"
            return Ping(self.name, self.endpoint or "litellm", None, note=note)
        status, body, seconds, failure = await self._get("/models")
        if failure is not None:
            return Ping(self.name, self.endpoint, False, problem=failure)
        here = Ping(self.name, self.endpoint, True, seconds)
        if status in (401, 403):
            return here._replace(problem=f"the provider refuses the key ({status}): {_KEY_FIX}")
        if status >= 500:
            return here._replace(problem=f"the provider answers {status}: see its logs")
        known = _names(body) if status == 200 else None
        if known is None:
            return here._replace(note=f"has no list of models ({status}); --call asks the model")
        model = self.settings.model
        if model in known or f"{model}:latest" in known:
            return here._replace(listed=True)
        some = ", ".join(sorted(known)[:5]) + (", …" if len(known) > 5 else "")
        fix = f"set model to one it has: {some}" if known else "load the model there"
        return here._replace(listed=False, problem=f"the provider does not list {model!r}: {fix}")

    async def call(self, upstreams: Upstreams, found: Ping) -> Ping:
        """Ask the model for one token, unless its provider has a problem already."""
        if found.problem is not None:
            return found
        question = {
            "model": self.settings.model,
            "messages": [{"role": "user", "content": "Hello"}],
            "max_tokens": 1,
        }
        began = time.perf_counter()
        problem = None
        try:
            async with asyncio.timeout(self.timeout):
                body = json.dumps(question).encode()
                answer = await upstreams.call(self.name, body, stream=False)
                if answer.status >= 400:
                    reason = self._reason(await answer.body())
                    problem = f"a call is answered with {answer.status}: {reason}"
        except TimeoutError:
            problem = f"a call is not answered within {self.timeout:g} s"
        except UpstreamError as error:
            problem = str(error)
        seconds = time.perf_counter() - began
        reachable = True if problem is None else found.reachable
        return found._replace(reachable=reachable, seconds=seconds, problem=problem, note="called")

    async def _get(self, path: str) -> tuple[int, bytes, float, str | None]:
        """Status, body and seconds of a request, or why there is no answer."""
        began = time.perf_counter()
        try:
            async with self.session.get(
                self.endpoint.rstrip("/") + path,
                headers=self._headers(),
                timeout=aiohttp.ClientTimeout(self.timeout, connect=self.timeout),
                allow_redirects=False,
            ) as response:
                body = await response.content.read(_MOST_BYTES)
                return response.status, body, time.perf_counter() - began, None
        except TimeoutError:
            failure = f"no answer within {self.timeout:g} s: check endpoint and firewall"
        except aiohttp.ClientConnectorError as error:
            why = error.os_error.strerror or type(error.os_error).__name__
            failure = f"no connection ({why}): check endpoint, and that the provider runs"
        except aiohttp.ClientError as error:
            # Its text may hold the request's headers, key included.
            failure = f"the answer is not HTTP ({type(error).__name__}): check endpoint"
        return 0, b"", 0.0, failure

    def _headers(self) -> dict[str, str]:
        headers = {
            name: value.reveal() if isinstance(value, Secret) else value
            for name, value in self.settings.headers.items()
        }
        if self.settings.api_key is not None:
            headers["Authorization"] = f"Bearer {self.settings.api_key.reveal()}"
        return headers

    def _reason(self, body: bytes) -> str:
        try:
            answer = json.loads(body)
            text = str(answer["error"]["message"])
        except (ValueError, TypeError, KeyError, RecursionError):
            text = body.decode(errors="replace") or "no reason given"
        for secret in self.settings.secrets():
            # Some providers repeat the key that they refuse.
            text = text.replace(secret, "***")
        text = " ".join(text.split())
        return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _names(body: bytes) -> set[str] | None:
    """Names in a list of models, None if it is none."""
    try:
        data: Any = json.loads(body)["data"]
        return {str(item["id"]) for item in data}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
