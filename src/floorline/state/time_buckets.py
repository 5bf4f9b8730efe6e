"""Counts of traffic in buckets of time, by SLA, tenant and model, in bounded memory.

The counts are structs without garbage collection (they are in no cycles): a full collection would
otherwise visit tens of thousands of them while requests wait.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

import msgspec

from floorline.state.ledger import Ledger
from floorline.state.log_histogram import Histogram, merge, quantile

OTHERS = "\0"
"""Stands for all names beyond the bounds. No SLA, tenant or model can have this name, because names
have no control characters."""

MAX_CELLS_PER_BUCKET = 1_000
"""Most cells of one bucket; further SLAs, tenants and models share one. A bucket of an hour with
10 models, 5 SLAs and 20 tenants that use all of them is within the bound."""

Key = tuple[str, str, str]
"""SLA, tenant and model; the SLA is "" where the caller named the model, the model where the
request was declined, the tenant where there is none."""


class Totals(msgspec.Struct, gc=False):
    """Counts and sums of what happened under one key in one bucket, or in several of them.

    Attributes
    ----------
    decisions, fallbacks, declined, explored : int
        Number of decisions; of these, the ones in place of a failed call, those without a model,
        and those that explored.
    expected_cost : float
        Sum of the expected costs of the decisions' models, in the zoo's cost unit.
    calls, errors, refused : int
        Number of ended calls; of these, the ones that failed, and those that the provider refused
        because of the request or that could not be translated for it. A client that left early is
        no error.
    spend : float
        Sum of the real costs of the calls and of labels, in the zoo's cost unit.
    input_tokens, output_tokens, cached_tokens : int
        Tokens of the ended calls.
    labels : int
        Number of labelled responses, at the time of their first label.
    label_sum : float
        Sum of their latest scores.
    sources : dict of str to int
        Number of labelled responses by the origin of their first label, such as ``"user"``.
    latency, ttft : Histogram
        Seconds to the end, and to the first content, of the answers.
    """

    decisions: int = 0
    fallbacks: int = 0
    declined: int = 0
    explored: int = 0
    expected_cost: float = 0.0
    calls: int = 0
    errors: int = 0
    refused: int = 0
    spend: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    labels: int = 0
    label_sum: float = 0.0
    sources: dict[str, int] = {}
    latency: Histogram = {}
    ttft: Histogram = {}

    def add(self, other: Totals) -> None:
        """Add the counts of another key or bucket."""
        self.decisions += other.decisions
        self.fallbacks += other.fallbacks
        self.declined += other.declined
        self.explored += other.explored
        self.expected_cost += other.expected_cost
        self.calls += other.calls
        self.errors += other.errors
        self.refused += other.refused
        self.spend += other.spend
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cached_tokens += other.cached_tokens
        self.labels += other.labels
        self.label_sum += other.label_sum
        for source, labels in other.sources.items():
            self.sources[source] = self.sources.get(source, 0) + labels
        merge(self.latency, other.latency)
        merge(self.ttft, other.ttft)

    @property
    def requests(self) -> int:
        """Number of requests: a fallback belongs to the request that it serves."""
        return self.decisions - self.fallbacks

    @property
    def satisfaction(self) -> float | None:
        """Mean of the labels; None without any."""
        return self.label_sum / self.labels if self.labels else None

    @property
    def cost_per_call(self) -> float | None:
        """Mean real cost of a call; None without any."""
        return self.spend / self.calls if self.calls else None

    @property
    def expected_cost_per_call(self) -> float | None:
        """Mean expected cost of a call; None without any."""
        served = self.decisions - self.declined
        return self.expected_cost / served if served else None

    @property
    def cached_share(self) -> float | None:
        """Share of the input tokens that providers read from their caches; None without any."""
        return self.cached_tokens / self.input_tokens if self.input_tokens else None

    def latency_quantile(self, share: float) -> float | None:
        """Seconds to the end that a share of the answers needs at most; None without any."""
        return quantile(self.latency, share)

    def ttft_quantile(self, share: float) -> float | None:
        """Seconds to the first content that a share of the answers needs at most."""
        return quantile(self.ttft, share)


class LabelSums(msgspec.Struct, gc=False):
    """What the labels of served responses under one SLA add to its certificate.

    Attributes
    ----------
    labels, positive : int
        Number of labels; of these, with a score of ``POSITIVE_LABEL`` or more.
    weight, satisfied, floor_sum : float
        Sum of the labels' weights, and weighted sums of their scores and of their requests' floors.
    """

    labels: int = 0
    positive: int = 0
    weight: float = 0.0
    satisfied: float = 0.0
    floor_sum: float = 0.0

    def add(self, other: LabelSums) -> None:
        """Add the sums of another bucket."""
        self.labels += other.labels
        self.positive += other.positive
        self.weight += other.weight
        self.satisfied += other.satisfied
        self.floor_sum += other.floor_sum


class TimeCounts(msgspec.Struct, gc=False):
    """Requests under one promise of latency.

    Attributes
    ----------
    known, within : int
        Number of requests whose time is known, and of those within the limit.
    unknown : int
        Number of those that ended without a known time.
    """

    known: int = 0
    within: int = 0
    unknown: int = 0


def time_counts_of(ledger: Ledger) -> dict[str, TimeCounts]:
    """Read the counts of each promise of latency of an SLA, by the promise's name."""
    timeliness = ledger.timeliness_
    return {
        promise.name: TimeCounts(*timeliness.counts(promise)[:3]) for promise in timeliness.promises
    }


