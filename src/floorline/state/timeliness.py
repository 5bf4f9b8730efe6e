"""Requests within the promised limits of an SLA, and the prices of late ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from floorline.core.snapshots import Stateful
from floorline.guarantees.guard import guard_surplus
from floorline.sla import SLA, LatencyPromise
from floorline.state.elapsed import CallTimes
from floorline.state.latency_price import LatencyPrice

_MAX_FAILED = 10_000
"""Failed calls that are remembered, in case another model is called in their place: the gateway
does so within the same request."""
_PROOF_REQUESTS = 50
"""Requests between two computations of the surplus that proves a promise, which take 60 µs."""
_KNOWN, _WITHIN, _UNKNOWN = range(3)


class PromiseCounts(NamedTuple):
    """Requests under one promise.

    Attributes
    ----------
    known, within
        Number of requests whose time is known well enough to say, and of those within the limit.
    unknown
        Number of those that ended without saying: the client left or did not report.
    models
        By model name: its known calls, and those within the limit.
    """

    known: int
    within: int
    unknown: int
    models: Mapping[str, Sequence[int]]


class Timeliness(Stateful):
    """Requests within the limits of one SLA's promises of latency, and the promises' prices.

    A client waits from its request's first decision on: where a call fails and another model serves
    in its place, the time of the failed call counts too, and both are one request. A promise with
    another quantile or limit is another promise, which starts at zero.

    Attributes
    ----------
    counts_ : dict of str to list of int
        By name of the promise: known requests, those within the limit, and unknown ones.
    models_ : dict of str to dict of str to list of int
        By name of the promise and model: known calls and those within the limit.
    prices_ : dict of str to LatencyPrice
        Dual variable by name of the promise.
    proofs_ : dict of str to list of float
        By name of the promise of a guarded SLA: surplus that proves it, and requests by then.
    failed_ : dict of str to list of str
        By id of a decision whose call failed: promises that count it as late. Latest last.

    Examples
    --------
    >>> sla = SLA("fast", floor=0.9, latency={"p95": 2.0})
    >>> timeliness = Timeliness(sla)
    >>> timeliness.counts(timeliness.promises[0]).known
    0
    """

    def __init__(self, sla: SLA | None = None) -> None:
        # Parts of the SLA, which is state of its own.
        self._promises: tuple[LatencyPromise, ...] = ()
        self._guarded = False
        self._confidence = 0.95
        self.counts_: dict[str, list[int]] = {}
        self.models_: dict[str, dict[str, list[int]]] = {}
        self.prices_: dict[str, LatencyPrice] = {}
        self.proofs_: dict[str, list[float]] = {}
        self.failed_: dict[str, list[str]] = {}
        if sla is not None:
            self.set_sla(sla)

    @property
    def promises(self) -> tuple[LatencyPromise, ...]:
        """Promises of the SLA."""
        return self._promises

    def set_sla(self, sla: SLA) -> None:
        """Take over the promises of an SLA; those that stay keep their counts and prices."""
        self._promises = sla.latency_promises
        self._guarded, self._confidence = sla.guarded, sla.confidence
        names = [promise.name for promise in self._promises]
        self.counts_ = {name: self.counts_.get(name, [0, 0, 0]) for name in names}
        self.models_ = {name: self.models_.get(name, {}) for name in names}
        self.prices_ = {name: self.prices_.get(name) or LatencyPrice() for name in names}
        self.proofs_ = {n: self.proofs_.get(n, [0.0, 0.0]) for n in names if sla.guarded}
        # One that comes back later starts at zero, and has nothing to take back.
        late = {id: [n for n in of if n in names] for id, of in self.failed_.items()}
        self.failed_ = {id: of for id, of in late.items() if of}

    def keep_models(self, names: Sequence[str]) -> None:
        """Forget the calls of models that left: one that comes back may be another."""
        for promise, models in self.models_.items():
            self.models_[promise] = {n: counts for n, counts in models.items() if n in names}

    def counts(self, promise: LatencyPromise) -> PromiseCounts:
        """Counts of one of the SLA's promises."""
        known, within, unknown = self.counts_[promise.name]
        return PromiseCounts(known, within, unknown, self.models_[promise.name])

    def replace(self, failed: str) -> None:
        """Take back a request that was counted as late because its call failed: another is made."""
        for name in self.failed_.pop(failed, ()):
            self.counts_[name][_KNOWN] -= 1

    def served(self, late: Mapping[str, float], open_late: Mapping[str, float]) -> None:
        """Move the prices after a decision.

        Parameters
        ----------
        late
            Probability that the served model is late, by name of the promise.
        open_late
            Surplus that is expected of the calls without an outcome, by name of the promise.
        """
        for promise in self._promises:
            name = promise.name
            surplus = self.surplus(promise) + open_late[name]
            self.prices_[name].served(promise, late[name], surplus, self._proof(promise))

    def ended(self, decision: str, model: str | None, times: CallTimes, waited: float) -> None:
        """Count the end of the served model's call.

        Parameters
        ----------
        decision, model
            Id of the decision and name of the model that served it; None if it left the zoo.
        times
            How long the call took.
        waited
            Seconds from the request's first decision to this one.
        """
        late: list[str] = []
        for promise in self._promises:
            time = times.ttft if promise.measure == "ttft" else times.latency
            if time is None:
                continue
            counts = self.counts_[promise.name]
            within = time.plus(waited).is_within(promise.limit)
            if within is None:
                counts[_UNKNOWN] += 1
                continue
            counts[_KNOWN] += 1
            counts[_WITHIN] += within
            if not within:
                late.append(promise.name)
            own = time.is_within(promise.limit)
            if own is not None and model is not None:
                calls = self.models_[promise.name].setdefault(model, [0, 0])
                calls[_KNOWN] += 1
                calls[_WITHIN] += own
        if late and times.failed:
            self.failed_[decision] = late
            if len(self.failed_) > _MAX_FAILED:
                del self.failed_[next(iter(self.failed_))]

    def surplus(self, promise: LatencyPromise) -> float:
        """Σ (late requests that are tolerated − late ones) of the known requests."""
        known, within, _ = self.counts_[promise.name]
        return within - promise.share * known

    def _proof(self, promise: LatencyPromise) -> float:
        """Surplus that proves the promise of a guarded SLA; 0 for others."""
        if not self._guarded:
            return 0.0
        found = self.proofs_[promise.name]
        known = self.counts_[promise.name][_KNOWN]
        if known >= found[1] + _PROOF_REQUESTS:
            surplus = guard_surplus(promise.share, known, confidence=self._confidence)
            self.proofs_[promise.name] = found = [surplus, float(known)]
        return found[0] * known / found[1] if found[1] else 0.0
