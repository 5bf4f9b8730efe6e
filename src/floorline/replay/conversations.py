"""Replay of conversations: providers that cache prompts, and ways to choose a model in them."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.datasets.simulated_conversations import ConversationStream
from floorline.events import RequestContext
from floorline.policies import Policy
from floorline.replay.environment import GivenFeatures
from floorline.router import Router
from floorline.sla import SLA
from floorline.zoo import Model, Zoo

Floats = NDArray[np.float64]
Way = Literal["planned", "caches only", "lengths only", "stick", "never switch", "ignore"]

WAYS: tuple[Way, ...] = (
    "planned",
    "caches only",
    "lengths only",
    "stick",
    "never switch",
    "ignore",
)
"""Ways to choose a model in conversations: with what caches save and what a switch costs later,
with the former alone, by the same rule without knowing what caches save, staying for an hour,
staying for ever, and knowing nothing of caches or conversations."""
_HARDLY_LESS = 0.999
_KNOWS_CACHES = ("planned", "caches only")


class ProviderCaches:
    """What each provider has cached of each conversation, in truth.

    Parameters
    ----------
    stream
        The conversations.
    hit_rate
        (M,) probability that a provider finds a prompt that it has cached.
    seed
        Seed of the draws.
    """

    def __init__(self, stream: ConversationStream, hit_rate: Floats, seed: int) -> None:
        self._stream = stream
        self._hits = np.random.default_rng(seed).random((stream.size, len(stream.zoo))) < hit_rate
        self._cached: dict[tuple[int, int], tuple[int, float]] = {}

    def call(self, row: int, model: int) -> tuple[int, int, float]:
        """Serve a turn: tokens read from the cache and written to it, and the cost."""
        stream, about = self._stream, self._stream.zoo.models[model]
        own = int(stream.conversation[row]), model
        shared = -1 - int(stream.kind[row]), model
        tokens, at = int(stream.input_tokens[row]), float(stream.at[row])
        read = 0
        if self._hits[row, model]:
            whole = self._valid(own, about, at, int(stream.prefix_tokens[row]))
            read = max(whole, self._valid(shared, about, at, int(stream.head_tokens[row])))
        written = tokens - read if tokens >= about.cache_min_tokens else 0
        if written:
            self._cached[own] = tokens, at
            if stream.head_tokens[row] >= about.cache_min_tokens:
                self._cached[shared] = int(stream.head_tokens[row]), at
        return (
            read,
            written,
            call_cost(about, tokens, read, written, int(stream.output_tokens[row])),
        )

    def _valid(self, key: tuple[int, int], model: Model, at: float, most: int) -> int:
        cached, used = self._cached.get(key, (0, 0.0))
        return min(cached, most) if at - used <= model.cache_seconds else 0


def call_cost(model: Model, tokens: int, read: int, written: int, output: int) -> float:
    """Cost of a call at the list price."""
    cached = model.input_price if model.cached_input_price is None else model.cached_input_price
    write = model.input_price if model.cache_write_price is None else model.cache_write_price
    rest = tokens - read - written
    parts = model.input_price * rest + cached * read + write * written
    return model.call_price + (parts + model.output_price * output) / 1e6


class ConversationRun(NamedTuple):
    """Results by turn: model, cost, and 1 if its answer satisfied, else 0."""

    model: NDArray[np.int64]
    cost: Floats
    satisfied: Floats

    def switches(self, stream: ConversationStream) -> float:
        """Share of the later turns that another model serves than the turn before."""
        last: dict[int, int] = {}
        later = changed = 0
        for row, model in enumerate(self.model.tolist()):
            before = last.get(int(stream.conversation[row]))
            if before is not None:
                later += 1
                changed += before != model
            last[int(stream.conversation[row])] = model
        return changed / max(later, 1)


def replay_conversations(
    stream: ConversationStream,
    policy: Policy | str,
    floor: float,
    way: Way,
    *,
    seed: int = 0,
    labels: float = 1.0,
    hit_rate: float = 0.97,
) -> ConversationRun:
    """Let a policy serve all turns.

    Parameters
    ----------
    stream
        The conversations.
    policy
        The policy; it must be new.
    floor
        Floor of the mean satisfaction.
    way
        How models are chosen within conversations.
    seed
        Seed of the policy and of the labels.
    labels
        Share of the turns that get a label.
    hit_rate
        Probability that a provider finds what it has cached.
    """
    zoo = stream.zoo if way in _KNOWS_CACHES else _without_caches(stream.zoo, way)
    encoder = GivenFeatures(stream.features.shape[1], "simulated")
    router = Router(
        zoo, policy, [SLA("stream", floor=floor)], encoder=encoder, seed=seed, id_prefix="d"
    )
    truth = ProviderCaches(stream, np.full(len(zoo), hit_rate), seed)
    labelled = np.random.default_rng(seed + 1).random(stream.size) < labels
    count = stream.size
    run = ConversationRun(np.zeros(count, dtype=np.int64), np.zeros(count), np.zeros(count))
    kept: dict[int, int] = {}
    for row in range(count):
        x = stream.features[row]
        x.flags.writeable = False
        conversation, at = int(stream.conversation[row]), float(stream.at[row])
        others: tuple[str, ...] = ()
        if way == "never switch" and conversation in kept:
            others = tuple(n for n in zoo.names if n != zoo.names[kept[conversation]])
        context = _context(stream, row, way)
        request = router.request(
            features=x,
            input_tokens=int(stream.input_tokens[row]),
            exclude=others,
            at=at,
            context=context,
        )
        if way == "caches only" and request.turn is not None:
            request = request._replace(turn=request.turn._replace(goes_on=0.0, remaining=0.0))
        (decision,) = router.decide([request], at=at, context=context)
        served = decision.index
        kept.setdefault(conversation, served)
        read, written, cost = truth.call(row, served)
        satisfied = float(stream.draw[row] < stream.quality[row, served])
        run.model[row], run.cost[row], run.satisfied[row] = served, cost, satisfied
        router.outcome(
            decision.id,
            cost=cost,
            input_tokens=int(stream.input_tokens[row]),
            output_tokens=int(stream.output_tokens[row]),
            cached_tokens=read if way in _KNOWS_CACHES else None,
            cache_write_tokens=written if way in _KNOWS_CACHES else None,
            at=at,
        )
        if labelled[row]:
            router.feedback(decision.id, score=satisfied, at=at)
    return run


def _context(stream: ConversationStream, row: int, way: Way) -> RequestContext:
    conversation, turn = int(stream.conversation[row]), int(stream.turn[row])
    if way == "stick":
        return RequestContext(session=f"s{conversation}")
    if way in ("ignore", "never switch"):
        return RequestContext()
    head = f"head-{int(stream.kind[row])}"
    latest = (f"{conversation}-{n}" for n in range(max(1, turn - 3), turn + 1))
    return RequestContext(prefixes=(head, *latest), head_tokens=int(stream.head_tokens[row]))


def _without_caches(zoo: Zoo, way: Way) -> Zoo:
    """Models that save nothing by caches; those of ``lengths only`` save so little that it is
    nothing, because their conversations are to be known all the same.
    """
    share = _HARDLY_LESS if way == "lengths only" else None
    models = [
        msgspec.structs.replace(
            model,
            cached_input_price=None if share is None else share * model.input_price,
            cache_write_price=None,
        )
        for model in zoo.models
    ]
    return Zoo(models, zoo.cost_unit)


def fixed_costs(stream: ConversationStream, hit_rate: float = 0.97, seed: int = 0) -> Floats:
    """(n, M) cost of each turn if one model serves all turns of all conversations."""
    models = len(stream.zoo)
    found = np.zeros((stream.size, models))
    for model in range(models):
        truth = ProviderCaches(stream, np.full(models, hit_rate), seed)
        for row in range(stream.size):
            found[row, model] = truth.call(row, model)[2]
    return found


def oracle_cost(
    stream: ConversationStream, floor: float, *, steps: int = 40
) -> tuple[float, float]:
    """Mean cost and satisfaction of the best plan in hindsight.

    It knows every turn, pause and probability of satisfaction, not the draws. For a price of
    satisfaction, the cheapest sequence of models of each conversation is found by dynamic
    programming over the model that served last; a model that did not serve the last turn has
    nothing cached but what all conversations share. So it is an upper bound of the least cost. The
    price is bisected to the floor.
    """
    plans = _Plans(stream)
    low, high = 0.0, 10.0 * float(plans.cold.max())
    for _ in range(steps):
        price = 0.5 * (low + high)
        low, high = (low, price) if plans.solve(price)[1] >= floor else (price, high)
    return plans.solve(high)


class _Plans:
    """Costs of every turn with a cold and with a warm cache, and the turns of each conversation."""

    def __init__(self, stream: ConversationStream) -> None:
        zoo, count = stream.zoo, stream.size
        self.quality = stream.quality
        self.cold, self.warm = np.zeros((count, len(zoo))), np.zeros((count, len(zoo)))
        last: dict[int, int] = {}
        self.before = np.full(count, -1)
        for row in range(count):
            conversation = int(stream.conversation[row])
            before = last.get(conversation, -1)
            self.before[row] = before
            last[conversation] = row
            tokens, output = int(stream.input_tokens[row]), int(stream.output_tokens[row])
            gap = np.inf if before < 0 else float(stream.at[row] - stream.at[before])
            for m, model in enumerate(zoo.models):
                least = model.cache_min_tokens
                head = int(stream.head_tokens[row]) if stream.head_tokens[row] >= least else 0
                prefix = int(stream.prefix_tokens[row]) if gap <= model.cache_seconds else 0
                prefix = max(head, prefix if prefix >= least else 0)
                for costs, read in ((self.cold, head), (self.warm, prefix)):
                    written = tokens - read if tokens >= least else 0
                    costs[row, m] = call_cost(model, tokens, read, written, output)
        self.order = np.lexsort((stream.turn, stream.conversation))
        self.starts = np.flatnonzero(stream.turn[self.order] == 1)

    def solve(self, price: float) -> tuple[float, float]:
        """Mean cost and satisfaction of the best plans at a price of satisfaction."""
        cost = satisfied = 0.0
        bounds = [*self.starts.tolist(), len(self.order)]
        for first, end in pairwise(bounds):
            rows = self.order[first:end]
            paid, quality = self._plan(rows, price)
            cost += paid
            satisfied += quality
        return cost / len(self.order), satisfied / len(self.order)

    def _plan(self, rows: NDArray[np.int64], price: float) -> tuple[float, float]:
        models = np.arange(self.cold.shape[1])
        value = self.cold[rows[0]] - price * self.quality[rows[0]]
        choices = []
        for row in rows[1:]:
            best = int(value.argmin())
            stay, move = value + self.warm[row], value[best] + self.cold[row]
            choices.append(np.where(stay <= move, models, best))
            value = np.minimum(stay, move) - price * self.quality[row]
        model = int(value.argmin())
        cost = satisfied = 0.0
        for position in range(len(rows) - 1, -1, -1):
            row = rows[position]
            before = int(choices[position - 1][model]) if position else -1
            cost += float((self.warm if before == model else self.cold)[row, model])
            satisfied += float(self.quality[row, model])
            model = before
        return cost, satisfied
