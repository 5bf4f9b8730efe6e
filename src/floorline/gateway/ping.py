"""Check that every provider can be reached, accepts the key and has the model."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from floorline.config.provider import LIBRARY_KINDS
from floorline.errors import system_reason
from floorline.gateway.chat_request import read_chat
from floorline.gateway.translation import for_provider
from floorline.gateway.upstreams import UpstreamError, Upstreams, UpstreamSettings
from floorline.gateway.upstreams.connections import open_session
from floorline.gateway.upstreams.endpoints import default_headers, path_url, request_headers
from floorline.gateway.upstreams.proxies import proxy_of
from floorline.gateway.upstreams.redaction import Redactor
from floorline.zoo import Model

_KEEP_ALIVE = 1.0
"""Seconds for which connections are kept; each provider is asked once."""
_MAX_BYTES = 4 * 2**20
"""Bytes that are read of a list of models."""
_MAX_REASON = 160
"""Characters of a provider's message that a result repeats."""
_KEY_FIX = "set api_key_env, api_key_file or api_key to a key that is valid there"


class Ping(NamedTuple):
    """Result of the check of one model's provider.

    Attributes
    ----------
    model, endpoint
        The zoo's name of the model, and the provider's base URL.
    reachable
        Whether the provider answered; None if it was not asked.
    seconds
        Time until the answer.
    listed
        Whether the provider's list of models has the model; None if it has no such list.
    problem
        What is wrong and how to correct it; None if nothing is.
    note
        What could not be checked, and why.
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
    """Check the providers of all models at the same time.

    Parameters
    ----------
    models
        How each model is called, by its name.
    call
        Whether to request one token of each model, too, which the provider charges.
    timeout
        Seconds after which a provider counts as not answering.
    """
    upstreams = Upstreams({n: s.model_copy(update={"retries": 0}) for n, s in models.items()})
    await upstreams.start()
    try:
        async with open_session(_KEEP_ALIVE) as session:
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
        # The query can hold a key.
        self.endpoint = (settings.endpoint or "").partition("?")[0]

    async def list_models(self) -> Ping:
        """Request the provider's list of models."""
        kind = self.settings.kind
        if kind in LIBRARY_KINDS or (kind == "azure" and not self.endpoint.endswith("/v1")):
            whose = kind if kind in LIBRARY_KINDS else "a deployment of Azure"
            note = f"{whose} has no list of models; --call requests one token"
            return Ping(self.name, self.endpoint or kind, None, note=note)
        status, body, seconds, failure = await self._get("/models")
        if failure is not None:
            return Ping(self.name, self.endpoint, False, problem=failure)
        answered = Ping(self.name, self.endpoint, True, seconds)
        if status in (401, 403):
            return answered._replace(problem=f"the provider refuses the key ({status}): {_KEY_FIX}")
        if status >= 500:
            return answered._replace(problem=f"the provider answers {status}: see its logs")
        known = _names(body) if status == 200 else None
        if known is None and await self._is_below_v1():
            fix = f"its API is below /v1: write {self.endpoint}/v1"
            return answered._replace(problem=f"endpoint lacks the version ({status}): {fix}")
        if known is None:
            return answered._replace(
                note=f"has no list of models ({status}); --call requests one token"
            )
        model = self.settings.model
        if model in known or f"{model}:latest" in known:
            return answered._replace(listed=True)
        some = ", ".join(sorted(known)[:5]) + (", …" if len(known) > 5 else "")
        fix = f"set model to one it has: {some}" if known else "load the model there"
        return answered._replace(
            listed=False, problem=f"the provider does not list {model!r}: {fix}"
        )

    async def _is_below_v1(self) -> bool:
        """Whether an endpoint without a version has its list of models one step further down."""
        if self.settings.kind == "anthropic" or re.search(r"/v\d", URL(self.endpoint).path):
            return False
        status, body, _, failure = await self._get("/v1/models")
        return failure is None and status == 200 and _names(body) is not None

    async def call(self, upstreams: Upstreams, found: Ping) -> Ping:
        """Request one token of the model, unless its provider has a problem already."""
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
                chat = read_chat(json.dumps(question).encode(), {})
                body, conversation = for_provider(chat, Model(self.name), self.settings)
                answer = await upstreams.call(
                    self.name, body, stream=False, conversation=conversation
                )
                if answer.status >= 400:
                    reason = self._reason(await answer.body())
                    problem = f"the provider answers a call with {answer.status}: {reason}"
        except TimeoutError:
            problem = f"the provider does not answer a call within {self.timeout:g} s"
        except UpstreamError as error:
            problem = error.for_client
        seconds = time.perf_counter() - began
        reachable = True if problem is None else found.reachable
        return found._replace(reachable=reachable, seconds=seconds, problem=problem, note="called")

    async def _get(self, path: str) -> tuple[int, bytes, float, str | None]:
        """Status, body and seconds of a request, and why there is no answer if so."""
        began = time.perf_counter()
        url = path_url(self.settings, path)
        proxy = proxy_of(self.settings, url)
        try:
            async with self.session.get(
                url,
                proxy=None if proxy is None else proxy.url,
                proxy_headers=None if proxy is None else proxy.tunnel_headers,
                headers=default_headers(self.settings)
                | request_headers(self.settings)
                | ({} if proxy is None else proxy.request_headers),
                timeout=aiohttp.ClientTimeout(self.timeout, connect=self.timeout),
                allow_redirects=False,
            ) as response:
                body = await response.content.read(_MAX_BYTES)
                return response.status, body, time.perf_counter() - began, None
        except TimeoutError:
            failure = f"no answer within {self.timeout:g} s: check endpoint and the firewall"
        except aiohttp.ClientHttpProxyError as error:
            failure = f"the proxy answers {error.status}: check proxy, its user and its password"
        except aiohttp.ClientConnectorError as error:
            why = system_reason(error.os_error)
            failure = f"no connection ({why}): check endpoint, and whether the provider runs"
        except aiohttp.ClientError as error:
            # The error's text may hold the request's headers, and so the key.
            failure = f"the answer is not HTTP ({type(error).__name__}): check endpoint"
        return 0, b"", 0.0, failure

    def _reason(self, body: bytes) -> str:
        try:
            answer = json.loads(body)
            text = str(answer["error"]["message"])
        except (ValueError, TypeError, KeyError, RecursionError):
            text = body.decode(errors="replace") or "no reason given"
        # Some providers repeat a key that they refuse.
        text = " ".join(Redactor(self.settings.secrets()).text(text).split())
        return text if len(text) <= _MAX_REASON else text[: _MAX_REASON - 1] + "…"


def _names(body: bytes) -> set[str] | None:
    """Names in a list of models; None if the body is no such list."""
    try:
        data: Any = json.loads(body)["data"]
        return {str(item["id"]) for item in data}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
