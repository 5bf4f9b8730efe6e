"""Conversations: each stays on the model that served it, because providers cache its prompt."""

from __future__ import annotations

from collections import OrderedDict

from floorline.core.snapshots import State, Stateful
from floorline.events import Decision
from floorline.policies.base import Choice, Request, certain
from floorline.state.ledger import Ledger
from floorline.zoo import Zoo

_SESSION_SECONDS = 3600.0
"""Longest pause of a conversation that keeps its model: providers keep cached prompts at most about
an hour."""

_CAPACITY = 100_000
"""Most conversations remembered. At about 300 bytes each they take 30 MB, and a router of 25
requests per second then remembers every conversation of the last hour."""


class Sessions(Stateful):
    """Model of each conversation, as a fold over decisions.

    Parameters
    ----------
    capacity
        Most conversations remembered; the one served longest ago is forgotten first.

    Attributes
    ----------
    served_ : OrderedDict of str to list
        By session name: name of the model that served last, and the time in seconds. The session
        served last comes last.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self.capacity = capacity
        # A plain dict takes longer to find its first entry after each entry removed from its start.
        self.served_: OrderedDict[str, list[str | float]] = OrderedDict()

    def note(self, decision: Decision) -> None:
        """Remember the model that serves a conversation."""
        self.served_[decision.session] = [decision.model, decision.at]
        self.served_.move_to_end(decision.session)
        if len(self.served_) > self.capacity:
            self.served_.popitem(last=False)

    def model(self, session: str, at: float) -> str | None:
        """Name of the model that a conversation stays on at time ``at``; None if there is none."""
        served = self.served_.get(session)
        if served is None or at - float(served[1]) > _SESSION_SECONDS:
            return None
        return str(served[0])

    def stay(
        self, session: str, choice: Choice, request: Request, zoo: Zoo, ledger: Ledger, at: float
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
        behind = ledger.satisfied_ < request.floor * ledger.labels_
        if behind and choice.quality[index] < min(request.floor, choice.quality[choice.model]):
            return choice
        return certain(index, choice.quality, choice.cost)._replace(prediction=choice.prediction)

    def restore(self, state: State) -> None:
        """Take over a state made by ``snapshot``."""
        super().restore(state)
        self.served_ = OrderedDict(self.served_)
