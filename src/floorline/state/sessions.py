"""Named conversations stay on the model that served them, because providers cache their prompts.

This holds where no model has a price of cached tokens; with prices, costs decide
(``state.conversations``).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from floorline.core.snapshots import State, Stateful
from floorline.events import Decision, Owner
from floorline.policies.base import Choice, Request, certain
from floorline.state.ledger import Ledger
from floorline.zoo import Zoo

_SESSION_SECONDS = 3600.0
"""Longest pause of a conversation that keeps its model: providers keep cached prompts at most about
an hour."""

_CAPACITY = 100_000
"""Most conversations remembered. At about 500 bytes each they take 50 MB, and 200 MB if all their
names have the most characters. A router of 25 requests per second then remembers every conversation
of the last hour."""

SESSION = "session"
"""Rule of decisions that left a conversation on its model."""

_OWNER_CAPACITY = 10_000
"""Most conversations remembered of one tenant, or of one key without a tenant: a tenth of all, so
that one of them cannot make the router forget the conversations of the others."""


class Session(NamedTuple):
    """Identity of a conversation.

    Attributes
    ----------
    owner, name
        Who it belongs to, and its name there.
    """

    owner: Owner
    name: str


class Sessions(Stateful):
    """Model of each conversation, as a fold over decisions.

    Parameters
    ----------
    capacity, owner_capacity
        Most conversations remembered, of all and of one owner; the one served longest ago is
        forgotten first.

    Attributes
    ----------
    served_ : OrderedDict of tuple to list
        By tenant and key of the owner and name of the session: name of the model that served last,
        and the time in seconds. The session served last comes last.
    elsewhere : Sessions or None
        Knows sessions that are not here; it is no part of the state, and no event changes it.
    """

    def __init__(self, capacity: int = _CAPACITY, owner_capacity: int = _OWNER_CAPACITY) -> None:
        self.capacity = capacity
        self.owner_capacity = owner_capacity
        # A plain dict takes longer to find its first entry after each entry removed from its start.
        self.served_: OrderedDict[tuple[str, str, str], list[str | float]] = OrderedDict()
        # The sessions of each owner, in the same order.
        self._owned: dict[Owner, OrderedDict[str, None]] = {}
        self.elsewhere: Sessions | None = None

    def note(self, decision: Decision) -> None:
        """Remember the model that serves a conversation."""
        owner, name = decision.owner, decision.session
        key = (*owner, name)
        self.served_[key] = [decision.model, decision.at]
        self.served_.move_to_end(key)
        owned = self._owned.setdefault(owner, OrderedDict())
        owned[name] = None
        owned.move_to_end(name)
        if len(owned) > self.owner_capacity:
            self._forget((*owner, next(iter(owned))))
        elif len(self.served_) > self.capacity:
            self._forget(next(iter(self.served_)))

    def _forget(self, key: tuple[str, str, str]) -> None:
        del self.served_[key]
        owner = Owner(*key[:2])
        owned = self._owned[owner]
        del owned[key[2]]
        if not owned:
            del self._owned[owner]

    def knows(self, owner: Owner, name: str) -> bool:
        """Whether a conversation is remembered, here or elsewhere, however old it is."""
        key = (*owner, name)
        other = self.elsewhere
        return key in self.served_ or (other is not None and key in other.served_)

    def model(self, session: Session, at: float) -> str | None:
        """Name of the model that a conversation stays on at time ``at``; None if there is none."""
        key = (*session.owner, session.name)
        served = self.served_.get(key)
        if served is None and self.elsewhere is not None:
            served = self.elsewhere.served_.get(key)
        if served is None or at - float(served[1]) > _SESSION_SECONDS:
            return None
        return str(served[0])

    def stay(
        self,
        session: Session,
        choice: Choice,
        request: Request,
        zoo: Zoo,
        ledger: Ledger,
        at: float,
    ) -> Choice:
        """Replace a policy's choice by the conversation's model where that is possible.

        The choice stays if it explores, if the conversation's model may not serve the request, or
        if the SLA is below its floor and the conversation's model is estimated below both the
        floor and the chosen model.
        """
        model = None if choice.explored else self.model(session, at)
        if model is None or model not in zoo:
            return choice
        index = zoo.index(model)
        if not (request.allowed is None or request.allowed[index]):
            return choice
        behind = ledger.satisfied_ < request.floor * ledger.label_weight_
        if behind and choice.quality[index] < min(request.floor, choice.quality[choice.model]):
            return choice
        kept = certain(
            index,
            choice.quality,
            choice.cost,
            rule=SESSION,
            scores=choice.scores,
            multipliers=choice.multipliers,
        )
        return kept._replace(prediction=choice.prediction)

    def restore(self, state: State) -> None:
        """Take over a state made by ``snapshot``."""
        super().restore(state)
        self.served_ = OrderedDict(self.served_)
        self._owned = {}
        for tenant, key, name in self.served_:
            self._owned.setdefault(Owner(tenant, key), OrderedDict())[name] = None
