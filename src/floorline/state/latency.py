"""How long each model's calls take: its latest ones, of which no sender has the majority."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.events import Decision, Outcome
from floorline.sla import LatencyPromise
from floorline.state.elapsed import Elapsed, call_times, says_nothing_of_model

LATENCY_WINDOW = 200
"""Latest calls of a model that its latencies are taken of. The standard error of a share of 5 % is
then 1.5 %, and a model that becomes slow is noticed after 10 calls at p95, and 101 at the median.
It is the decay: a call counts in full and then not at all, in calls and not in hours, because load
changes within minutes on a busy model and its next calls show that first."""

_OWN_CALLS = 50
"""Calls of one sender that are kept even if all others together have fewer: half of the window of
a model that one sender alone calls would be thrown away by another's first call otherwise."""

MAX_AGE_SECONDS = 6 * 3600.0
"""Age at which calls are forgotten: a model that its latency has priced out gets no calls that
could show that it is fast again, and is tried anew after this time."""
_PURGE_SECONDS = 600.0
"""Time between two looks for old calls."""

PROMPT_TOKENS = (1_000, 8_000, 64_000)
"""Bounds of the buckets of prompt lengths, in tokens. The time to the first content grows with the
prompt; from one bucket's middle to the next it is up to eight times as long."""
BUCKETS = len(PROMPT_TOKENS) + 1

_PRIOR_CALLS = 1.0
"""Calls in time that every model is worth a priori: no model costs anything until it was late, and
one late call of the first ones counts half."""
_MODEL_CALLS = 5.0
"""Calls that a model's share over all lengths is worth in each bucket of lengths."""

Floats = NDArray[np.float64]
Call = tuple[str, int, float | None, float | None, float]
"""Sender, bucket, seconds to the end and to the first content (None where not known, infinity where
they never came, and −t where the client left after t without them), and time of the outcome."""


def latency_bucket(input_tokens: int) -> int:
    """Number of the bucket that a prompt of this length belongs to.

    Examples
    --------
    >>> [latency_bucket(tokens) for tokens in (0, 999, 1_000, 100_000)]
    [0, 0, 1, 3]
    """
    return bisect_right(PROMPT_TOKENS, input_tokens)


