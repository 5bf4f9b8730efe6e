"""Calls of all models: limits, breakers, retries, and a way to end them all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from random import Random

import aiohttp
import msgspec

from floorline.errors import InvalidInput
from floorline.gateway.upstreams.answer import Answer, StreamedAnswer
from floorline.gateway.upstreams.attempt import Attempt
from floorline.gateway.upstreams.breaker import Breaker, State
from floorline.gateway.upstreams.client import Client
from floorline.gateway.upstreams.errors import UpstreamError
from floorline.gateway.upstreams.http_client import HttpClient, open_session
from floorline.gateway.upstreams.limiter import Limiter, Saturated
from floorline.gateway.upstreams.litellm_client import LitellmClient, load_litellm
from floorline.gateway.upstreams.requests import ask_usage
from floorline.gateway.upstreams.retry import backoff
from floorline.gateway.upstreams.settings import UpstreamSettings


class Health(msgspec.Struct, frozen=True):
    """How one model stands: its breaker, its calls under way and those that wait for a place."""

    breaker: State
    calls: int
    waiting: int


class _Model:
    """What is kept of one model between calls."""

    def __init__(self, settings: UpstreamSettings, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.limiter = Limiter(settings.max_concurrency, settings.queue_length, settings.queue_wait)
        self.breaker = Breaker(settings.breaker, clock)
        self.attempt: Attempt | None = None


class Upstreams:
    """The providers of all models.

    Parameters
    ----------
    models
        By the zoo's names; none at first by default.
    seed
        Of the waits between attempts.
    clock, wall_clock
        Seconds that never go back, for breakers; seconds since 1970, for dates in ``Retry-After``.
    sleep
        Waits so many seconds.
    """

    def __init__(
        self,
        models: Mapping[str, UpstreamSettings] | None = None,
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rng = Random(seed)
        self._clock = clock
        self._wall_clock = wall_clock
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None
        self._closing = False
        self._calls = 0
        self._idle = asyncio.Event()
        self._streams: set[StreamedAnswer] = set()
        self._models: dict[str, _Model] = {}
        self.configure(models or {})

    async def start(self) -> None:
        """Open the pool of connections; nothing is called yet.

        Raises
        ------
        MissingExtra
            If a model needs LiteLLM and it is not installed.
        """
        self._session = open_session()
        settings = {name: model.settings for name, model in self._models.items()}
        self.configure(settings)
        if any(one.kind == "litellm" for one in settings.values()):
            # Better now than with the first call.
            await asyncio.to_thread(load_litellm)

    def configure(self, models: Mapping[str, UpstreamSettings]) -> None:
        """Add, change and remove models; calls under way go on as they began.

        Raises
        ------
        MissingExtra
            If a model needs LiteLLM and it is not installed; nothing changes then.
        """
        changed: dict[str, _Model] = {}
        for name, settings in models.items():
            old = self._models.get(name)
            if old is None:
                model = _Model(settings, self._clock)
            else:
                model = old if old.settings == settings else self._changed(old, settings)
            if model.attempt is None and self._session is not None:
                model.attempt = Attempt(
                    name, settings, self._client(name, settings), self._wall_clock
                )
            changed[name] = model
        self._models = changed
        for model in changed.values():
            one = model.settings
            model.limiter.resize(one.max_concurrency, one.queue_length, one.queue_wait)

    def _changed(self, old: _Model, settings: UpstreamSettings) -> _Model:
        model = _Model(settings, self._clock)
        # Its calls still count; its failures may be what the change is to end.
        model.limiter = old.limiter
        return model

    def _client(self, name: str, settings: UpstreamSettings) -> Client:
        assert self._session is not None
        if settings.kind == "litellm":
            return LitellmClient(name, settings)
        return HttpClient(self._session, name, settings)

    def blocked(self) -> list[str]:
        """Models of which a call now would be turned away at once."""
        return [
            name
            for name, model in self._models.items()
            if model.limiter.full or not model.breaker.would_admit()
        ]

    def health(self) -> dict[str, Health]:
        """How each model stands."""
        return {
            name: Health(model.breaker.state, model.limiter.taken, model.limiter.waiting)
            for name, model in self._models.items()
        }

    async def call(
        self,
        model: str,
        body: bytes,
        *,
        stream: bool,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a chat completion to a model's provider.

        Parameters
        ----------
        model
            The zoo's name.
        body
            The request as JSON, with the provider's name of the model.
        stream
            Whether it asks for a stream. That has begun when this returns: its first bytes came.
        headers
            More headers to send; those of the settings come first.

        Raises
        ------
        UpstreamError
            If there is no answer to hand out.
        InvalidInput
            If there is no such model.
        """
        try:
            target = self._models[model]
        except KeyError:
            raise InvalidInput("model", model, "name one of: " + ", ".join(self._models)) from None
        began = asyncio.get_running_loop().time()
        if not target.breaker.would_admit():
            raise _left_alone(model, target.breaker)
        limiter = target.limiter
        if not limiter.take():
            try:
                await limiter.wait()
            except Saturated:
                raise _saturated(model, target.settings) from None
        self._calls += 1
        streams = False
        try:
            answer = await self._attempts(model, target, body, stream, headers, began)
            streams = answer.streamed
            return answer
        finally:
            if not streams:
                self._release(limiter)

    def _release(self, limiter: Limiter) -> None:
        limiter.release()
        self._calls -= 1
        if not self._calls:
            self._idle.set()

    async def _attempts(
        self,
        name: str,
        target: _Model,
        body: bytes,
        stream: bool,
        headers: Mapping[str, str] | None,
        began: float,
    ) -> Answer:
        settings, breaker, attempt = target.settings, target.breaker, target.attempt
        loop = asyncio.get_running_loop()
        drop_usage = False
        if stream and settings.ask_usage:
            body, drop_usage = ask_usage(body)
        fault: UpstreamError | None = None
        for number in range(1, settings.retries.attempts + 1):
            if self._closing or attempt is None:
                raise UpstreamError("the gateway is not running", "connect", fallback=False)
            ticket = breaker.admit()
            if ticket is None:
                break
            end = _End(self, target, ticket)
            try:
                answer = await attempt.make(
                    body,
                    stream=stream,
                    drop_usage=drop_usage,
                    headers=headers,
                    began=began,
                    end=end,
                )
            except UpstreamError as error:
                fault = error
            except BaseException:
                breaker.abandoned(ticket)
                raise
            else:
                answer.attempts = number
                if isinstance(answer, StreamedAnswer):
                    end.answer = answer
                    self._streams.add(answer)
                else:
                    breaker.succeeded(ticket)
                return answer
            breaker.failed(ticket)
            wait = self._wait(target, fault, number)
            if wait is None or loop.time() + wait >= began + settings.timeouts.total:
                break
            await self._sleep(wait)
        raise _left_alone(name, breaker) if fault is None else fault

    def _wait(self, target: _Model, fault: UpstreamError, number: int) -> float | None:
        """Seconds until the next attempt; None if there is to be none."""
        retries = target.settings.retries
        if not fault.retryable or number >= retries.attempts:
            return None
        wait = backoff(retries, number, self._rng)
        if fault.retry_after is None:
            return wait
        return None if fault.retry_after > retries.longest_wait else max(wait, fault.retry_after)

    async def close(self, grace: float = 0.0) -> None:
        """Take no more calls; cut off those that are still under way after ``grace`` seconds."""
        self._closing = True
        if self._calls and grace > 0.0:
            self._idle.clear()
            try:
                async with asyncio.timeout(grace):
                    await self._idle.wait()
            except TimeoutError:
                pass
        for answer in list(self._streams):
            answer.cut(UpstreamError("the gateway is shutting down", "reset", fallback=False))
        if self._session is not None:
            await self._session.close()


class _End:
    """Gives back what a stream held."""

    __slots__ = ("_target", "_ticket", "_upstreams", "answer")

    def __init__(self, upstreams: Upstreams, target: _Model, ticket: int) -> None:
        self._upstreams = upstreams
        self._target = target
        self._ticket = ticket
        self.answer: StreamedAnswer | None = None

    def __call__(self, well: bool | None) -> None:
        breaker = self._target.breaker
        if well is None:
            breaker.abandoned(self._ticket)
        elif well:
            breaker.succeeded(self._ticket)
        else:
            breaker.failed(self._ticket)
        if self.answer is not None:
            self._upstreams._streams.discard(self.answer)
        self._upstreams._release(self._target.limiter)


def _left_alone(name: str, breaker: Breaker) -> UpstreamError:
    text = f"circuit breaker open for model {name!r}: its provider keeps failing"
    return UpstreamError(text, "open", retry_after=breaker.wait())


def _saturated(name: str, settings: UpstreamSettings) -> UpstreamError:
    text = (
        f"model {name!r}: all {settings.max_concurrency} places for calls are taken and no place "
        f"in the queue became free in time"
    )
    return UpstreamError(text, "saturated", retry_after=max(1.0, settings.queue_wait))
