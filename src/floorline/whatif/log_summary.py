"""Summary of a log: the models, SLAs and feature length at its beginning."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from floorline.core.features import length
from floorline.errors import InvalidInput
from floorline.events import DIRECT, Decision, Event, Outcome, ZooChange
from floorline.sla import SLA
from floorline.zoo import Model, Zoo


class LogSummary:
    """Models, SLAs and features of a log before its first change of the zoo.

    Parameters
    ----------
    events
        Events of the log.

    Attributes
    ----------
    models
        Number of models.
    dim
        Length of the features; 0 if the log has none.
    decisions
        Number of routed decisions.
    names
        Names of the models that served, by position.
    floors
        Floor of the first decision of each SLA.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self.models = 0
        self.dim = 0
        self.decisions = 0
        self.names: dict[int, str] = {}
        self.floors: dict[str, float] = {}
        self._costs: dict[str, list[float]] = {}
        changed = False
        for event in events:
            changed |= isinstance(event, ZooChange)
            if isinstance(event, Decision) and event.policy != DIRECT:
                self._decision(event, changed)
            elif isinstance(event, Outcome) and event.error is None:
                self._costs.setdefault(event.model, []).append(event.cost)

    def _decision(self, event: Decision, changed: bool) -> None:
        self.decisions += 1
        self.dim = length(event.features)
        self.floors.setdefault(event.sla, event.floor)
        if not changed:
            self.models = len(event.propensities)
            if not event.declined:
                self.names[event.index] = event.model

    def zoo(self) -> Zoo:
        """Return the models in the log's order; the price of each is its mean cost per call.

        The log has no name and no cost of a model that never served. Its price is the highest mean
        cost.
        """
        names = [self.names.get(m, f"model {m + 1} (never served)") for m in range(self.models)]
        means = {name: float(np.mean(costs)) for name, costs in self._costs.items()}
        highest = max(means.values(), default=1.0)
        return Zoo([Model(name, call_price=means.get(name, highest)) for name in names])

    def slas(self) -> list[SLA]:
        """Return the SLAs of the decisions, each with the floor of its first decision."""
        return [SLA(name, floor=floor) for name, floor in self.floors.items()]

    def check(self, zoo: Zoo) -> None:
        """Check that the log can be used with the models of a zoo.

        Raises
        ------
        InvalidInput
            If the log has no routed request or no features, or the models or their order differ.
        """
        if not self.decisions:
            fix = "give a log with at least one routed request"
            raise InvalidInput("log", "without a routed request", fix)
        if not self.dim:
            raise InvalidInput("log", "without features", "export it with --features")
        if len(zoo) != self.models or any(zoo.names[m] != n for m, n in self.names.items()):
            names = ", ".join(self.names[m] for m in sorted(self.names))
            fix = f"give the models at the beginning of the log, in this order: {names}"
            raise InvalidInput("models", zoo.names, fix)