def label_sums_of(ledger: Ledger) -> LabelSums:
    """Read the sums of an SLA's ledger."""
    sums = LabelSums()
    sums.labels, sums.positive = ledger.labels_, ledger.positive_labels_
    sums.weight, sums.satisfied = ledger.label_weight_, ledger.satisfied_
    sums.floor_sum = ledger.floor_sum_
    return sums


class Bucket:
    """What happened in one span of time.

    Attributes
    ----------
    start : float
        Time of its beginning in seconds.
    cells : dict of Key to Totals
        Counts by SLA, tenant and model.
    promises : dict of str to LabelSums
        What labels added to the certificates, by SLA.
    latency : dict of (str, str) to TimeCounts
        What ended calls added to the certificates of latency, by SLA and name of the promise.
    version : int
        Number of changes; what was computed from the bucket holds until it rises.
    """

    __slots__ = ("cells", "latency", "promises", "start", "version")

    def __init__(self, start: float) -> None:
        self.start = start
        self.cells: dict[Key, Totals] = {}
        self.promises: dict[str, LabelSums] = {}
        self.latency: dict[tuple[str, str], TimeCounts] = {}
        self.version = 0

    def add_to(
        self, found: dict[str, Totals], sla: str | None = None, tenant: str | None = None
    ) -> dict[str, Totals]:
        """Add the counts of one SLA or tenant, or of all, to sums by model, and return these."""
        for (of_sla, of_tenant, model), cell in self.cells.items():
            if (sla is None or sla == of_sla) and (tenant is None or tenant == of_tenant):
                sums = found.get(model)
                if sums is None:
                    sums = found[model] = Totals()
                sums.add(cell)
        return found


class BucketLevel:
    """The latest buckets of one length.

    Parameters
    ----------
    step
        Length of a bucket in seconds; buckets begin at its multiples.
    most
        Most buckets that are kept; the oldest ones are dropped.
    most_cells
        Most cells of all buckets together; the oldest buckets are dropped.

    Attributes
    ----------
    cells : int
        Number of cells of all kept buckets.
    dropped : int
        Number of buckets that were dropped so far.
    """

    def __init__(self, step: float, most: int, most_cells: int) -> None:
        self.step = step
        self.most = most
        self.most_cells = most_cells
        self.cells = 0
        self.dropped = 0
        self._buckets: dict[float, Bucket] = {}
        self._starts: list[float] = []
        self._last: Bucket | None = None

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Bucket]:
        """Iterate over the buckets in the order of time."""
        return (self._buckets[start] for start in self._starts)

    def get(self, start: float) -> Bucket | None:
        """Return the bucket that begins at a time; None if nothing happened in it."""
        return self._buckets.get(start)

    def between(self, start: float, end: float) -> Iterator[Bucket]:
        """Iterate over the buckets that begin from ``start`` on and before ``end``."""
        first, last = bisect_left(self._starts, start), bisect_left(self._starts, end)
        return (self._buckets[at] for at in self._starts[first:last])

    def at(self, at: float) -> Bucket | None:
        """Return the bucket of a time, a new one if needed; None if it is too long ago."""
        start = at // self.step * self.step
        last = self._last
        if last is not None and last.start == start:
            return last
        bucket = self._buckets.get(start)
        if bucket is None:
            if len(self._starts) >= self.most:
                if start < self._starts[0]:
                    return None
                self._drop_oldest()
            bucket = self._buckets[start] = Bucket(start)
            insort(self._starts, start)
        self._last = bucket
        return bucket

    def cell(self, bucket: Bucket, key: Key) -> Totals:
        """Return the counts of a key in a bucket, those of the others if it has too many."""
        cell = bucket.cells.get(key)
        if cell is not None:
            return cell
        if len(bucket.cells) >= MAX_CELLS_PER_BUCKET:
            key = (OTHERS, OTHERS, OTHERS)
            cell = bucket.cells.get(key)
            if cell is not None:
                return cell
        cell = bucket.cells[key] = Totals()
        self.cells += 1
        while self.cells > self.most_cells and self._starts[0] != bucket.start:
            self._drop_oldest()
        return cell

    def _drop_oldest(self) -> None:
        oldest = self._buckets.pop(self._starts.pop(0))
        self.cells -= len(oldest.cells)
        self.dropped += 1
        if self._last is oldest:
            self._last = None
