"""Fold a log into the requests of a period: their calls, costs, times and labels."""

from __future__ import annotations

import hashlib

import msgspec

from floorline.events import (
    DIRECT,
    DISCONNECTED,
    NOT_CALLED,
    REFUSED,
    UNREPORTED,
    UNTRANSLATED,
    Decision,
    Event,
    Feedback,
    Judgement,
    Outcome,
    Recall,
    SlaChange,
    ZooChange,
    encode_event,
)
from floorline.report.certificate_data import Promise
from floorline.report.judged_log import JudgedLog
from floorline.stores.log_source import LogDigest
from floorline.zoo import Zoo


class Scope(msgspec.Struct, frozen=True):
    """Which requests a report is about.

    Attributes
    ----------
    since, until
        Unix times in seconds of the first request and of the first one that comes too late.
    tenant
        The only tenant whose events are read; None for all requests.
    sla
        Name of the only SLA, as the tenant calls it; None for all that have requests.
    """

    since: float
    until: float
    tenant: str | None = None
    sla: str | None = None

    def shown_sla(self, name: str) -> str:
        """Return an SLA's name as the tenant calls it: without its own name after it.

        Examples
        --------
        >>> Scope(0.0, 1.0, "acme").shown_sla("gold@acme"), Scope(0.0, 1.0).shown_sla("gold@acme")
        ('gold', 'gold@acme')
        """
        return name.removesuffix(f"@{self.tenant}") if self.tenant else name


class Call(msgspec.Struct):
    """One call of a request, in the order of the log; costs are in the zoo's cost unit.

    Attributes
    ----------
    id, model, at
        Its decision, the model that was to serve, and when it was decided.
    expected
        Expected cost by model, of all models that the decision calls.
    costs
        Real cost by model, of those with an outcome.
    ended
        Whether the served model's call has an outcome; the rest is of that outcome.
    error, latency, first_token, input_tokens, output_tokens, cached_tokens
        As the outcome has them.
    estimated
        Whether the cost is computed from the lengths of the texts.
    """

    id: str
    model: str
    at: float
    expected: dict[str, float]
    costs: dict[str, float] = {}
    ended: bool = False
    error: str | None = None
    latency: float | None = None
    first_token: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    estimated: bool = False

    @property
    def open_cost(self) -> float:
        """Expected cost of the models whose call has no outcome."""
        return sum(cost for name, cost in self.expected.items() if name not in self.costs)

    @property
    def failed(self) -> bool:
        """Whether it brought no answer, for a reason that lies neither in request nor client."""
        if self.error is None or self.error in (DISCONNECTED, UNREPORTED, NOT_CALLED):
            return False
        return not self.error.startswith((REFUSED, UNTRANSLATED))


class Request(msgspec.Struct):
    """One request with all its calls: the last one serves, those before failed.

    ``floor`` is what was promised when it was made.
    ``declined`` says that in the end no model served, and ``judge_cost`` is what its labels cost.
    ``scores`` are the latest ones by decision and model, and ``keys`` those of the messages.
    """

    id: str
    at: float
    explored: bool
    floor: float = 0.0
    calls: list[Call] = []
    declined: bool = False
    judge_cost: float = 0.0
    scores: dict[tuple[str, str], float] = {}
    keys: set[str] = set()

    def label(self, event: Feedback) -> None:
        """Charge a label once, however often it is sent: as the router does."""
        if event.key:
            if event.key in self.keys:
                return
            self.keys.add(event.key)
        named = event.decision, event.model
        if self.scores.get(named) != event.score:
            self.scores[named] = event.score
            self.judge_cost += event.cost

    @property
    def spend(self) -> float:
        """Real cost of its calls and labels so far."""
        return self.judge_cost + sum(sum(call.costs.values()) for call in self.calls)

    @property
    def result(self) -> str:
        """How it ended, as one of ``RESULTS``."""
        if self.declined or not self.calls:
            return "declined"
        last = self.calls[-1]
        if not last.ended:
            return "open"
        if last.error is None:
            return "answered"
        if last.error.startswith((REFUSED, UNTRANSLATED)):
            return "refused"
        if last.error == DISCONNECTED:
            return "left"
        return "open" if last.error == UNREPORTED else "failed"

    @property
    def latency(self) -> float | None:
        """Seconds from its first decision to the end of its answer; None if that is not known."""
        last = self.calls[-1] if self.calls else None
        if last is None or last.latency is None or last.error is not None:
            return None
        return self.waited + last.latency

    @property
    def waited(self) -> float:
        """Seconds from its first decision to the last one; 0 where the clock was set back."""
        return max(0.0, self.calls[-1].at - self.at) if self.calls else 0.0


