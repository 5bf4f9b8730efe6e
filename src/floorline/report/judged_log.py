"""Fold a log into what judges said and cost, by the code that the router's own fold uses."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from floorline.events import (
    DIRECT,
    JUDGE_KEY,
    SHADOW_KEY,
    Decision,
    Event,
    Feedback,
    Judgement,
    Outcome,
    Recall,
    SlaChange,
)
from floorline.sla import SLA
from floorline.state.by_judge import ByJudge
from floorline.state.judge_accounts import (
    IN_FULL,
    Said,
    correct_pairs,
    count_judgement,
    pair_with_judges,
    recalled_judgements,
)
from floorline.state.judge_calibration import Agreement, JudgeCalibration, agreements_of
from floorline.state.judged_certificate import JudgedCertificate, judged_certificates_of
from floorline.state.judged_labels import JudgedLabels


class JudgingCost(msgspec.Struct):
    """What the calls of one judge, or the calls in the shadow, cost; in the zoo's cost unit.

    Attributes
    ----------
    key
        ``judge:NAME`` or ``shadow``: what the calls are charged to in the log.
    judge
        Name of the judge; "" for the calls in the shadow.
    calls, failed
        Number of calls that ended, and of those without an answer.
    cost
        Their real cost.
    """

    key: str
    judge: str
    calls: int = 0
    failed: int = 0
    cost: float = 0.0


class _Judged(msgspec.Struct):
    """What is known of a decision: a ``JudgedRecord`` with the SLA's labels that it counts in."""

    model: str
    floor: float
    sla: str
    labels: ByJudge[JudgedLabels]
    scores: dict[str, float] = {}
    weights: dict[str, tuple[float, float]] | None = None
    judged: Said | None = None
    keys: set[str] = set()


class JudgedLog:
    """Judgements of a log: how judges differ from users, what they say by SLA, and what they cost.

    A decision belongs to the scope if its request's first decision does; all that the log says of
    it counts, also what came later. Nothing is forgotten, so that a recalled decision adds nothing
    but what was deleted.

    Parameters
    ----------
    since, until
        Unix times in seconds of the first request and of the first one that comes too late.
    tenant
        The only tenant whose requests count; its labels have full weight then, and calls of judges,
        which are about all tenants, are left out. None for all.
    sources
        Only labels of these sources are users'; None for all.

    Attributes
    ----------
    calibrations
        How each judge differs from users.
    """

    def __init__(
        self,
        *,
        since: float = -math.inf,
        until: float = math.inf,
        tenant: str | None = None,
        sources: Iterable[str] | None = None,
    ) -> None:
        self.calibrations = ByJudge(JudgeCalibration)
        self._since, self._until, self._tenant = since, until, tenant
        self._sources = None if sources is None else frozenset(sources)
        self._of: dict[str, _Judged | None] = {}
        self._labels: dict[str, ByJudge[JudgedLabels]] = {}
        self._costs: dict[str, JudgingCost] = {}
        self._calls: dict[str, str] = {}

    def fold(self, event: Event) -> None:
        """Fold the next event of the log."""
        if isinstance(event, Decision):
            self._decision(event)
        elif isinstance(event, Outcome):
            self._outcome(event)
        elif isinstance(event, Feedback):
            self._feedback(event)
        elif isinstance(event, Judgement):
            found = self._found(event.decision)
            if found is not None:
                count_judgement(found, event, self.calibrations, found.labels)
        elif isinstance(event, Recall):
            self._recall(event)
        elif isinstance(event, SlaChange) and event.removed and event.at < self._until:
            # One of the same name that comes later starts from zero, as in the router.
            self._labels.pop(event.sla.name, None)

    def certificates(
        self, name: str, sla: SLA, users: tuple[float, float], floor: float | None = None
    ) -> tuple[JudgedCertificate, ...]:
        """Certify an SLA by each judge; see ``judged_certificates_of``.

        ``name`` is the SLA's in the log, and ``floor`` replaces the floors of the requests.
        """
        labels = self._labels.get(name)
        if labels is None:
            return ()
        if floor is not None:
            for one in labels.judges_.values():
                one.floor_sum_ = floor * one.weight_
        return judged_certificates_of(sla, labels.judges_, users)

    def agreements(self) -> tuple[Agreement, ...]:
        """Compare each judge with the users, on all models and on each one, as the router does."""
        return tuple(agreements_of(self.calibrations.judges_))

    def costs(self) -> tuple[JudgingCost, ...]:
        """Costs of the judges' calls, and of those in the shadow, by key."""
        return tuple(self._costs[key] for key in sorted(self._costs))

    def _found(self, decision: str) -> _Judged | None:
        """Return a decision of the scope; None if its SLA was removed since."""
        found = self._of.get(decision)
        current = found is not None and self._labels.get(found.sla) is found.labels
        return found if current else None

    def _decision(self, event: Decision) -> None:
        if event.id in self._of:
            return
        if event.policy == DIRECT:
            internal = event.key == SHADOW_KEY or event.key.startswith(JUDGE_KEY)
            if internal and self._tenant is None and self._since <= event.at < self._until:
                self._calls[event.id] = event.key
            return
        if event.after in self._of:
            inside = self._of[event.after] is not None
        else:
            inside = self._since <= event.at < self._until
        self._of[event.id] = None
        if inside and not event.declined and self._tenant in (None, event.tenant):
            labels = self._labels.setdefault(event.sla, ByJudge(JudgedLabels))
            self._of[event.id] = _Judged(event.model, event.floor, event.sla, labels)

    def _outcome(self, event: Outcome) -> None:
        key = self._calls.pop(event.decision, None)
        if key is None:
            return
        judge = key.removeprefix(JUDGE_KEY) if key.startswith(JUDGE_KEY) else ""
        cost = self._costs.setdefault(key, JudgingCost(key, judge))
        cost.calls += 1
        cost.failed += event.error is not None
        cost.cost += event.cost

    def _feedback(self, event: Feedback) -> None:
        found = self._found(event.decision)
        if found is None or (self._sources is not None and event.source not in self._sources):
            return
        if event.key:
            if event.key in found.keys:
                return
            found.keys.add(event.key)
        score, previous = float(event.score), found.scores.get(event.model)
        if previous == score:
            return
        found.scores[event.model] = score
        if previous is None:
            if self._tenant is None and not event.weight == 1.0 == event.influence:
                found.weights = {**(found.weights or {})}
                found.weights[event.model] = event.weight, event.influence
            pair_with_judges(found, event.model, self.calibrations, found.labels)
            return
        weight, influence = (found.weights or {}).get(event.model, IN_FULL)
        event = msgspec.structs.replace(event, weight=weight, influence=influence)
        correct_pairs(found, event, previous, self.calibrations, found.labels)

    def _recall(self, event: Recall) -> None:
        """Know a decision again whose own events may have been deleted from the log since."""
        if event.decision.id in self._of:
            return
        self._decision(event.decision)
        found = self._of.get(event.decision.id)
        if found is not None:
            found.scores = dict(event.scores)
            found.weights = dict(event.weights) or None if self._tenant is None else None
            found.judged = recalled_judgements(event, self.calibrations)
            found.keys = set(event.keys)
