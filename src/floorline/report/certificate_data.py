"""What a log says of one SLA, as its certificate needs it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from floorline.events import DIRECT, Decision, Event, Feedback, Recall, SlaChange
from floorline.sla import SLA


class Response(msgspec.Struct):
    """One served response and what was said of it.

    ``expected`` is the estimate q̂ of its model; ``score`` its latest label and ``source`` whose
    (None without one); ``arrived`` counts its label among all labels by when the first one came.
    """

    model: str
    floor: float
    expected: float
    score: float | None = None
    source: str | None = None
    arrived: int = -1


class Promise:
    """Fold of a log into the responses that were served under one SLA.

    Counts as the router's own fold does: a response is judged by its latest score, a repeated
    message counts once, calls in place of failed ones are no further requests, and a promise that
    was withdrawn and made anew starts from nothing.

    Parameters
    ----------
    sources
        Labels of other sources are passed over; None takes all.

    Attributes
    ----------
    notes
        What was chosen for this certificate rather than found in the log.
    """

    def __init__(self, sla: str, sources: Iterable[str] | None = None) -> None:
        self.sla = sla
        self.sources = None if sources is None else frozenset(sources)
        self.promised: SLA | None = None
        self.seen: set[str] = set()
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
        self._heard: dict[str, set[str]] = {}

    def fold(self, event: Event) -> None:
        """Take in the next event of the log."""
        if isinstance(event, Decision):
            self._decision(event)
        elif isinstance(event, Feedback):
            self._feedback(event)
        elif isinstance(event, Recall):
            # Its decision may have been deleted from the log since, with what was said of it.
            if event.decision.id not in self.responses:
                self._decision(event.decision)
                for model, score in event.scores.items():
                    said = Feedback(decision=event.decision.id, model=model, score=score, source="")
                    self._feedback(said)
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
        if event.after in self.responses and self.responses[event.after].score is None:
            # Its call failed, so nobody saw it.
            del self.responses[event.after]
        if event.declined:
            return
        self.responses[event.id] = Response(event.model, event.floor, event.expected_quality)

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
            response.arrived = self.labels
            self.labels += 1
        elif response.score == score:
            return
        else:
            self.corrected += 1
        response.score, response.source = score, event.source

    def replace_floor(self, floor: float) -> None:
        """Judge by this floor in place of those that were promised."""
        held = [response.floor for response in self.responses.values()]
        if any(other != floor for other in held):
            mean = round(sum(held) / len(held), 12)
            self.notes.append(
                f"The floor {floor:g} was given for this page; these responses were promised "
                f"{mean:g}" + (" on average." if len(set(held)) > 1 else ".")
            )
        for response in self.responses.values():
            response.floor = floor

    def labelled(self) -> list[Response]:
        """Labelled responses in the order in which their first labels came."""
        judged = [r for r in self.responses.values() if r.score is not None]
        return sorted(judged, key=lambda response: response.arrived)