class LatencyWindows(Stateful):
    """The latest calls of each model, with the senders of their requests.

    A latency that a client reports may be wrong. A full window drops the oldest call of the sender
    that has most of them. So senders have equal shares, as far as they have as many calls, and one
    that floods a model displaces its own only. Once others have ``_OWN_CALLS`` calls it has at most
    half of all: that is by how much it can move the share of late calls, and its highest values
    move the (lower) median no further than to the highest one of the others.

    For the promises that are watched, the late calls of a window are counted as it changes. Their
    share of a model is shrunk to 0, and that of a bucket of prompt lengths to the model's.

    Attributes
    ----------
    latest_ : dict of str to list of Call
        By model name, oldest first.
    purge_at_ : float
        Time in seconds at which old calls are looked for next.

    Examples
    --------
    >>> windows = LatencyWindows()
    >>> for number in range(300):
    ...     windows.add("large", f"tenant {number % 3}", 0, 1.0 + number % 3)
    ...     windows.add("large", "flood", 0, 1e6)
    >>> windows.median("large")
    2.0
    >>> promise = LatencyPromise("latency", "p95", 0.95, 5.0)
    >>> windows.watch([promise])
    >>> windows.late_shares(promise, 0, ("large", "new")).round(2).tolist()
    [0.25, 0.0]
    """

    def __init__(self) -> None:
        self.latest_: dict[str, list[Call]] = {}
        self.purge_at_ = -math.inf
        # Medians that are asked for, until the next call; numbers of calls by model and sender.
        self._medians: dict[str, float] = {}
        self._senders: dict[str, Counter[str]] = {}
        # By promise and model: known and late calls in each bucket.
        self._counts: dict[LatencyPromise, dict[str, list[list[int]]]] = {}
        # By promise: the names and the (BUCKETS, M) shares of late calls.
        self._shares: dict[LatencyPromise, tuple[tuple[str, ...], Floats]] = {}

    def watch(self, promises: Iterable[LatencyPromise]) -> None:
        """Count the late calls of these promises, and of no others, from now on."""
        kept = {promise: self._counts.get(promise) for promise in promises}
        self._counts = {p: self._count(p) if known is None else known for p, known in kept.items()}
        self._shares = {p: shares for p, shares in self._shares.items() if p in kept}

    def observe(self, decision: Decision, outcome: Outcome, sender: str) -> None:
        """Take what an outcome says of its model's latencies."""
        if says_nothing_of_model(outcome):
            return
        times = call_times(outcome, decision.at)
        total, first = _value(times.latency), _value(times.ttft)
        if total is not None or first is not None:
            bucket = latency_bucket(decision.input_tokens)
            self.add(outcome.model, sender, bucket, total, first, outcome.at)

    def add(
        self,
        model: str,
        sender: str,
        bucket: int,
        total: float | None,
        first: float | None = None,
        at: float = 0.0,
    ) -> None:
        """Take one call; its seconds are as in ``Call``."""
        if at >= self.purge_at_:
            self._purge(at)
        latest, senders = self._of(model)
        call = (sender, bucket, total, first, at)
        latest.append(call)
        senders[sender] += 1
        self._medians.pop(model, None)
        self._change(model, call, 1)
        own = senders[sender]
        if len(senders) > 1 and own > max(_OWN_CALLS, len(latest) - own):
            oldest = next(n for n, call in enumerate(latest) if call[0] == sender)
            self._drop(model, latest.pop(oldest))
        elif len(latest) > LATENCY_WINDOW:
            most = max(senders.values())
            oldest = next(n for n, call in enumerate(latest) if senders[call[0]] == most)
            self._drop(model, latest.pop(oldest))
        self._refresh(model)

    def median(self, model: str) -> float:
        """Median latency of a model's answers in seconds; 0 until one is measured."""
        found = self._medians.get(model)
        if found is None:
            totals = (total for _, _, total, _, _ in self.latest_.get(model, ()))
            values = sorted(t for t in totals if t is not None and 0.0 <= t < math.inf)
            found = values[(len(values) - 1) // 2] if values else 0.0
            self._medians[model] = found
        return found

    def late_shares(self, promise: LatencyPromise, bucket: int, models: tuple[str, ...]) -> Floats:
        """(M,) shares of late calls, 0 to 1, of these models for prompts of a bucket; read-only."""
        names, shares = self._shares.get(promise, ((), None))
        if shares is None or (names is not models and names != models):
            shares = np.array([self._shrunk(promise, name) for name in models]).T.copy()
            self._shares[promise] = models, shares
        return np.asarray(shares[bucket])

    def restore(self, state: dict[str, object]) -> None:
        """Take over a state made by ``snapshot``; what is watched is counted anew."""
        super().restore(state)
        latest = self.latest_.items()
        self.latest_ = {model: [_call(*call) for call in calls] for model, calls in latest}
        self._medians, self._senders, self._shares = {}, {}, {}
        self._counts = {promise: self._count(promise) for promise in self._counts}

    def _of(self, model: str) -> tuple[list[Call], Counter[str]]:
        latest, senders = self.latest_.get(model), self._senders.get(model)
        if latest is None:
            latest = self.latest_[model] = []
        if senders is None:
            senders = self._senders[model] = Counter(call[0] for call in latest)
        return latest, senders

    def _drop(self, model: str, call: Call) -> None:
        """Count that a call has left the window of a model."""
        senders = self._senders[model]
        senders[call[0]] -= 1
        if not senders[call[0]]:
            del senders[call[0]]
        self._change(model, call, -1)

    def _purge(self, at: float) -> None:
        """Forget the calls that are too old."""
        self.purge_at_ = at + _PURGE_SECONDS
        for model in list(self.latest_):
            latest, _ = self._of(model)
            old = [call for call in latest if at - call[4] > MAX_AGE_SECONDS]
            if old:
                self.latest_[model] = [c for c in latest if at - c[4] <= MAX_AGE_SECONDS]
                for call in old:
                    self._drop(model, call)
                self._medians.pop(model, None)
                self._refresh(model)

    def _count(self, promise: LatencyPromise) -> dict[str, list[list[int]]]:
        counts: dict[str, list[list[int]]] = {}
        for model, calls in self.latest_.items():
            for call in calls:
                _add(counts, promise, model, call, 1)
        return counts

    def _change(self, model: str, call: Call, by: int) -> None:
        for promise, counts in self._counts.items():
            _add(counts, promise, model, call, by)

    def _refresh(self, model: str) -> None:
        for promise, (names, shares) in self._shares.items():
            if model in names:
                shares[:, names.index(model)] = self._shrunk(promise, model)

    def _shrunk(self, promise: LatencyPromise, model: str) -> list[float]:
        """Share of late calls by bucket, shrunk to the model's, and that to 0."""
        counts = self._counts[promise].get(model)
        if counts is None:
            return [0.0] * BUCKETS
        calls = sum(known for known, _ in counts)
        late = sum(late for _, late in counts)
        whole = late / (calls + _PRIOR_CALLS)
        return [(late + _MODEL_CALLS * whole) / (known + _MODEL_CALLS) for known, late in counts]


def is_late(seconds: float | None, limit: float) -> bool | None:
    """Whether a time of a ``Call`` is beyond a limit; None where that is not known."""
    if seconds is None:
        return None
    if seconds < 0.0:
        return True if -seconds > limit else None
    return seconds > limit


def _add(
    counts: dict[str, list[list[int]]], promise: LatencyPromise, model: str, call: Call, by: int
) -> None:
    late = is_late(call[3] if promise.measure == "ttft" else call[2], promise.limit)
    if late is not None:
        buckets = counts.get(model)
        if buckets is None:
            buckets = counts[model] = [[0, 0] for _ in range(BUCKETS)]
        buckets[call[1]][0] += by
        buckets[call[1]][1] += by * late


def _value(time: Elapsed | None) -> float | None:
    """Seconds of a ``Call``: an answer in one piece has its first content at its end."""
    if time is None:
        return None
    if time.upper < math.inf:
        return time.upper
    return math.inf if time.lower == math.inf else (-time.lower or None)


def _call(sender: str, bucket: int, total: float | None, first: float | None, at: float) -> Call:
    return sender, bucket, total, first, at
