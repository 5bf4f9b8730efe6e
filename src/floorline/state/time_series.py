"""What a log says over time: a bounded fold of events into minutes and hours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from floorline.events import (
    DISCONNECTED,
    NOT_CALLED,
    REFUSED,
    UNREPORTED,
    UNTRANSLATED,
    Decision,
    Event,
    Feedback,
    Outcome,
    Recall,
    SlaChange,
)
from floorline.sla import SLA, LatencyPromise
from floorline.state.elapsed import call_times
from floorline.state.fold import MAX_KEYS
from floorline.state.known_decisions import DecisionMemory, KnownDecision
from floorline.state.ledger import POSITIVE_LABEL
from floorline.state.log_histogram import add_to_bucket, bucket_of
from floorline.state.time_buckets import (
    OTHERS,
    Bucket,
    BucketLevel,
    Key,
    LabelSums,
    TimeCounts,
    Totals,
)

MINUTE, HOUR = 60.0, 3600.0
"""Lengths of the buckets in seconds."""
MINUTES_KEPT, HOURS_KEPT = 24 * 60, 30 * 24
"""Buckets that are kept: a day by the minute, 30 days by the hour."""
MAX_CELLS = 40_000
"""Most cells of each level. A cell takes about 0.9 kB, so both levels take at most 75 MB. With 25
combinations of SLA, tenant and model in every minute and 50 in every hour, they reach back to
their beginning; with more they reach less far."""
MAX_NAMES = 200
"""Most SLAs, tenants and models, each, that are counted apart; the others share ``OTHERS``."""
MAX_SOURCES = 16
"""Most origins of labels that are counted apart; clients may name any, and three are usual."""
_NO_ERRORS = (NOT_CALLED, DISCONNECTED, UNREPORTED)
"""Errors in outcomes that say nothing bad of a model or its provider."""
_NEITHER = (REFUSED, UNTRANSLATED)
"""Beginnings of errors that lie in the request itself."""


class _Cells(NamedTuple):
    """Where the events of one key and one minute count."""

    buckets: list[Bucket]
    cells: list[Totals]


class TimeSeries:
    """Traffic, spending, labels and latencies by the minute for a day and by the hour for 30 days.

    Folds the events of a log in its order, and counts as the router's own fold does: the first
    outcome of a call counts, the latest score of a response counts at the time of its first label,
    a call in place of a failed one is no further request. Events about decisions that are not
    remembered change nothing.

    Memory is bounded: by the numbers of buckets, of names (``MAX_NAMES``) and of combinations of
    them (``MAX_CELLS``), and of remembered decisions.

    Parameters
    ----------
    memory
        Number of latest decisions that outcomes and feedback are counted for, as that of the
        router.
    slas
        SLAs at the beginning of the events, whose promises of latency are counted.

    Attributes
    ----------
    minutes, hours : BucketLevel
        The buckets.
    labels : dict of str to LabelSums
        Sums of all labels so far, by SLA.
    latency : dict of (str, str) to TimeCounts
        Counts of all requests so far, by SLA and name of a promise of latency that holds now.
    events : int
        Number of folded events.

    Examples
    --------
    >>> from floorline import SLA, Model, Router, Zoo
    >>> zoo = Zoo([Model("small", call_price=1.0), Model("large", call_price=9.0)])
    >>> router, series = Router(zoo, slas=[SLA("gold", floor=0.9)], seed=1), TimeSeries()
    >>> made = router.route("Explain CRDTs", at=1000.0)
    >>> _ = router.outcome(made.id, cost=1.0, latency=0.8, at=1001.0)
    >>> _ = router.feedback(made.id, satisfied=True, at=1030.0)
    >>> for event in router.log.read():
    ...     series.fold(event)
    >>> [(bucket.start, sorted(bucket.add_to({}, "gold"))) for bucket in series.minutes] == [
    ...     (960.0, [made.model]), (1020.0, [made.model])]
    True
    >>> (minute,) = series.hours.get(0.0).add_to({}, "gold").values()
    >>> minute.requests, minute.spend, minute.satisfaction
    (1, 1.0, 1.0)
    """

    def __init__(self, memory: int = 50_000, slas: Iterable[SLA] = ()) -> None:
        self.minutes = BucketLevel(MINUTE, MINUTES_KEPT, MAX_CELLS)
        self.hours = BucketLevel(HOUR, HOURS_KEPT, MAX_CELLS)
        self.labels: dict[str, LabelSums] = {}
        self.latency: dict[tuple[str, str], TimeCounts] = {}
        self.events = 0
        self._promises = {sla.name: sla.latency_promises for sla in slas}
        self._known = DecisionMemory(memory)
        self._sources: set[str] = set()
        self._names: tuple[set[str], set[str], set[str]] = (set(), set(), set())
        # Number of the minute of the last event, and where the events of that minute count, by key.
        self._minute = math.nan
        self._present: dict[Key, _Cells] = {}
        # Number of dropped hours when names were last released: before another one is dropped, no
        # further name can be.
        self._released_at = 0
        self._seq = 0
        # Number of the last decision before an SLA was removed; earlier ones belong to none now.
        self._removed: dict[str, int] = {}

    @property
    def slas(self) -> set[str]:
        """Names of the SLAs that have decisions in the kept time; "" for direct calls."""
        return set(self._names[0])

    @property
    def tenants(self) -> set[str]:
        """Names of the tenants that have decisions in the kept time; "" for none."""
        return set(self._names[1])

    @property
    def models(self) -> set[str]:
        """Names of the models that have decisions in the kept time; "" for declined requests."""
        return set(self._names[2])

    def counts_apart(self, sla: str) -> bool:
        """Whether what comes under an SLA is counted under its name, and not with the others."""
        return sla in self._names[0] or len(self._names[0]) < MAX_NAMES

    def begin_promises(
        self, sla: str, labels: LabelSums, latency: Mapping[str, TimeCounts]
    ) -> None:
        """Set the sums so far of an SLA, which also count events that were not folded.

        Parameters
        ----------
        sla
            Name of the SLA.
        labels
            Sums of all its labels.
        latency
            Counts of all its requests by the name of each of its promises of latency.
        """
        if labels.labels:
            self.labels[sla] = labels
        for promise, counts in latency.items():
            if counts.known or counts.unknown:
                self.latency[sla, promise] = counts

    def fold(self, event: Event) -> None:
        """Fold the next event of the log."""
        self.events += 1
        kind = type(event)
        if kind is Decision:
            self._decision(event)  # type: ignore[arg-type]
        elif kind is Outcome:
            self._outcome(event)  # type: ignore[arg-type]
        elif kind is Feedback:
            self._feedback(event)  # type: ignore[arg-type]
        elif kind is Recall:
            self._recall(event)  # type: ignore[arg-type]
        elif kind is SlaChange:
            self._sla(event)  # type: ignore[arg-type]

    def _decision(self, event: Decision) -> None:
        if event.id in self._known:
            return
        self._seq = max(self._seq, event.seq)
        before = self._known.find(event.after) if event.after else None
        self._known.add(event.id, KnownDecision.of(event, event.called, before))
        if before is not None and before.failed and event.index >= 0 and before.sla == event.sla:
            # The request did not fail in the end: another call is made.
            for name in before.failed[0]:
                self._count_time(event.sla, name, before.failed[1], -1, 0, 0)
            before.failed = None
        for cell in self._cells(event.at, event.sla, event.tenant, event.model):
            cell.decisions += 1
            if event.after:
                cell.fallbacks += 1
            if event.index < 0:
                cell.declined += 1
            else:
                cell.expected_cost += float(event.cost_estimates[event.index])
                cell.explored += event.explored

    def _outcome(self, event: Outcome) -> None:
        known = self._known.find(event.decision)
        if known is None or event.model not in known.open:
            return
        self._known.end_call(event.decision, event.model)
        promises = self._promises.get(known.sla, ())
        if promises and event.model == known.model and not self._is_removed(known):
            self._count_times(known, event, promises)
        if event.error == NOT_CALLED:
            return
        error = event.error
        refused = error is not None and error.startswith(_NEITHER)
        failed = error is not None and not refused and error not in _NO_ERRORS
        total = first = None
        if event.latency is not None and error is None:
            total = first = bucket_of(event.latency)
            # An answer in one piece has its first content at its end.
            if event.first_token is not None:
                first = bucket_of(event.first_token)
        for cell in self._cells(event.at, known.sla, known.tenant, event.model):
            cell.calls += 1
            cell.spend += event.cost
            cell.errors += failed
            cell.refused += refused
            cell.input_tokens += event.input_tokens or 0
            cell.output_tokens += event.output_tokens or 0
            cell.cached_tokens += event.cached_tokens or 0
            if total is not None and first is not None:
                add_to_bucket(cell.latency, total)
                add_to_bucket(cell.ttft, first)

    def _feedback(self, event: Feedback) -> None:
        known = self._known.find(event.decision)
        if known is None:
            return
        if event.key:
            if known.keys is None:
                known.keys = []
            elif event.key in known.keys:
                return
            known.keys.append(event.key)
            del known.keys[:-MAX_KEYS]
        if self._is_removed(known):
            return
        model, score = event.model, float(event.score)
        if known.labels is None:
            known.labels = {}
        before = known.labels.get(model)
        if before is not None and before[0] == score:
            return
        first, weight = (event.at, event.weight) if before is None else (before[2], before[1])
        known.labels[model] = score, weight, first
        change = score if before is None else score - before[0]
        source = self._source(event.source)
        for cell in self._cells(first, known.sla, known.tenant, model):
            cell.label_sum += change
            if before is None:
                cell.labels += 1
                cell.sources[source] = cell.sources.get(source, 0) + 1
        if event.cost:
            for cell in self._cells(event.at, known.sla, known.tenant, model):
                cell.spend += event.cost
        if model == known.model and known.sla:
            self._count_label(known, score, before, weight, first)

    def _source(self, name: str) -> str:
        """Return the name under which labels of an origin are counted."""
        if name not in self._sources:
            if len(self._sources) >= MAX_SOURCES:
                return OTHERS
            self._sources.add(name)
        return name

    def _count_label(
        self,
        known: KnownDecision,
        score: float,
        before: tuple[float, float, float] | None,
        weight: float,
        first: float,
    ) -> None:
        """Add the label of a served response to what its SLA's certificate counts."""
        sla = self._name(0, known.sla)
        if sla == OTHERS:
            return
        previous = None if before is None else before[0]
        positive = (score >= POSITIVE_LABEL) - (previous is not None and previous >= POSITIVE_LABEL)
        buckets = (self.minutes.at(first), self.hours.at(first))
        promises = [bucket.promises for bucket in buckets if bucket is not None]
        for sums in (self.labels, *promises):
            sum_ = sums.get(sla)
            if sum_ is None:
                sum_ = sums[sla] = LabelSums()
            sum_.positive += positive
            if previous is None:
                sum_.labels += 1
                sum_.weight += weight
                sum_.satisfied += weight * score
                sum_.floor_sum += weight * known.floor
            else:
                sum_.satisfied += weight * (score - previous)

    def _recall(self, event: Recall) -> None:
        made = event.decision
        if made.id in self._known:
            return
        known = KnownDecision.of(made, ())
        known.keys = list(event.keys) or None
        # The time of its first label is not known any more, and long ago: a correction counts for
        # the time of the decision.
        known.labels = {
            model: (score, event.weights.get(model, (1.0, 1.0))[0], made.at)
            for model, score in event.scores.items()
        }
        self._known.add(made.id, known)

    def _count_times(
        self, known: KnownDecision, event: Outcome, promises: Sequence[LatencyPromise]
    ) -> None:
        """Count the end of a served model's call, as ``Timeliness.ended`` does."""
        times, late = call_times(event, known.at), []
        waited = max(0.0, known.at - known.began)
        for promise in promises:
            time = times.ttft if promise.measure == "ttft" else times.latency
            if time is None:
                continue
            within = time.plus(waited).is_within(promise.limit)
            if within is None:
                self._count_time(known.sla, promise.name, event.at, 0, 0, 1)
                continue
            self._count_time(known.sla, promise.name, event.at, 1, int(within), 0)
            if not within:
                late.append(promise.name)
        if late and times.failed:
            known.failed = late, event.at

    def _count_time(
        self, sla: str, promise: str, at: float, known: int, within: int, unknown: int
    ) -> None:
        """Add to the counts of a promise of latency at a time, and to all so far."""
        holds = any(one.name == promise for one in self._promises.get(sla, ()))
        if not holds or self._name(0, sla) == OTHERS:
            return
        buckets = (self.minutes.at(at), self.hours.at(at))
        latency = [bucket.latency for bucket in buckets if bucket is not None]
        for by_promise in (self.latency, *latency):
            counts = by_promise.get((sla, promise))
            if counts is None:
                counts = by_promise[sla, promise] = TimeCounts()
            counts.known += known
            counts.within += within
            counts.unknown += unknown

    def _is_removed(self, known: KnownDecision) -> bool:
        """Whether a decision belongs to an SLA that was removed since."""
        return known.seq <= self._removed.get(known.sla, 0)

    def _sla(self, event: SlaChange) -> None:
        """Take over the promises of an SLA, and forget what was counted of those that ended."""
        name = event.sla.name
        promises = () if event.removed else event.sla.latency_promises
        kept = {promise.name for promise in promises}
        self._promises[name] = promises
        buckets = [bucket for level in (self.minutes, self.hours) for bucket in level]
        for by_promise in (self.latency, *(bucket.latency for bucket in buckets)):
            for key in [key for key in by_promise if key[0] == name and key[1] not in kept]:
                del by_promise[key]
        if event.removed:
            del self._promises[name]
            self._removed[name] = self._seq
            for by_sla in (self.labels, *(bucket.promises for bucket in buckets)):
                by_sla.pop(name, None)

    def _cells(self, at: float, sla: str, tenant: str, model: str) -> Sequence[Totals]:
        """Return the counts of a key in the minute and in the hour of a time."""
        key = sla, tenant, model
        minute = at // MINUTE
        if minute != self._minute:
            # Nearly all events are of the minute of the one before them.
            self._minute, self._present = minute, {}
        present = self._present.get(key)
        if present is None:
            present = self._present[key] = self._find_cells(at, key)
        for bucket in present.buckets:
            bucket.version += 1
        return present.cells

    def _find_cells(self, at: float, key: Key) -> _Cells:
        """Find the buckets of a time and the counts of a key in them."""
        counted = self._name(0, key[0]), self._name(1, key[1]), self._name(2, key[2])
        found = [(level, level.at(at)) for level in (self.minutes, self.hours)]
        kept = [(level, bucket) for level, bucket in found if bucket is not None]
        cells = [level.cell(bucket, counted) for level, bucket in kept]
        return _Cells([bucket for _, bucket in kept], cells)

    def _name(self, dimension: int, name: str) -> str:
        """Return the name under which one of the key's parts is counted."""
        names = self._names[dimension]
        if name in names:
            return name
        if len(names) >= MAX_NAMES and self.hours.dropped != self._released_at:
            self._release_names()
        if len(names) >= MAX_NAMES:
            return OTHERS
        names.add(name)
        return name

    def _release_names(self) -> None:
        """Make room for new names in place of those that no kept bucket has."""
        self._released_at = self.hours.dropped
        for names in self._names:
            names.clear()
        for level in (self.minutes, self.hours):
            for bucket in level:
                for key in bucket.cells:
                    for names, name in zip(self._names, key, strict=True):
                        names.add(name)
        for names in self._names:
            names.discard(OTHERS)
