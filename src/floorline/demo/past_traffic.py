"""A day of simulated requests in the log of the demo, so that charts over time begin full.

The router decides on them as on any other request, at times of the day before; answers, failed
calls and feedback are those of the simulated zoo. Only the HTTP around them is missing.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from floorline.config import Settings
from floorline.datasets.simulated import SimulatedZoo, count_tokens
from floorline.demo.fake_provider import CACHE_SECONDS, FakeProvider
from floorline.demo.user_behaviour import (
    MEAN_PAUSE_SECONDS,
    MEAN_TURNS,
    SimulatedUser,
    UserKey,
    UserRequest,
)
from floorline.encoders.factory import make_encoder
from floorline.errors import Bar, BudgetExhausted
from floorline.events import GATEWAY, Decision, RequestContext
from floorline.gateway.chat_request import ROUTED
from floorline.gateway.reconcile import DesiredState, reconcile
from floorline.gateway.runtime_models import RuntimeModels
from floorline.gateway.startup import open_router
from floorline.gateway.tenants import tenant_sla
from floorline.router import Router
from floorline.stores.sql import SqlStore
from floorline.zoo import Zoo

PAST_SECONDS = 24 * 3600.0
"""Time before the start in which there were requests."""
PAST_REQUESTS = 5_000
"""About how many requests were in it: the router decides on them in three seconds."""
_STEADY_SHARE = 0.3
"""Share of the conversations that are spread evenly. The others follow the rhythm of a day, whose
peak is now, so that their rate rises to that of the users who send requests from then on."""
_MAX_SHARPNESS = 60.0
"""Largest power of the cosine of the day's rhythm: a peak of two hours."""
_CHEAPER_MODEL = "sim-reason"
"""Model whose price fell within the past, so that the change log has a change of a price."""
_CHEAPER_AFTER = 0.4
"""Share of the past after which it fell."""
_FORMER_PRICE = 1.5
"""Its earlier price relative to the present one."""
_OUTAGES = (("sim-titan", 0.2), ("sim-medium", 0.62), ("sim-large", 0.96))
"""Models that failed within the past, and the share of the past after which each did."""
_OUTAGE_SECONDS = 1200.0
"""Length of each outage."""
_PROBE_SECONDS = 60.0
"""Time for which a model that failed is not asked again, as by a circuit breaker."""
_OUTAGE_ERROR = "model {!r}: the provider answered 503 (overloaded)"
"""Error of a call in an outage, as the gateway writes it."""
_GRID_SECONDS = 60.0
"""Steps of time in which the rhythm of the day is drawn."""
_CHUNKS = 8
"""Number of chunks of a streamed answer; the first one comes after as large a part of its time."""
_TOKENS_PER_MESSAGE = 8
"""Tokens of an answer's role and separators in the next request of its conversation."""


def write_past(
    settings: Settings,
    zoo: SimulatedZoo,
    provider: FakeProvider,
    users: Sequence[SimulatedUser],
    *,
    now: float,
    seed: int = 0,
) -> int:
    """Write the past into the empty store of a gateway that does not run yet.

    Parameters
    ----------
    settings
        Those of the gateway, whose store is written.
    zoo, provider
        Prompts and models, and their answers.
    users
        Who sent the requests; their conversations go on after the past.
    now
        Unix time in seconds at which the past ends.
    seed
        Seed of the times of the requests.

    Returns
    -------
    int
        Number of requests.
    """
    store = SqlStore(settings.store.url.get_secret_value())
    try:
        desired = RuntimeModels(store).desired_state(settings)
        router = open_router(
            store,
            DesiredState(_former_zoo(desired.zoo), desired.slas, desired.per_tenant),
            settings.policy.build,
            make_encoder(settings.encoder),
            seed=settings.seed,
            memory=settings.memory,
            at=now - PAST_SECONDS,
        )
        past = _Past(router, zoo, provider, settings.per_tenant_slas, now)
        past.at(
            now - PAST_SECONDS * (1.0 - _CHEAPER_AFTER),
            lambda at: reconcile(router, desired, at=at),
        )
        rng = np.random.default_rng([seed, 7])
        times = conversation_times(len(users) / MEAN_PAUSE_SECONDS, now, rng)
        for at in times:
            past.run_until(at)
            past.begin(users[int(rng.integers(len(users)))], at)
        past.run_until(now)
        store.flush()
        # The gateway starts from a snapshot, without deciding on all requests again.
        oldest = next(iter(router.remembered), None)
        store.write_snapshot(len(store), router.snapshot(decisions=False), oldest)
        return past.requests
    finally:
        store.close()


