"""Three days of traffic before the gateway starts, written into its log by its own router."""

import contextlib
import itertools
import math

import msgspec
import numpy as np
from tests.browser.provider import CACHED_SHARE, DRAWN, ZOO

from floorline.config import load_text
from floorline.encoders.factory import make_encoder
from floorline.encoders.message_prefixes import message_prefixes
from floorline.errors import BudgetExhausted
from floorline.events import GATEWAY, RequestContext
from floorline.gateway.runtime_models import RuntimeModels
from floorline.gateway.startup import open_router
from floorline.gateway.tenants import tenant_sla
from floorline.stores.sql import SqlStore

DAYS = 3.0
REQUESTS = 4500
_DAY = 86_400.0
PRICE_CUT = 0.75
"""Factor by which the output price of ``steady`` falls within the past."""
_CHEAPER_AFTER = 2.0
"""Days after which it does."""
_OUTAGE = (0.85, 0.86)
"""Part of the time in which calls of ``relay`` fail."""
_LABELLED = 0.4
"""Share of the requests that users judge."""


def write_past(text, folder, owners, now):
    """Write the traffic of some owners, (tenant, key id, SLA) each, of the days before ``now``.

    Returns the number of requests.
    """
    settings = load_text(text, folder=folder, environ={})
    store = SqlStore(settings.store.url.get_secret_value())
    start = now - DAYS * _DAY
    try:
        router = open_router(
            store,
            RuntimeModels(store).desired_state(settings),
            settings.policy.build,
            make_encoder(settings.encoder),
            seed=settings.seed,
            memory=settings.memory,
            at=start,
            clock=lambda: start,
        )
        for tenant, _, sla in owners:
            if tenant and sla in settings.per_tenant_slas and f"{sla}@{tenant}" not in router.slas:
                router.set_sla(tenant_sla(router.slas[sla], tenant), at=start)
        return _Past(router, settings.per_tenant_slas, owners, start).write()
    finally:
        store.close()


class _Past:
    def __init__(self, router, per_tenant, owners, start):
        self.router = router
        self.per_tenant = per_tenant
        self.owners = owners
        self.start = start
        self.rng = np.random.default_rng(11)
        self.late = []

    def write(self):
        cheaper = False
        prompts = itertools.cycle(ZOO.prompts)
        for number, share in enumerate(self._times()):
            at = self.start + share * DAYS * _DAY
            if not cheaper and share * DAYS > _CHEAPER_AFTER:
                self._cut_price(at)
                cheaper = True
            self._judge(at)
            owner = self.owners[int(self.rng.choice(len(self.owners), p=_shares(self.owners)))]
            turns = 1 + int(self.rng.integers(3)) if number % 12 == 0 else 1
            self._talk([next(prompts) for _ in range(turns)], owner, number, at, share)
        self._judge(math.inf)
        return REQUESTS

    def _times(self):
        """Sorted shares of the time, more of them by day than by night."""
        drawn = self.rng.random(4 * REQUESTS)
        wanted = 1.0 + 0.6 * np.cos(2 * np.pi * drawn * DAYS)
        kept = drawn[self.rng.random(len(drawn)) < wanted / 1.6]
        return np.sort(kept[:REQUESTS])

    def _cut_price(self, at):
        old = next(model for model in self.router.zoo.models if model.name == "steady")
        new = msgspec.structs.replace(old, output_price=round(old.output_price * PRICE_CUT, 6))
        self.router.add_model(new, at=at)

    def _talk(self, prompts, owner, number, at, share):
        tenant, key, sla = owner
        named = f"{sla}@{tenant}" if tenant and sla in self.per_tenant else sla
        session = f"{tenant or 'shared'}-chat-{number}" if len(prompts) > 1 else ""
        messages = []
        for turn, prompt in enumerate(prompts):
            messages.append({"role": "user", "content": prompt})
            hashes, head = message_prefixes(messages)
            context = RequestContext(tenant, key, session, "", GATEWAY, hashes, head)
            # Near the end of a day a budget may be spent; such a request is declined.
            with contextlib.suppress(BudgetExhausted):
                self._ask(prompt, named, context, at + 40.0 * turn, share, turn)
            messages.append({"role": "assistant", "content": "A simulated answer."})

    def _ask(self, prompt, sla, context, at, share, turn):
        decision = self.router.route(prompt, sla, at=at, context=context)
        if decision.model == "relay" and _OUTAGE[0] < share < _OUTAGE[1]:
            error = "HTTP 503: The server is overloaded"
            self.router.outcome(decision.id, cost=0.0, error=error, latency=0.3, at=at + 0.3)
            context = context._replace(after=decision.id)
            decision = self.router.route(
                prompt, sla, exclude=["relay"], at=at + 0.3, context=context
            )
        drawn = DRAWN.answer(prompt, decision.model)
        slow = float(self.rng.lognormal(0.0, 0.25))
        model = next(m for m in self.router.zoo.models if m.name == decision.model)
        tokens = drawn.tokens_in * (2 * turn + 1)
        cost = (tokens * model.input_price + drawn.tokens_out * model.output_price) / 1e6
        self.router.outcome(
            decision.id,
            cost=cost,
            input_tokens=tokens,
            output_tokens=drawn.tokens_out,
            cached_tokens=int(CACHED_SHARE * tokens) if turn else 0,
            latency=drawn.latency * slow,
            first_token=min(0.3, drawn.latency) * slow,
            at=at + drawn.latency * slow,
            completion=f"chatcmpl-past-{decision.id}",
        )
        if self.rng.random() < _LABELLED:
            self.late.append((at + float(self.rng.exponential(300.0)), decision.id, drawn))

    def _judge(self, at):
        due = [label for label in self.late if label[0] <= at]
        self.late = [label for label in self.late if label[0] > at]
        for when, decision, drawn in due:
            source = "judge" if self.rng.random() < 0.2 else "user"
            self.router.feedback(decision, drawn.satisfied, source=source, at=when)


def _shares(owners):
    weights = np.array([3.0 / (1 + position) for position in range(len(owners))])
    return weights / weights.sum()
