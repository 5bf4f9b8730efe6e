"""Fold a log into the responses of one SLA and their labels, for a certificate."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from floorline.events import (
    DIRECT,
    Decision,
    Event,
    Feedback,
    Outcome,
    Recall,
    SlaChange,
    ZooChange,
)
from floorline.policies.budgets.periods import BudgetPeriods
from floorline.sla import SLA
from floorline.state.elapsed import CallTimes, call_times
from floorline.state.reachability import Evidence
from floorline.state.senders import sender_of
from floorline.state.timeliness import Timeliness


class Response(msgspec.Struct):
    """One served response and its label.

    ``expected`` is the estimate q̂ of its model. ``score`` is its latest label and ``source`` the
    source of that; both are None without a label. ``arrived`` is the position of its first label
    among the first labels of all responses, −1 without one, and ``arrived_at`` its time.
    ``sender`` is the tenant or key of its request, and ``weight`` that of its label in the
    certificate. ``departed`` says that its model left the zoo later.
    """

    model: str
    floor: float
    expected: float
    sender: str = ""
    weight: float = 1.0
    score: float | None = None
    source: str | None = None
    arrived: int = -1
    arrived_at: float = 0.0
    departed: bool = False


class Call(msgspec.Struct):
    """One call of a served model: when its decision and its request's first one were made.

    ``times`` is None until its outcome; ``replaced`` says that it failed and another was made.
    """

    model: str
    at: float
    began: float
    times: CallTimes | None = None
    departed: bool = False
    replaced: bool = False


class Promise:
    """Responses that were served under one SLA, folded from a log.

    Counts as the router's own fold does: the latest score of a response counts, a repeated message
    counts once, a call in place of a failed one is no further request, and an SLA that was removed
    and set again starts from zero.

    Parameters
    ----------
    sla
        Name of the SLA.
    sources
        Only labels of these sources count; None for all.

    Attributes
    ----------
    promised
        The SLA as the log last set it; None if the log does not set it.
    models
        Names of the models that the log last says can serve.
    seen
        Names of all SLAs that the log has decisions of.
    requests, labels, corrected
        Numbers of requests, of labelled responses and of corrections of labels.
    responses
        Decision id → response.
    calls
        Decision id → call of the served model.
    given_floor
        Floor that replaces those of the requests; None for none.
    notes
        Sentences on choices of the caller that the log does not contain.
    """

    def __init__(self, sla: str, sources: Iterable[str] | None = None) -> None:
        self.sla = sla
        self.sources = None if sources is None else frozenset(sources)
        self.promised: SLA | None = None
        self.models: tuple[str, ...] = ()
        self.seen: set[str] = set()
        self.given_floor: float | None = None
        self.notes: list[str] = []
        if self.sources is not None:
            names = ", ".join(sorted(self.sources))
            self.notes.append(f"Only labels of these sources were taken: {names}.")
        self._start()

    def _start(self) -> None:
        self.requests = 0
        self.labels = 0
        self.corrected = 0
        self.responses: dict[str, Response] = {}
        self.calls: dict[str, Call] = {}
        self._heard: dict[str, set[str]] = {}
        self._asked_at: list[float] = []
        self._expected: dict[str, list[float]] = {}

    def fold(self, event: Event) -> None:
        """Fold the next event of the log."""
        if isinstance(event, Decision):
            self._set_models(event.models)
            self._decision(event)
        elif isinstance(event, Feedback):
            self._feedback(event)
        elif isinstance(event, Outcome):
            call = self.calls.get(event.decision)
            if call is not None and call.times is None and event.model == call.model:
                call.times = call_times(event, call.at)
        elif isinstance(event, Recall):
            # Its decision and labels may have been deleted from the log since.
            if event.decision.id not in self.responses:
                self._decision(event.decision)
                for model, score in event.scores.items():
                    weight, _ = event.weights.get(model, (1.0, 1.0))
                    self._feedback(
                        Feedback(
                            decision=event.decision.id,
                            model=model,
                            score=score,
                            source="",
                            weight=weight,
                            at=event.at,
                        )
                    )
        elif isinstance(event, ZooChange):
            self._set_models(event.zoo.names)
        elif isinstance(event, SlaChange) and event.sla.name == self.sla:
            self.promised = None if event.removed else event.sla
            if event.removed:
                self._start()

    def _decision(self, event: Decision) -> None:
        if event.policy == DIRECT:
            return
        self.seen.add(event.sla)
        if event.sla != self.sla or event.id in self.responses:
            return
        self.requests += (not event.after) - event.declined
        if not event.after:
            self._asked_at.append(event.at)
        for name, cost in event.cost.items():
            sums = self._expected.setdefault(name, [0.0, 0.0])
            sums[0] += 1.0
            sums[1] += cost
        if event.after in self.responses and self.responses[event.after].score is None:
            # Its call failed, so no user received it.
            del self.responses[event.after]
        if event.declined:
            return
        before = self.calls.get(event.after)
        if before is not None:
            before.replaced = True
        began = event.at if before is None else before.began
        self.calls[event.id] = Call(event.model, event.at, began)
        self.responses[event.id] = Response(
            event.model, event.floor, event.expected_quality, sender_of(event)
        )

    def _feedback(self, event: Feedback) -> None:
        response = self.responses.get(event.decision)
        if response is None or event.model != response.model:
            return
        if self.sources is not None and event.source not in self.sources:
            return
        if event.key:
            heard = self._heard.setdefault(event.decision, set())
            if event.key in heard:
                return
            heard.add(event.key)
        score = float(event.score)
        if response.score is None:
            response.arrived, response.arrived_at = self.labels, event.at
            response.weight = event.weight
            self.labels += 1
        elif response.score == score:
            return
        else:
            self.corrected += 1
        response.score, response.source = score, event.source

    def _set_models(self, names: tuple[str, ...]) -> None:
        gone = set(self.models) - set(names)
        if gone:
            for response in self.responses.values():
                response.departed |= response.model in gone
            for call in self.calls.values():
                call.departed |= call.model in gone
        self.models = names

    def evidence(self, sla: SLA) -> Evidence:
        """Return what the labels say of the models that the SLA allows, as the router's fold does.

        The latencies that its fold measures are not taken into account.
        """
        labels: dict[str, list[float]] = {}
        for response in self.responses.values():
            if response.score is not None and not response.departed:
                sums = labels.setdefault(response.model, [0.0, 0.0, 0.0])
                sums[0] += 1.0
                sums[1] += response.weight
                sums[2] += response.weight * response.score
        periods, budgets = BudgetPeriods(), 1
        if sla.budget is not None and sla.budget.period is not None:
            given = [periods.advance(sla.budget.period, at) for at in self._asked_at]
            budgets += sum(given[1:])
        return Evidence(
            models=[name for name in self.models if sla.models is None or name in sla.models],
            labels=labels,
            cost={name: cost / count for name, (count, cost) in self._expected.items()},
            requests=len(self._asked_at),
            budgets=budgets,
        )

    def timeliness(self, sla: SLA) -> Timeliness:
        """Count the requests within the limits that an SLA promises.

        The limits are those of ``sla`` for all requests, as if it had held from the first one on.
        """
        counted = Timeliness(sla)
        for name, call in self.calls.items():
            if call.times is not None:
                model = None if call.departed else call.model
                counted.ended(name, model, call.times, max(0.0, call.at - call.began))
                if call.replaced:
                    counted.replace(name)
        return counted

    def replace_floor(self, floor: float) -> None:
        """Compare all responses with this floor instead of the floors of their requests."""
        held = [response.floor for response in self.responses.values()]
        if any(other != floor for other in held):
            mean = round(sum(held) / len(held), 12)
            self.notes.append(
                f"The floor {floor:g} was given for this page; these responses were promised "
                f"{mean:g}" + (" on average." if len(set(held)) > 1 else ".")
            )
        self.given_floor = floor
        for response in self.responses.values():
            response.floor = floor

    def labelled(self) -> list[Response]:
        """Return the labelled responses in the order of their first labels."""
        judged = [r for r in self.responses.values() if r.score is not None]
        return sorted(judged, key=lambda response: response.arrived)
