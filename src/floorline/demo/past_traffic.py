"""A day of simulated requests in the log of the demo, so that charts over time begin full.

The router decides on them as on any other request, at times of the day before; answers, failed
calls and feedback are those of the simulated zoo. Only the HTTP around them is missing.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from floorline.config import Settings
from floorline.datasets.simulated import SimulatedZoo
from floorline.demo.fake_provider import FakeProvider
from floorline.demo.user_behaviour import MEAN_PAUSE_SECONDS, SimulatedUser, UserRequest
from floorline.encoders.factory import make_encoder
from floorline.errors import BudgetExhausted
from floorline.events import GATEWAY, Decision, RequestContext
from floorline.gateway.chat_request import ROUTED
from floorline.gateway.reconcile import DesiredState, reconcile
from floorline.gateway.runtime_models import RuntimeModels
from floorline.gateway.startup import open_router
from floorline.router import Router
from floorline.stores.sql import SqlStore
from floorline.zoo import Zoo

PAST_SECONDS = 24 * 3600.0
"""Time before the start in which there were requests."""
_PAST_REQUESTS = 5_000
"""Number of requests in it: the router decides on them in about two seconds."""
_STEADY_SHARE = 0.5
"""Share of the requests that are spread over the whole time. The other requests become more
frequent towards the start, up to the rate of the users who send requests from then on."""
_CHEAPER_MODEL = "sim-medium"
"""Model whose price fell within the past, so that the change log has a change of a price."""
_CHEAPER_AFTER = 0.4
"""Share of the past after which it fell."""
_FORMER_PRICE = 1.5
"""Its earlier price relative to the present one."""
_OUTAGES = (("sim-mini", 0.25), ("sim-coder", 0.55), ("sim-small", 0.93))
"""Models that failed within the past, and the share of the past after which each did."""
_OUTAGE_SECONDS = 1200.0
"""Length of each outage."""
_OUTAGE_ERROR = "model {!r}: the provider answered 503 (overloaded)"
"""Error of a call in an outage, as the gateway writes it."""
_CHUNKS = 8
"""Number of chunks of a streamed answer; the first one comes after as large a part of its time."""


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
        past = _Past(router, zoo, provider, now)
        past.at(
            now - PAST_SECONDS * (1.0 - _CHEAPER_AFTER),
            lambda at: reconcile(router, desired, at=at),
        )
        rng = np.random.default_rng([seed, 7])
        times = request_times(len(users) / MEAN_PAUSE_SECONDS, now, rng)
        for at in times:
            past.run_until(at)
            past.send(users[int(rng.integers(len(users)))].next_request(), at)
        past.run_until(now)
        store.flush()
        # The gateway starts from a snapshot, without deciding on all requests again.
        oldest = next(iter(router.remembered), None)
        store.write_snapshot(len(store), router.snapshot(decisions=False), oldest)
        return len(times)
    finally:
        store.close()


def request_times(rate: float, now: float, rng: np.random.Generator) -> list[float]:
    """Unix times of the requests, in order, whose rate rises to ``rate`` a second at ``now``."""
    steady = round(_PAST_REQUESTS * _STEADY_SHARE)
    rising = _PAST_REQUESTS - steady
    # Beside the steady requests, an exponential rise makes up the rest of the rate at the end.
    scale = rising / max(rate - steady / PAST_SECONDS, rising / PAST_SECONDS)
    ages = np.concatenate(
        [rng.uniform(0.0, PAST_SECONDS, steady), rng.exponential(scale, rising) % PAST_SECONDS]
    )
    return sorted((now - ages).tolist())


def _former_zoo(zoo: Zoo) -> Zoo:
    """Return the zoo before the price of a model fell."""
    models = [
        msgspec.structs.replace(
            model,
            input_price=model.input_price * _FORMER_PRICE,
            output_price=model.output_price * _FORMER_PRICE,
        )
        if model.name == _CHEAPER_MODEL
        else model
        for model in zoo.models
    ]
    return Zoo(models, zoo.cost_unit)


class _Past:
    """Requests of the past, and what follows them in the order of time."""

    def __init__(
        self, router: Router, zoo: SimulatedZoo, provider: FakeProvider, now: float
    ) -> None:
        self._router = router
        self._zoo = zoo
        self._provider = provider
        self._columns = {model.name: m for m, model in enumerate(zoo.models)}
        start = now - PAST_SECONDS
        self._outages = [(name, start + share * PAST_SECONDS) for name, share in _OUTAGES]
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

    def send(self, asked: UserRequest, at: float) -> None:
        """Let the router decide on a request; a call in an outage is replaced, as by the gateway.

        A request for a model by its name is not replaced.
        """
        prompt = self._zoo.prompts[asked.prompt]
        context = RequestContext(session=asked.session, call_by=GATEWAY)
        if not asked.target.startswith(ROUTED):
            decision = self._router.log_direct_call(asked.target, prompt, at=at, context=context)
            self._answer(decision, asked, at)
            return
        sla = asked.target.removeprefix(ROUTED)
        failed: list[str] = []
        while True:
            try:
                decision = self._router.route(prompt, sla, exclude=failed, at=at, context=context)
            except BudgetExhausted:
                # The log has the declined request; the user gets an error.
                return
            if not self._fails(decision.model, at):
                break
            failed.append(decision.model)
            error = _OUTAGE_ERROR.format(decision.model)
            self._router.outcome(decision.id, cost=0.0, error=error, at=at)
            context = context._replace(after=decision.id)
        self._answer(decision, asked, at)

    def _fails(self, model: str, at: float) -> bool:
        return any(
            model == name and start <= at < start + _OUTAGE_SECONDS for name, start in self._outages
        )

    def _answer(self, decision: Decision, asked: UserRequest, at: float) -> None:
        """Put the outcome and the feedback of a call where they are due."""
        drawn = self._provider.answer(self._zoo.prompts[asked.prompt], decision.model)
        model = self._router.zoo.models[self._router.zoo.index(decision.model)]
        latency = drawn.latency * self._provider.latency
        # Prices are those of a million tokens.
        cost = drawn.tokens_in * model.input_price + drawn.tokens_out * model.output_price

        def end(when: float) -> None:
            self._router.outcome(
                decision.id,
                cost=cost / 1e6,
                input_tokens=drawn.tokens_in,
                output_tokens=drawn.tokens_out,
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