RESULTS = {
    "answered": "answered",
    "failed": "not answered: every call failed",
    "declined": "declined: no model was left within the budget",
    "refused": "refused by the provider as not valid",
    "left": "the client left before the end",
    "open": "running, or never reported by the client",
}
"""How requests end, with words for it."""


class Expected(msgspec.Struct):
    """Sums over requests of what was expected of one model; ``possible`` if it could serve one."""

    count: int = 0
    quality: float = 0.0
    cost: float = 0.0
    possible: bool = False


class Change(msgspec.Struct, frozen=True):
    """A change within the period: of the SLA, or of the models."""

    at: float
    event: SlaChange | ZooChange
    before: SlaChange | ZooChange | None


class SlaRequests:
    """Requests under one SLA.

    Parameters
    ----------
    name
        Name of the SLA in the log.

    Attributes
    ----------
    requests
        Requests of the period by id, in the order of the log.
    period, whole
        Responses and labels of the period, and since the SLA began.
    expected
        What was expected of each model, by name, over the requests of the period.
    changes
        Changes of the SLA in the period.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: dict[str, Request] = {}
        self.period, self.whole = Promise(name), Promise(name)
        self.expected: dict[str, Expected] = {}
        self.changes: list[Change] = []
        self._last: SlaChange | None = None

    def decide(self, event: Decision) -> None:
        """Add a request, or a further call of one."""
        request = Request(event.id, event.at, event.explored, event.floor)
        chances = zip(event.models, event.propensities.tolist(), strict=True)
        for name, chance in chances:
            found = self.expected.setdefault(name, Expected())
            found.count += 1
            found.quality += event.quality[name]
            found.cost += event.cost[name]
            found.possible |= chance > 0.0
        self.requests[event.id] = request
        self.call(request, event)

    def call(self, request: Request, event: Decision) -> None:
        """Add a call to a request."""
        request.declined = event.declined
        if not event.declined:
            expected = {name: event.cost[name] for name in event.called}
            request.calls.append(Call(event.id, event.model, event.at, expected))

    def change(self, event: SlaChange, *, in_period: bool) -> None:
        """Take over a change of this SLA."""
        if in_period and event != self._last:
            self.changes.append(Change(event.at, event, self._last))
        self._last = event
        self.period.fold(event)
        self.whole.fold(event)


class PeriodFold:
    """Requests of a period by SLA.

    A request belongs to the period if its first decision does; all that the log says of it counts,
    also what came later. Events of other tenants, and of requests that name a model instead of an
    SLA, are passed over.

    Parameters
    ----------
    scope
        Which requests to take.

    Attributes
    ----------
    slas
        By name in the log, the SLAs with a request.
    seen, tenants
        Names of all SLAs with a request of the tenant at any time, as it calls them; and the
        tenants of the period's requests.
    zoo
        Models at the end of the period; None if the log does not say.
    zoo_changes
        Changes of the models in the period.
    judged
        What judges said of the period's responses, and what their calls cost.
    events, latest_at, sha256
        Number of the events of these requests, the latest of their times, and their digest: as
        ``LogDigest`` makes it.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.slas: dict[str, SlaRequests] = {}
        self.seen: set[str] = set()
        self.tenants: set[str] = set()
        self.zoo: Zoo | None = None
        self.zoo_changes: list[Change] = []
        self.judged = JudgedLog(since=scope.since, until=scope.until, tenant=scope.tenant)
        self.events = 0
        self.latest_at: float | None = None
        self._hash = hashlib.sha256()
        self._folds: dict[str, SlaRequests] = {}
        # By decision: its SLA, its request if that is in the period, and its call if it has one.
        self._of: dict[str, tuple[SlaRequests, Request | None, Call | None]] = {}
        self._last_zoo: ZooChange | None = None

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the events of these requests."""
        return self._hash.hexdigest()

    def fold_all(self, log: LogDigest) -> PeriodFold:
        """Fold a log with what it begins with; returns itself."""
        for event in log.beginning:
            self.fold(event)
        for _, event in log:
            self.fold(event)
        return self

    def fold(self, event: Event) -> None:
        """Fold the next event of the log."""
        self.judged.fold(event)
        if isinstance(event, Decision | Recall):
            # A decision that is recalled, or logged again, counts once.
            decision = event.decision if isinstance(event, Recall) else event
            if decision.id not in self._of:
                self._decision(decision, event)
        elif isinstance(event, Outcome | Feedback):
            found = self._of.get(event.decision)
            if found is not None:
                self._of_request(event, *found)
        elif isinstance(event, Judgement):
            found = self._of.get(event.decision)
            if found is not None and found[1] is not None:
                self._record(event)
        elif isinstance(event, SlaChange):
            if event.at < self.scope.until and self._is_own(event.sla.name):
                in_period = event.at >= self.scope.since
                self._fold_of(event.sla.name).change(event, in_period=in_period)
        elif isinstance(event, ZooChange) and event.at < self.scope.until:
            if event.at >= self.scope.since and self._last_zoo is not None:
                self.zoo_changes.append(Change(event.at, event, self._last_zoo))
            self._last_zoo, self.zoo = event, event.zoo
            for fold in self._folds.values():
                fold.period.fold(event)
                fold.whole.fold(event)

    def _is_own(self, sla: str) -> bool:
        """Whether an SLA of this name may be spoken of: not if it is another tenant's."""
        scope = self.scope
        _, separator, owner = sla.partition("@")
        if scope.tenant is not None and separator and owner != scope.tenant:
            return False
        return scope.sla is None or scope.sla in (sla, scope.shown_sla(sla))

    def _fold_of(self, sla: str) -> SlaRequests:
        if sla not in self._folds:
            self._folds[sla] = made = SlaRequests(sla)
            if self._last_zoo is not None:
                made.period.fold(self._last_zoo)
                made.whole.fold(self._last_zoo)
        return self._folds[sla]

    def _decision(self, event: Decision, logged: Decision | Recall) -> None:
        scope = self.scope
        if event.policy == DIRECT:
            return
        if scope.tenant is not None and event.tenant != scope.tenant:
            return
        self.seen.add(scope.shown_sla(event.sla))
        if not self._is_own(event.sla):
            return
        first = self._of.get(event.after)
        if first is None and not event.at < scope.until:
            return
        fold = self._fold_of(event.sla)
        fold.whole.fold(logged)
        request = first[1] if first is not None else None
        if request is not None:
            fold.call(request, event)
        elif first is None and scope.since <= event.at and not event.after:
            fold.decide(event)
            request = fold.requests[event.id]
            self.slas[event.sla] = fold
            self.tenants.add(event.tenant)
        call = None
        if request is not None:
            fold.period.fold(logged)
            self._record(logged)
            call = request.calls[-1] if not event.declined else None
        self._of[event.id] = fold, request, call

    def _of_request(
        self,
        event: Outcome | Feedback,
        fold: SlaRequests,
        request: Request | None,
        call: Call | None,
    ) -> None:
        fold.whole.fold(event)
        if request is None:
            return
        fold.period.fold(event)
        self._record(event)
        if isinstance(event, Feedback):
            request.label(event)
        elif call is not None and event.model not in call.costs:
            # The first outcome of a call counts, as in the router.
            call.costs[event.model] = event.cost
            if event.model == call.model:
                call.ended = True
                call.error, call.estimated = event.error, event.estimated
                call.latency, call.first_token = event.latency, event.first_token
                call.input_tokens, call.output_tokens = event.input_tokens, event.output_tokens
                call.cached_tokens = event.cached_tokens

    def _record(self, event: Event) -> None:
        body = encode_event(event)
        self._hash.update(len(body).to_bytes(8, "big"))
        self._hash.update(body)
        self.events += 1
        self.latest_at = event.at if self.latest_at is None else max(self.latest_at, event.at)
