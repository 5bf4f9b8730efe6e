"""Conversations recognised by their messages, and what each provider has cached of them.

A node is one prompt that was sent: the messages up to some request. A request whose messages begin
with a node's continues it, and becomes a node itself. Two conversations that begin with the same
messages share the nodes up to there, and none after.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import State, Stateful, copy_out
from floorline.estimators.base import carry_over
from floorline.estimators.cost import CacheTokens
from floorline.events import CLIENT, DIRECT, RECOGNISED, Decision, Outcome, Owner, RequestContext
from floorline.policies.base import cache_tokens_of
from floorline.policies.conversation import Turn
from floorline.state.cache_rates import CacheRates
from floorline.state.turn_statistics import TurnStatistics, last_turn
from floorline.zoo import Zoo

Floats = NDArray[np.float64]

_CAPACITY = 100_000
"""Most nodes remembered, of about 700 bytes each. A conversation has its last two, and one that it
may share with others."""
_OWNER_CAPACITY = 20_000
"""Most nodes remembered of one tenant, or of one key without a tenant, so that one of them cannot
make the router forget the conversations of the others."""


class Node(msgspec.Struct, array_like=True):
    """One prompt that was sent.

    Attributes
    ----------
    session
        Name of its conversation; "" if conversations share it.
    turn
        Number of its turn, from 1; 0 for a prefix that conversations share.
    at
        Time of the request in seconds.
    tokens
        Its estimated input tokens.
    parent, child
        Keys of the node that it continues and of the first one that continues it; "" for none.
    cached
        By model name: tokens of this prompt that the model's provider has cached, and the time of
        the last use in seconds.
    """

    session: str
    turn: int
    at: float
    tokens: int
    parent: str = ""
    child: str = ""
    cached: dict[str, tuple[float, float]] = {}


_QUALITY_TURNS = 2000
"""Latest turns over which the estimated satisfaction of models is averaged."""
_nodes_encoder = msgspec.msgpack.Encoder()
_nodes_decoder = msgspec.msgpack.Decoder(list[tuple[tuple[str, str, str], Node]])


class Conversations(Stateful):
    """The latest prompts by owner, as a fold over decisions and outcomes.

    Parameters
    ----------
    zoo
        The models.
    capacity, owner_capacity
        Most nodes remembered, of all and of one owner; the one used longest ago is forgotten first.

    Attributes
    ----------
    active : bool
        Whether a model has a price of cached tokens; if none has, nothing is remembered.
    nodes_ : OrderedDict of tuple to Node
        By tenant and key of the owner and the hash of the messages, or ``:`` and the name of the
        conversation where the messages are not known. The node used last comes last.
    rates_ : CacheRates
        What providers really read from their caches.
    turns_ : TurnStatistics
        How conversations go on.
    quality_, seen_
        (M,) mean estimated satisfaction of each model over the latest turns, and their number.
    elsewhere : Conversations or None
        Knows prompts that are not here; it is no part of the state, and no event changes it.
    """

    def __init__(
        self, zoo: Zoo, capacity: int = _CAPACITY, owner_capacity: int = _OWNER_CAPACITY
    ) -> None:
        self.capacity = capacity
        self.owner_capacity = owner_capacity
        # A plain dict takes longer to find its first entry after each entry removed from its start.
        self.nodes_: OrderedDict[tuple[str, str, str], Node] = OrderedDict()
        self.rates_ = CacheRates(zoo.names)
        self.turns_ = TurnStatistics()
        self.quality_: Floats = np.zeros(len(zoo))
        self.seen_ = 0
        # The nodes of each owner, in the same order.
        self._owned: dict[Owner, OrderedDict[str, Node]] = {}
        self.elsewhere: Conversations | None = None
        self._position: dict[str, int] = {}
        # (M,) seconds and least tokens of caches; shares of pauses within the former, and what
        # these were computed of.
        self._seconds: Floats = np.empty(0)
        self._least: Floats = np.empty(0)
        # Tokens from which every provider caches.
        self._every_least = 0.0
        self._within: Floats = np.empty(0)
        self._within_of: Floats = np.empty(0)
        self._set_zoo(zoo)

    def find(self, context: RequestContext) -> str:
        """Key of the longest known prompt that a request begins with; "" if there is none.

        Where the messages of a request are not known, it continues the last request of its name.
        """
        found = self._find_here(context)
        if self.elsewhere is None:
            return found
        other = self.elsewhere.find(context)
        if not found or not other or not context.prefixes:
            return found or other
        return max(found, other, key=context.prefixes.index)

    def _find_here(self, context: RequestContext) -> str:
        owned = self._owned.get(context.owner)
        if owned is None:
            return ""
        if not context.prefixes:
            named = _named(context.session)
            return named if named in owned else ""
        for prefix in reversed(context.prefixes):
            if prefix in owned:
                return prefix
        return ""

    def node(self, owner: Owner, key: str) -> Node | None:
        """Return a node by its key; None if it is not, or no longer, remembered."""
        owned = self._owned.get(owner) if key else None
        return None if owned is None else owned.get(key)

    def known(self, owner: Owner, key: str) -> Node | None:
        """Return a node by its key, also if it is only known elsewhere; None if it is not."""
        node = self.node(owner, key)
        other = self.elsewhere
        return other.node(owner, key) if node is None and other is not None else node

    def session(self, context: RequestContext, follows: str) -> str:
        """Name of a request's conversation; a new one where none is named and none goes on."""
        if context.session or not context.prefixes:
            return context.session
        own = context.prefixes[-1]
        known = self.known(context.owner, follows)
        if known is not None and known.turn and (own == follows or known.child in ("", own)):
            return known.session
        return RECOGNISED + own

    def decide(self, decision: Decision) -> None:
        """Remember the prompt of a decision."""
        own = decision.prefix or _named(decision.session)
        if not own or not self.active:
            return
        if decision.policy != DIRECT:
            self.seen_ = min(self.seen_ + 1, _QUALITY_TURNS)
            self.quality_ = self.quality_ + (
                (decision.quality_estimates - self.quality_) / self.seen_
            )
        owner = decision.owner
        if decision.head and decision.head != decision.prefix:
            self._use_head(decision)
        known = self.node(owner, own)
        if known is not None and decision.follows == own:
            # The same prompt again, or the next turn of a conversation without known messages.
            if not decision.prefix and not decision.after:
                self._follow(known, decision)
                known.turn += 1
                known.tokens = decision.input_tokens
            known.at = decision.at
            self._touch(owner, own)
            return
        parent = self.node(owner, decision.follows)
        node = Node(
            decision.session,
            1,
            decision.at,
            decision.input_tokens,
            decision.follows,
        )
        if parent is not None:
            node.turn = parent.turn + 1
            node.cached = {**parent.cached}
        if parent is not None and parent.turn and not parent.child:
            self._follow(parent, decision)
            parent.child = own
            # Only the last two prompts of a conversation are remembered: the one before may be
            # continued in another way, as by a repeated or edited message.
            before = self.node(owner, parent.parent)
            if before is not None and before.turn:
                self._forget((*owner, parent.parent))
        else:
            self.turns_.begin()
        self.nodes_[(*owner, own)] = node
        self._owned.setdefault(owner, OrderedDict())[own] = node
        self._touch(owner, own)
        self._bound(owner)

    def outcome(self, decision: Decision, outcome: Outcome) -> None:
        """Remember what a provider has cached after a call, and learn what it had before."""
        if outcome.error is not None or not self.active:
            return
        owner, tokens = decision.owner, decision.input_tokens
        node = self.node(owner, decision.prefix or _named(decision.session))
        model = self._position.get(outcome.model)
        if node is None or model is None:
            return
        # What a client reports teaches nothing that holds for others.
        known = outcome.cached_tokens is not None and not outcome.estimated
        if known and decision.call_by != CLIENT:
            self._learn(decision, outcome, node, model)
        if tokens < self._least[model]:
            return
        node.cached = {**node.cached, outcome.model: (float(tokens), decision.at)}
        head = self.node(owner, decision.head)
        if head is not None and not head.turn and decision.head_tokens >= self._least[model]:
            head.cached = {
                **head.cached,
                outcome.model: (float(decision.head_tokens), decision.at),
            }

    def expected(self, node: Node | None, tokens: int, at: float) -> CacheTokens:
        """(M,) tokens of a prompt that each provider is expected to read from and to write to its
        cache, at time ``at``.

        ``node`` is the longest known prompt that it begins with, None for none; ``tokens`` are its
        own.
        """
        read = np.zeros(len(self._least))
        if node is not None:
            for name, (cached, used) in node.cached.items():
                model = self._position.get(name)
                if model is not None and at - used <= self._seconds[model]:
                    read[model] = min(cached, tokens)
        return self.with_rates(read, tokens)

    def turn(self, node: Node | None, tokens: int, at: float, *, again: bool = False) -> Turn:
        """Return what a request is in its conversation; arguments as for ``expected``.

        ``again`` says that it is the node's own prompt once more, and no turn after it.
        """
        statistics, rates = self.turns_, self.rates_
        number = 1 if node is None else last_turn(max(1, node.turn + (not again)))
        remaining = float(statistics.remaining_[number])
        if self._within_of is not statistics.within_:
            self._within_of = statistics.within_
            self._within = statistics.share_within(self._seconds)
        left = np.zeros(len(self._least))
        if node is not None and node.turn:
            for name, (cached, used) in node.cached.items():
                model = self._position.get(name)
                if model is not None:
                    rest = float(self._seconds[model]) - (at - used)
                    left[model] = min(cached, tokens) * statistics.chance_within(rest)
        later_tokens = int(tokens + 0.5 * (remaining + 1.0) * statistics.growth_)
        prefix = later_tokens - statistics.growth_
        lost = np.maximum(tokens * self._within - left, 0.0) * rates.read_
        if tokens < self._every_least:
            lost *= tokens >= self._least
        return Turn(
            goes_on=float(statistics.goes_on_[number]),
            remaining=remaining,
            length=statistics.length_,
            later_tokens=later_tokens,
            later=self.with_rates(prefix * self._within, later_tokens),
            lost=lost,
            written=rates.written_,
            quality=self.quality_,
        )

    def with_rates(self, read: Floats, tokens: float) -> CacheTokens:
        """Apply the rates that were learned to (M,) tokens that should be in the cache."""
        rates = self.rates_
        read = read * rates.read_
        written = (tokens - read) * rates.written_
        if tokens < self._every_least:
            cached = tokens >= self._least
            return CacheTokens(read * cached, written * cached)
        return CacheTokens(read, written)

    def set_zoo(self, zoo: Zoo) -> None:
        """Change the models; what is known of those that stay is kept."""
        fresh = float(self.quality_.mean())
        self.quality_ = carry_over(self.rates_.models_, zoo.names, self.quality_, fresh)
        self.rates_.set_models(zoo.names)
        self._set_zoo(zoo)

    def snapshot(self) -> State:
        """Copy the whole state; the nodes in their serialised form, which takes the least time."""
        nodes = _nodes_encoder.encode(list(self.nodes_.items()))
        names = [name for name in self._state_names() if name != "nodes_"]
        return {"nodes_": nodes, **{name: copy_out(getattr(self, name)) for name in names}}

    def restore(self, state: State) -> None:
        """Take over a state made by ``snapshot``; ``set_zoo`` comes before."""
        super().restore(state)
        self.nodes_ = OrderedDict(_nodes_decoder.decode(state["nodes_"]))
        self._owned = {}
        for (tenant, key, own), node in self.nodes_.items():
            self._owned.setdefault(Owner(tenant, key), OrderedDict())[own] = node

    def _set_zoo(self, zoo: Zoo) -> None:
        self.active = zoo.caches
        self._within_of = np.empty(0)
        self._position = {name: position for position, name in enumerate(zoo.names)}
        self._seconds = np.array([m.cache_seconds for m in zoo.models])
        self._least = np.array([float(m.cache_min_tokens) for m in zoo.models])
        self._every_least = float(self._least.max())
        self._within = np.zeros(len(zoo))

    def _use_head(self, decision: Decision) -> None:
        """Remember the prefix that a conversation may share with others."""
        owner, head = decision.owner, decision.head
        known = self.node(owner, head)
        if known is None:
            known = Node("", 0, decision.at, decision.head_tokens)
            self.nodes_[(*owner, head)] = known
            self._owned.setdefault(owner, OrderedDict())[head] = known
        known.at = decision.at
        self._touch(owner, head)

    def _follow(self, node: Node, decision: Decision) -> None:
        gap, growth = decision.at - node.at, decision.input_tokens - node.tokens
        self.turns_.follow(node.turn, gap=gap, growth=growth)

    def _learn(self, decision: Decision, outcome: Outcome, node: Node, model: int) -> None:
        tokens = float(decision.input_tokens)
        read, written = cache_tokens_of(decision, outcome)
        had, used = node.cached.get(outcome.model, (0.0, 0.0))
        expected, possible = min(had, tokens), tokens - read
        # A prompt may have no tokens, or none that were not read.
        if expected > 0.0 and decision.at - used <= self._seconds[model]:
            self.rates_.learn_read(model, expected=expected, read=read)
        if possible >= max(1.0, self._least[model]) and outcome.cache_write_tokens is not None:
            self.rates_.learn_written(model, possible=possible, written=written)

    def _touch(self, owner: Owner, key: str) -> None:
        self.nodes_.move_to_end((*owner, key))
        self._owned[owner].move_to_end(key)

    def _bound(self, owner: Owner) -> None:
        owned = self._owned[owner]
        while len(owned) > self.owner_capacity:
            self._forget((*owner, next(iter(owned))))
        while len(self.nodes_) > self.capacity:
            self._forget(next(iter(self.nodes_)))

    def _forget(self, key: tuple[str, str, str]) -> None:
        del self.nodes_[key]
        owner = Owner(*key[:2])
        owned = self._owned[owner]
        del owned[key[2]]
        if not owned:
            del self._owned[owner]


def _named(session: str) -> str:
    """Key of the last prompt of a conversation whose messages are not known; "" for no name."""
    return f":{session}" if session else ""