def conversation_times(rate: float, now: float, rng: np.random.Generator) -> list[float]:
    """Unix times at which conversations began, in order.

    Parameters
    ----------
    rate
        Requests a second that the users send from now on.
    now
        End of the past.
    rng
        Draws the times.
    """
    count = round(PAST_REQUESTS / MEAN_TURNS)
    steady = round(count * _STEADY_SHARE)
    # The mean of cos²ᵖ over a day is 1/√(πp), and its peak 1.
    peak = max(rate / MEAN_TURNS - steady / PAST_SECONDS, 1e-9)
    mean = min((count - steady) / PAST_SECONDS / peak, 1.0)
    sharpness = min(1.0 / (math.pi * mean**2), _MAX_SHARPNESS) if mean < 1.0 else 0.0
    ages = np.arange(0.5, PAST_SECONDS / _GRID_SECONDS) * _GRID_SECONDS
    weights = np.abs(np.cos(math.pi * ages / PAST_SECONDS)) ** (2.0 * sharpness)
    drawn = rng.choice(ages, count - steady, p=weights / weights.sum())
    drawn += rng.uniform(-0.5, 0.5, count - steady) * _GRID_SECONDS
    even = rng.uniform(0.0, PAST_SECONDS, steady)
    return sorted((now - np.concatenate([even, drawn])).tolist())


def _former_zoo(zoo: Zoo) -> Zoo:
    """Return the zoo before the price of a model fell."""
    models = [
        msgspec.structs.replace(
            model,
            input_price=model.input_price * _FORMER_PRICE,
            output_price=model.output_price * _FORMER_PRICE,
            cached_input_price=None
            if model.cached_input_price is None
            else model.cached_input_price * _FORMER_PRICE,
        )
        if model.name == _CHEAPER_MODEL
        else model
        for model in zoo.models
    ]
    return Zoo(models, zoo.cost_unit)


class _Conversation:
    """What the turns of a conversation so far leave to the next one."""

    __slots__ = ("input_tokens", "model", "output_tokens", "turn", "used")

    def __init__(self) -> None:
        self.turn = 0
        self.model = ""
        self.input_tokens = self.output_tokens = 0
        self.used = -math.inf


