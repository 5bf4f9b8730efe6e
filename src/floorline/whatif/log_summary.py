"""What a log says of the models and promises that it began with."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from floorline.core.features import length
from floorline.errors import InvalidInput
from floorline.events import DIRECT, Decision, Event, Outcome, ZooChange
from floorline.sla import SLA
from floorline.zoo import Model, Zoo


class LogSummary:
    """What a log says of models, SLAs and features before its first change of the zoo."""

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
        """Models in the log's order, each listed at the mean of what its calls cost.

        Models that never served have no name in a log, and are listed as the dearest.
        """
        names = [self.names.get(m, f"model {m + 1} (never served)") for m in range(self.models)]
        seen = {name: float(np.mean(costs)) for name, costs in self._costs.items()}
        dearest = max(seen.values(), default=1.0)
        return Zoo([Model(name, call_price=seen.get(name, dearest)) for name in names])

    def slas(self) -> list[SLA]:
        """SLAs of the log's decisions, each with the floor of its first one."""
        return [SLA(name, floor=floor) for name, floor in self.floors.items()]

    def check(self, zoo: Zoo) -> None:
        """Raise InvalidInput if the log is of no use, or a zoo has not its models in its order."""
        if not self.decisions:
            raise InvalidInput("log", "without a routed request", "give one with some")
        if not self.dim:
            raise InvalidInput("log", "without features", "export it with --features")
        if len(zoo) != self.models or any(zoo.names[m] != n for m, n in self.names.items()):
            shown = ", ".join(self.names[m] for m in sorted(self.names))
            fix = f"give the models that the log began with, in that order: {shown}"
            raise InvalidInput("models", zoo.names, fix)
