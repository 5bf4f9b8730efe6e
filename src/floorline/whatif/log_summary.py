"""Summary of a log: the models, SLAs and feature length of its first routed request."""

from __future__ import annotations

import math
from collections.abc import Iterable

from floorline.core.features import length
from floorline.errors import InvalidInput, check_one_of
from floorline.events import DIRECT, Decision, Event, Outcome, WarmStart
from floorline.sla import SLA
from floorline.zoo import Model, Zoo


class LogSummary:
    """Models, SLAs and features of a log.

    Parameters
    ----------
    events
        Events of the log.

    Attributes
    ----------
    names
        Names of the models of the first routed decision, in its order.
    dim
        Length of the features; 0 if the log has none.
    decisions
        Number of routed decisions.
    floors
        Floor of the first decision of each SLA.
    history
        Whether the policy learned a history before requests.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self.dim = 0
        self.decisions = 0
        self.names: tuple[str, ...] = ()
        self.floors: dict[str, float] = {}
        self.history = False
        self._costs: dict[str, list[float]] = {}  # number and sum by model
        self._latest: Decision | None = None
        for event in events:
            if isinstance(event, Decision) and event.policy != DIRECT:
                self._decision(event)
            elif isinstance(event, Outcome) and event.error is None:
                sums = self._costs.setdefault(event.model, [0.0, 0.0])
                sums[0] += 1.0
                sums[1] += event.cost
            elif isinstance(event, WarmStart):
                self.history = True

    def _decision(self, event: Decision) -> None:
        if not self.decisions:
            self.names = event.models
        self.decisions += 1
        self.dim = length(event.features)
        self.floors.setdefault(event.sla, event.floor)
        self._latest = event

    def zoo(self) -> Zoo:
        """Return the models in the log's order; the price of each is its mean cost per call.

        A model that never served has the cost that the logging policy expected last, or the highest
        mean cost if it expected none.
        """
        means = {name: total / count for name, (count, total) in self._costs.items()}
        highest = max(means.values(), default=1.0)
        expected = {} if self._latest is None else self._latest.cost
        prices = dict.fromkeys(self.names, highest)
        prices |= {m: cost for m, cost in expected.items() if math.isfinite(cost) and cost > 0.0}
        prices |= means
        return Zoo([Model(name, call_price=prices[name]) for name in self.names])

    def slas(self) -> list[SLA]:
        """Return the SLAs of the decisions, each with the floor of its first decision."""
        return [SLA(name, floor=floor) for name, floor in self.floors.items()]

    def check(self, sla: str | None = None) -> None:
        """Check that the log can be used, with the requests of an SLA if one is given.

        Raises
        ------
        InvalidInput
            If the log has no routed request or no features, or no request of the SLA.
        """
        if not self.decisions:
            fix = "give a log with at least one routed request"
            raise InvalidInput("log", "without a routed request", fix)
        if not self.dim:
            raise InvalidInput("log", "without features", "export it with --features")
        if sla is not None:
            check_one_of("sla", sla, tuple(self.floors))

    def check_models(self, zoo: Zoo) -> None:
        """Check that a zoo has the models of the log.

        Raises
        ------
        InvalidInput
            If the models or their order differ.
        """
        if zoo.names != self.names:
            fix = "give the models at the beginning of the log, in this order"
            raise InvalidInput("models", zoo.names, f"{fix}: {', '.join(self.names)}")
