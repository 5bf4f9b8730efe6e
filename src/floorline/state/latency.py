"""Median latency of each model over its latest calls, of which no sender has the majority."""

from __future__ import annotations

from collections import Counter

from floorline.core.snapshots import Stateful

LATENCY_WINDOW = 100
"""Latest latencies of a model that its median is taken of: its standard error is an eighth of the
calls' standard deviation, and a model that becomes slow is noticed after 51 calls."""


class LatencyWindows(Stateful):
    """The latest latencies of each model, with the senders of their requests.

    A latency that a client reports may be wrong, so models are compared by their median. A full
    window drops the oldest latency of the sender that has most of them. So senders have equal
    shares, as far as they have as many calls, and one that floods a model displaces its own only.
    Among others it has at most half of the window, so that its highest values move the (lower)
    median no further than to the highest one of the others.

    Attributes
    ----------
    latest_ : dict of str to list of (str, float)
        By model name: sender and seconds, oldest first.

    Examples
    --------
    >>> windows = LatencyWindows()
    >>> for number in range(300):
    ...     windows.observe("large", f"tenant {number % 3}", 1.0 + number % 3)
    ...     windows.observe("large", "flood", 1e6)
    >>> windows.median("large")
    2.0
    """

    def __init__(self) -> None:
        self.latest_: dict[str, list[tuple[str, float]]] = {}
        # Medians that are asked for, until the next latency; latencies by model and sender.
        self._medians: dict[str, float] = {}
        self._counts: dict[str, Counter[str]] = {}

    def observe(self, model: str, sender: str, seconds: float) -> None:
        """Take the latency of a call."""
        latest, counts = self._of(model)
        latest.append((sender, seconds))
        counts[sender] += 1
        self._medians.pop(model, None)
        if len(latest) > LATENCY_WINDOW:
            oldest = 0
            if len(counts) > 1:
                most = max(counts.values())
                oldest = next(n for n, (name, _) in enumerate(latest) if counts[name] == most)
            name, _ = latest.pop(oldest)
            counts[name] -= 1
            if not counts[name]:
                del counts[name]

    def median(self, model: str) -> float:
        """Median latency of a model in seconds; 0 until one is measured."""
        found = self._medians.get(model)
        if found is None:
            values = sorted(seconds for _, seconds in self.latest_.get(model, ()))
            found = values[(len(values) - 1) // 2] if values else 0.0
            self._medians[model] = found
        return found

    def restore(self, state: dict[str, object]) -> None:
        """Take over a state made by ``snapshot``."""
        super().restore(state)
        latest = self.latest_.items()
        self.latest_ = {model: [(name, s) for name, s in calls] for model, calls in latest}
        self._medians, self._counts = {}, {}

    def _of(self, model: str) -> tuple[list[tuple[str, float]], Counter[str]]:
        latest, counts = self.latest_.get(model), self._counts.get(model)
        if latest is None:
            latest = self.latest_[model] = []
        if counts is None:
            counts = self._counts[model] = Counter(name for name, _ in latest)
        return latest, counts