class _Past:
    """Requests of the past, and what follows them in the order of time.

    Attributes
    ----------
    requests : int
        Number of requests so far.
    """

    def __init__(
        self,
        router: Router,
        zoo: SimulatedZoo,
        provider: FakeProvider,
        per_tenant: frozenset[str],
        now: float,
    ) -> None:
        self._router = router
        self._per_tenant = per_tenant
        self._zoo = zoo
        self._provider = provider
        self._columns = {model.name: m for m, model in enumerate(zoo.models)}
        self.requests = 0
        start = now - PAST_SECONDS
        self._outages = [(name, start + share * PAST_SECONDS) for name, share in _OUTAGES]
        # Time of the latest failure of a model.
        self._failed: dict[str, float] = {}
        # What is due, by time; the numbers keep the order of equal times.
        self._due: list[tuple[float, int, Callable[[float], object]]] = []
        self._numbers = itertools.count()

    def at(self, at: float, act: Callable[[float], object]) -> None:
        """Call ``act`` with its time when the past gets there."""
        heapq.heappush(self._due, (at, next(self._numbers), act))

    def run_until(self, now: float) -> None:
        """Do what is due before a time."""
        while self._due and self._due[0][0] <= now:
            at, _, act = heapq.heappop(self._due)
            act(at)

    def begin(self, user: SimulatedUser, at: float) -> None:
        """Let a user begin a conversation; its turns follow after pauses."""
        turns = iter(user.next_conversation())
        conversation = _Conversation()

        def next_turn(when: float) -> None:
            asked = next(turns, None)
            if asked is not None:
                self._send(asked, user.key, conversation, when)
                self.at(when + user.pause(), next_turn)

        next_turn(at)

    def _send(
        self, asked: UserRequest, key: UserKey, conversation: _Conversation, at: float
    ) -> None:
        """Let the router decide on a request; a call in an outage is replaced, as by the gateway.

        A request for a model by its name is not replaced.
        """
        self.requests += 1
        prompt = self._zoo.prompts[asked.prompt]
        known = conversation.input_tokens + conversation.output_tokens
        known += _TOKENS_PER_MESSAGE if known else 0
        tokens = known + count_tokens(prompt)
        # Messages before this one: a question and an answer of each turn.
        messages = 2 * conversation.turn + 1
        context = RequestContext(
            tenant=key.tenant,
            key=key.id,
            session=asked.session,
            call_by=GATEWAY,
            prefixes=tuple(f"{asked.session}/{number}" for number in range(messages + 1)),
        )
        conversation.turn += 1
        if not asked.target.startswith(ROUTED):
            decision = self._router.log_direct_call(
                asked.target, prompt, input_tokens=tokens, at=at, context=context
            )
            self._answer(decision, asked, conversation, tokens, at)
            return
        sla = self._sla(asked.target.removeprefix(ROUTED), key.tenant, at)
        failed = {
            name: Bar("breaker", "circuit breaker open: its provider keeps failing")
            for name, since in self._failed.items()
            if at - since < _PROBE_SECONDS
        }
        while True:
            try:
                decision = self._router.route(
                    prompt, sla, exclude=failed, input_tokens=tokens, at=at, context=context
                )
            except BudgetExhausted:
                # The log has the declined request; the user gets an error.
                return
            if not self._fails(decision.model, at):
                break
            self._failed[decision.model] = at
            error = _OUTAGE_ERROR.format(decision.model)
            failed[decision.model] = Bar("failed", "its call for this request failed")
            self._router.outcome(decision.id, cost=0.0, error=error, at=at)
            context = context._replace(after=decision.id)
        self._answer(decision, asked, conversation, tokens, at)

    def _sla(self, name: str, tenant: str, at: float) -> str:
        """Return the name of an SLA for a tenant; its own one comes with its first request."""
        if not tenant or name not in self._per_tenant:
            return name
        own = tenant_sla(self._router.slas[name], tenant)
        if own.name not in self._router.slas:
            self._router.set_sla(own, at=at)
        return own.name

    def _fails(self, model: str, at: float) -> bool:
        return any(
            model == name and start <= at < start + _OUTAGE_SECONDS for name, start in self._outages
        )

    def _answer(
        self,
        decision: Decision,
        asked: UserRequest,
        conversation: _Conversation,
        tokens: int,
        at: float,
    ) -> None:
        """Put the outcome and the feedback of a call where they are due."""
        drawn = self._provider.answer(self._zoo.prompts[asked.prompt], decision.model)
        model = self._router.zoo.models[self._router.zoo.index(decision.model)]
        same = conversation.model == decision.model and at - conversation.used < CACHE_SECONDS
        cached = conversation.input_tokens if same else 0
        cached_price = model.cached_input_price
        # Prices are those of a million tokens.
        cost = (tokens - cached) * model.input_price + drawn.tokens_out * model.output_price
        cost += cached * (model.input_price if cached_price is None else cached_price)
        latency = drawn.latency * self._provider.latency
        conversation.model, conversation.used = decision.model, at
        conversation.input_tokens, conversation.output_tokens = tokens, drawn.tokens_out

        def end(when: float) -> None:
            self._router.outcome(
                decision.id,
                cost=cost / 1e6,
                input_tokens=tokens,
                output_tokens=drawn.tokens_out,
                cached_tokens=cached,
                latency=latency,
                first_token=latency / _CHUNKS if asked.stream else latency,
                at=when,
            )

        self.at(at + latency, end)
        if asked.feedback_after is not None:
            column = self._columns[decision.model]
            satisfied = bool(asked.threshold < self._zoo.probabilities[asked.prompt, column])

            def rate(when: float) -> None:
                self._router.feedback(decision.id, satisfied, at=when)

            self.at(at + latency + asked.feedback_after, rate)
