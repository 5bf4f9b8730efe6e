"""Calls of all models, with limits, circuit breakers and retries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from random import Random

import msgspec

from floorline.config.provider import DialectName
from floorline.errors import InvalidInput, listed
from floorline.gateway.dialects.conversation import Conversation
from floorline.gateway.upstreams.answer import Answer, OnEnd, StreamedAnswer
from floorline.gateway.upstreams.attempt import Attempt, Sent
from floorline.gateway.upstreams.breaker import Breaker, State
from floorline.gateway.upstreams.client import Client
from floorline.gateway.upstreams.client_errors import for_client
from floorline.gateway.upstreams.connections import Sessions
from floorline.gateway.upstreams.effects import breaker_effect, stream_effect
from floorline.gateway.upstreams.errors import UpstreamError, breaker_open, saturated
from floorline.gateway.upstreams.findings import Findings
from floorline.gateway.upstreams.http_client import HttpClient
from floorline.gateway.upstreams.learned_windows import LearnedWindows
from floorline.gateway.upstreams.libraries import LIBRARIES
from floorline.gateway.upstreams.limiter import Limiter, Saturated
from floorline.gateway.upstreams.requests import ask_usage, refuses_usage
from floorline.gateway.upstreams.retry import Backoff
from floorline.gateway.upstreams.settings import UpstreamSettings

_DEFAULT_BACKOFF = Backoff()


class Health(msgspec.Struct, frozen=True):
    """State of one model's calls.

    Attributes
    ----------
    breaker
        State of the circuit breaker.
    calls, waiting
        Number of calls that run, and that wait in the queue.
    """

    breaker: State
    calls: int
    waiting: int


class OpenBreaker(msgspec.Struct, frozen=True):
    """A circuit breaker that is open.

    Attributes
    ----------
    model
        Name of the model.
    seconds
        Time until a probe passes.
    opening
        How often it opened, so that one opening can be told from the next.
    cause
        Why the last call failed; "" where that is not known.
    """

    model: str
    seconds: float
    opening: int
    cause: str = ""


class _Model:
    """State of one model that outlives its calls."""

    def __init__(self, settings: UpstreamSettings, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.limiter = Limiter(settings.max_concurrency, settings.queue_length, settings.queue_wait)
        self.breaker = Breaker(settings.breaker, clock)
        self.attempt: Attempt | None = None
        # Whether the provider takes the field that asks for the usage; None before it is known.
        self.takes_usage: bool | None = None


class Upstreams:
    """The providers of all models.

    Parameters
    ----------
    models
        How each model is called, by the zoo's name of the model; none by default.
    backoff
        Waits between attempts.
    seed
        Of the random part of the waits.
    clock
        Returns seconds that never go back, for the circuit breakers.
    wall_clock
        Returns the Unix time in seconds, for dates in ``Retry-After``.
    sleep
        Waits a number of seconds.

    Attributes
    ----------
    windows
        Context windows that were learned from requests that were too long.
    """

    def __init__(
        self,
        models: Mapping[str, UpstreamSettings] | None = None,
        *,
        backoff: Backoff = _DEFAULT_BACKOFF,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._backoff = backoff
        self._rng = Random(seed)
        self._clock = clock
        self._wall_clock = wall_clock
        self._sleep = sleep
        self._sessions: Sessions | None = None
        self._closing = False
        self._calls = 0
        self._idle = asyncio.Event()
        self._streams: set[StreamedAnswer] = set()
        self._models: dict[str, _Model] = {}
        self.windows = LearnedWindows(clock)
        self.configure(models or {})

    async def start(self) -> None:
        """Open the connection pool; no provider is called yet.

        Raises
        ------
        MissingExtra
            If a model needs a library that is not installed.
        """
        self._sessions = Sessions()
        settings = {name: model.settings for name, model in self._models.items()}
        self.configure(settings)
        for kind in {one.kind for one in settings.values()} & LIBRARIES.keys():
            # The import takes seconds, which the first call would otherwise wait.
            await asyncio.to_thread(LIBRARIES[kind].load)

    def configure(self, models: Mapping[str, UpstreamSettings]) -> None:
        """Add, change and remove models; calls that run go on under their old settings.

        Raises
        ------
        MissingExtra
            If a model needs a library that is not installed; nothing changes then.
        """
        changed: dict[str, _Model] = {}
        for name, settings in models.items():
            old = self._models.get(name)
            if old is None:
                model = _Model(settings, self._clock)
            else:
                model = old if old.settings == settings else self._changed(name, old, settings)
            if model.attempt is None and self._sessions is not None:
                model.attempt = Attempt(
                    name, settings, self._client(name, settings), self._wall_clock
                )
            changed[name] = model
        for name in self._models.keys() - changed.keys():
            self.windows.forget(name)
        self._models = changed
        for model in changed.values():
            one = model.settings
            model.limiter.resize(one.max_concurrency, one.queue_length, one.queue_wait)

    def _changed(self, name: str, old: _Model, settings: UpstreamSettings) -> _Model:
        self.windows.forget(name)
        model = _Model(settings, self._clock)
        # Its running calls still count. The breaker is new: the change may end the failures.
        model.limiter = old.limiter
        return model

    def _client(self, name: str, settings: UpstreamSettings) -> Client:
        if settings.kind in LIBRARIES:
            return LIBRARIES[settings.kind].client(name, settings)
        assert self._sessions is not None
        session = self._sessions.session(
            settings.keep_alive, check_addresses=settings.check_addresses
        )
        return HttpClient(session, name, settings)

    def blocked(self, needed: int = 0) -> list[str]:
        """Models of which a call now would be refused at once.

        Parameters
        ----------
        needed
            Tokens of the request and its answer, for the models that refused as many.
        """
        refusing = self.windows.refused_by(needed)
        return [
            name
            for name, model in self._models.items()
            if model.limiter.full or not model.breaker.would_admit() or name in refusing
        ]

    def suspected(self) -> set[str]:
        """Models whose breaker is open at another replica, and which a call is trying here now.

        A call of one of them would not be refused. Another model is the better choice until the
        call has ended.
        """
        return {
            name
            for name, model in self._models.items()
            if model.breaker.suspected and model.limiter.running
        }

    def suspect(self, model: str, seconds: float) -> None:
        """Take note that a model's breaker is open at another replica; see ``Breaker.suspect``."""
        known = self._models.get(model)
        if known is not None:
            known.breaker.suspect(seconds)

    def open_breakers(self) -> list[OpenBreaker]:
        """Return the breakers that are open now, also to another thread."""
        found = []
        for name, model in list(self._models.items()):
            seconds, breaker = model.breaker.wait(), model.breaker
            if seconds > 0.0:
                found.append(OpenBreaker(name, seconds, breaker.openings, breaker.cause))
        return found

    def health(self) -> dict[str, Health]:
        """State of each model's calls, by its name."""
        return {
            name: Health(model.breaker.state, model.limiter.running, model.limiter.waiting)
            # A scrape reads this in a thread of its own while models change.
            for name, model in list(self._models.items())
        }

    async def call(
        self,
        model: str,
        body: bytes,
        *,
        stream: bool,
        headers: Mapping[str, str] | None = None,
        own_id: str = "",
        dialect: DialectName = "openai",
        query: str = "",
        conversation: Conversation | None = None,
        path: str = "",
    ) -> Answer:
        """Send a request for an answer to a model's provider.

        Parameters
        ----------
        model
            The zoo's name.
        body
            The request in the provider's dialect, with the provider's name of the model.
        stream
            Whether it asks for a stream. The stream has begun when this returns: its first bytes
            have arrived.
        headers
            Further headers; the settings' headers win over them.
        own_id
            Id that replaces the provider's in the completion; "" keeps the provider's.
        dialect
            Dialect of the client, in which the answer and the provider's errors come.
        query
            Query of the client's request, for the provider.
        conversation
            What the client asked, if the request is a translation.
        path
            Path below the endpoint, such as ``/embeddings``; "" for that of the kind's answers.

        Raises
        ------
        UpstreamError
            If there is no answer to pass on.
        InvalidInput
            If there is no such model.
        """
        try:
            target = self._models[model]
        except KeyError:
            raise InvalidInput("model", model, "name one of: " + listed(self._models)) from None
        began = asyncio.get_running_loop().time()
        if not target.breaker.would_admit():
            raise breaker_open(model, target.breaker.wait())
        limiter = target.limiter
        try:
            await limiter.acquire()
        except Saturated:
            raise saturated(model, target.settings) from None
        self._calls += 1
        running = False
        try:
            sent = Sent(body, stream, headers, own_id, dialect, query, conversation, path)
            answer = await self._attempts(model, target, sent, began)
            running = answer.running
            return answer
        finally:
            if not running:
                self._release(limiter)

    async def ask(
        self,
        model: str,
        body: bytes,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        dialect: DialectName = "openai",
        query: str = "",
    ) -> tuple[int, bytes]:
        """Send a request that is answered by no model to another path of a provider, once.

        Parameters
        ----------
        model, body, headers, dialect, query
            As for ``call``.
        path
            Path below the endpoint, such as ``/messages/count_tokens``.

        Returns
        -------
        tuple
            Status and body: a JSON object, or the provider's error that is the client's own.

        Raises
        ------
        UpstreamError
            If there is no answer to pass on.
        """
        target = self._models[model]
        if not target.breaker.would_admit():
            raise breaker_open(model, target.breaker.wait())
        attempt = target.attempt
        if self._closing or attempt is None:
            raise UpstreamError("the gateway is not running", "connect", fallback=False)
        try:
            await target.limiter.acquire()
        except Saturated:
            raise saturated(model, target.settings) from None
        self._calls += 1
        try:
            return await attempt.ask(Sent(body, False, headers, "", dialect, query), path)
        except UpstreamError as failure:
            if failure.answer is None:
                raise
            return for_client(failure.answer, failure.meaning, dialect)
        finally:
            self._release(target.limiter)

    def _release(self, limiter: Limiter) -> None:
        limiter.release()
        self._calls -= 1
        if not self._calls:
            self._idle.set()

    async def _attempts(
        self,
        name: str,
        target: _Model,
        sent: Sent,
        began: float,
    ) -> Answer:
        """Attempt a call until it is answered or failed, and report it to the breaker once."""
        breaker = target.breaker
        ticket = breaker.admit()
        if ticket is None:
            raise breaker_open(name, breaker.wait())
        on_end = _StreamEnd(self, target, ticket)
        try:
            answer = await self._answered(target, ticket, sent, began, on_end)
        except UpstreamError as failure:
            breaker.ended(ticket, breaker_effect(failure), _cause(failure))
            if failure.answer is not None:
                failure.answer = for_client(failure.answer, failure.meaning, sent.dialect)
            if failure.answer is None or failure.fallback:
                raise
            # The error is the client's own.
            status, error_body = failure.answer
            passed = {name.decode(): value.decode() for name, value in failure.headers}
            answer = Answer(name, status, passed, error_body, Findings())
            answer.attempts = failure.attempts
            answer.first_byte_s = answer.total_s = asyncio.get_running_loop().time() - began
            return answer
        except BaseException:
            breaker.abandoned(ticket)
            raise
        if isinstance(answer, StreamedAnswer):
            on_end.answer = answer
            self._streams.add(answer)
        else:
            breaker.succeeded(ticket)
        return answer

    async def _answered(
        self,
        target: _Model,
        ticket: int,
        request: Sent,
        began: float,
        on_end: OnEnd,
    ) -> Answer:
        """Make attempts; the errors of those that another attempt follows are dropped."""
        settings, attempt = target.settings, target.attempt
        time = asyncio.get_running_loop().time
        sent, asks = request, False
        may_ask = request.stream and settings.ask_usage
        may_ask = may_ask and (settings.dialect == "openai" or request.path != "")
        if may_ask and target.takes_usage is not False:
            asking, asks = ask_usage(request.body)
            sent = request._replace(body=asking)
        without_usage = False
        number = 0
        while True:
            if self._closing or attempt is None:
                raise UpstreamError("the gateway is not running", "connect", fallback=False)
            number += 1
            try:
                answer = await attempt.make(sent, drop_usage=asks, began=began, on_end=on_end)
            except UpstreamError as error:
                failure = error
            else:
                answer.attempts = number
                if asks or without_usage:
                    target.takes_usage = asks
                return answer
            failure.attempts = number
            if asks and refuses_usage(failure, proven=target.takes_usage is True):
                # At once, and none of the retries of the settings: the field is the gateway's own.
                sent, asks, without_usage = request, False, True
                continue
            wait = self._wait(settings, failure, number - without_usage)
            if wait is None or time() + wait >= began + settings.timeouts.total:
                raise failure
            await self._sleep(wait)
            if not target.breaker.may_retry(ticket):
                raise failure

    def _wait(
        self, settings: UpstreamSettings, failure: UpstreamError, number: int
    ) -> float | None:
        """Seconds until the next attempt; None if there is none."""
        if not failure.retryable or number > settings.retries:
            return None
        return self._backoff.wait(number, self._rng, failure.retry_after)

    async def close(self, grace: float = 0.0) -> None:
        """Accept no more calls; abort those that still run after ``grace`` seconds."""
        self._closing = True
        if self._calls and grace > 0.0:
            self._idle.clear()
            try:
                async with asyncio.timeout(grace):
                    await self._idle.wait()
            except TimeoutError:
                pass
        for answer in list(self._streams):
            answer.abort(UpstreamError("the gateway is stopping", "reset", fallback=False))
        if self._sessions is not None:
            await self._sessions.close()


def _cause(failure: UpstreamError) -> str:
    """Say in some words why a call failed."""
    return failure.kind if failure.status is None else f"status {failure.status}"


class _StreamEnd:
    """Reports the end of a stream to its model's breaker and limiter."""

    __slots__ = ("_target", "_ticket", "_upstreams", "answer")

    def __init__(self, upstreams: Upstreams, target: _Model, ticket: int) -> None:
        self._upstreams = upstreams
        self._target = target
        self._ticket = ticket
        self.answer: StreamedAnswer | None = None

    def __call__(self, complete: bool | None) -> None:
        breaker = self._target.breaker
        if complete is None:
            breaker.abandoned(self._ticket)
        elif complete:
            breaker.succeeded(self._ticket)
        else:
            error = None if self.answer is None else self.answer.error
            cause = "a stream broke off" if error is None else "an error within a stream"
            breaker.ended(self._ticket, stream_effect(error), cause)
        if self.answer is not None:
            self._upstreams._streams.discard(self.answer)
        self._upstreams._release(self._target.limiter)
