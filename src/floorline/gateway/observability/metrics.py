"""Prometheus metrics of one gateway."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from floorline.gateway.observability.budget_metrics import budget_metrics
from floorline.gateway.observability.collectors import (
    CallbackCollector,
    Log,
    admission_metrics,
    build_info,
    config_metrics,
    sla_metrics,
    store_metrics,
    upstream_metrics,
)
from floorline.gateway.observability.folded import FoldedCount, FoldedSeconds, SecondsHistogram
from floorline.gateway.observability.labels import MAX_PAIRS, OTHER, LabelValues
from floorline.gateway.observability.replica_metrics import (
    Following,
    Spooling,
    replica_metrics,
    spool_metrics,
)
from floorline.gateway.tenants import split_tenant

if TYPE_CHECKING:
    from floorline.gateway.admission import AdmissionControl
    from floorline.gateway.reload import Reloader
    from floorline.gateway.upstreams import Upstreams
    from floorline.router import Router

_DECISION_SECONDS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1)
_CALL_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_COSTS = {"USD": "floorline_cost_usd", "J": "floorline_cost_joules"}
_FRESH_SECONDS = 1.0
"""Age up to which a scrape gets the text of the one before it; scrapers come every 10 to 60 s."""
_OPENMETRICS = "application/openmetrics-text"
_SOURCES = frozenset({"user", "judge", "rule"})


class Metrics:
    """Counts events, and reads the state of the other parts at each scrape.

    The metrics have a registry of their own, so that two gateways in one process count apart.

    Parameters
    ----------
    cost_unit
        The zoo's: "USD" or "J".
    router
        Its SLAs are shown; also tells which names of models and SLAs are known.
    store
        Its events that are not committed yet, and whether commits fail.
    upstreams
        Circuit breakers and queued calls of the models.
    admission
        Requests in flight and refused.
    reloader
        Whether the configuration file is in force.
    follower
        The age of the learner's state where there are several replicas.
    spooling
        Writes events to a spool while the database cannot be reached.

    Examples
    --------
    >>> metrics = Metrics()
    >>> metrics.fallback("small")
    >>> text, kind = metrics.render()
    >>> 'floorline_fallbacks_total{model="small"} 1.0' in text.decode(), kind.partition(";")[0]
    (True, 'text/plain')
    """

    def __init__(
        self,
        cost_unit: str = "USD",
        *,
        router: Router | None = None,
        store: Log | None = None,
        upstreams: Upstreams | None = None,
        admission: AdmissionControl | None = None,
        reloader: Reloader | None = None,
        follower: Following | None = None,
        spooling: Spooling | None = None,
    ) -> None:
        self.registry = CollectorRegistry()
        self._scraping = asyncio.Lock()
        self._scraped: dict[str, _Scrape] = {}
        self._router = router
        given: dict[str, Any] = {"registry": self.registry}
        model: dict[str, Any] = {"labelnames": ["model"], **given}
        self._requests = Counter(
            "floorline_requests",
            "Chat requests answered. Outcome: ok, client_error, upstream_error or disconnected; "
            "sla is empty for requests that named their model.",
            ["model", "sla", "outcome"],
            **given,
        )
        self._decision = SecondsHistogram(
            "floorline_decision_seconds",
            "Seconds to decide which model serves.",
            buckets=_DECISION_SECONDS,
            **given,
        )
        self._first_byte = SecondsHistogram(
            "floorline_upstream_first_byte_seconds",
            "Seconds from the call of a provider to the first content of its answer.",
            buckets=_CALL_SECONDS,
            **model,
        )
        self._total = SecondsHistogram(
            "floorline_upstream_seconds",
            "Seconds from the call of a provider to the end of its answer.",
            buckets=_CALL_SECONDS,
            **model,
        )
        self._tokens = Counter(
            "floorline_tokens",
            "Tokens (token_type: input or output) as the provider counted them, else estimated "
            "from text lengths.",
            ["model", "sla", "token_type"],
            **given,
        )
        self._cache_tokens = Counter(
            "floorline_cache_tokens",
            "Input tokens that the provider read from its cache (use: read), or wrote to it "
            "(write).",
            ["model", "sla", "use"],
            **given,
        )
        self._cost = Counter(
            _COSTS[cost_unit], "Cost of calls, in the cost unit.", ["model", "sla"], **given
        )
        self._feedback = Counter(
            "floorline_feedback",
            "Feedback messages. Source: user, judge, rule or other; result: changed, repeated or "
            "refused.",
            ["source", "result"],
            **given,
        )
        self._fallbacks = Counter(
            "floorline_fallbacks", "Failed calls after which another model was called.", **model
        )
        self._retries = Counter(
            "floorline_retries", "Attempts after the first one at the same model.", **model
        )
        self._corrected = Counter(
            "floorline_usage_corrected",
            "Token counts of providers that cannot be true, which estimates replaced.",
            **model,
        )
        self._labelled = (
            self._corrected,
            self._requests,
            self._first_byte,
            self._total,
            self._tokens,
            self._cache_tokens,
            self._cost,
            self._fallbacks,
            self._retries,
        )
        # Looking up a metric by its labels takes longer than counting, so the results are kept.
        self._models = LabelValues()
        self._slas = LabelValues()
        self._pairs: set[tuple[str, str]] = set()
        self._calls: dict[tuple[str, str], _Call] = {}
        self._outcomes: dict[tuple[str, str, str], FoldedCount] = {}
        self._decided = FoldedSeconds(self._decision, _DECISION_SECONDS)
        self._sources: dict[tuple[str, str], Counter] = {}
        ProcessCollector(registry=self.registry)
        self._collect(build_info)
        if router is not None:
            self._collect(lambda: sla_metrics(router))
            self._collect(lambda: budget_metrics(router))
        if store is not None:
            self._collect(lambda: store_metrics(store))
        if upstreams is not None:
            self._collect(lambda: upstream_metrics(upstreams.health()))
        if admission is not None:
            self._collect(lambda: admission_metrics(admission))
        if reloader is not None:
            self._collect(lambda: config_metrics(reloader))
        if follower is not None:
            self._collect(lambda: replica_metrics(follower))
        if spooling is not None:
            self._collect(lambda: spool_metrics(spooling))

    def _collect(self, read: Callable[[], Iterable[Metric]]) -> None:
        self.registry.register(CallbackCollector(read))

    def decided(self, seconds: float) -> None:
        """Count a decision and the seconds it took."""
        self._decided.observe(seconds)

    def request(self, model: str, sla: str, outcome: str) -> None:
        """Count an answered request.

        Parameters
        ----------
        model
            The model that served; "" if none did.
        sla
            Name of the SLA; "" for a request that named its model.
        outcome
            How it ended: ok, client_error, upstream_error or disconnected.
        """
        key = (model, sla, outcome)
        count = self._outcomes.get(key)
        if count is None:
            self._outcome(key)
        else:
            count.waiting += 1

    def call(
        self,
        model: str,
        sla: str,
        *,
        first_byte: float,
        total: float,
        input_tokens: int,
        output_tokens: int,
        cached_tokens: int,
        cache_write_tokens: int,
        cost: float,
    ) -> None:
        """Count what a call took: seconds, tokens, and cost in the zoo's unit."""
        key = (model, sla)
        found = self._calls.get(key)
        counts = self._call(key) if found is None else found
        counts.first_byte.observe(first_byte)
        counts.total.observe(total)
        counts.input.waiting += input_tokens
        counts.output.waiting += output_tokens
        if cached_tokens or cache_write_tokens:
            counts.cache_read.waiting += cached_tokens
            counts.cache_write.waiting += cache_write_tokens
        counts.cost.waiting += cost
        if found is None:
            # It is not kept where many names share a label.
            counts.fold()

    def feedback(self, source: str, changed: bool) -> None:
        """Count an accepted feedback message; ``changed`` is false if it was known already."""
        self._count_feedback(source, "changed" if changed else "repeated")

    def feedback_refused(self, source: str = "user") -> None:
        """Count a feedback message that was malformed, too late or about an unknown decision."""
        self._count_feedback(source, "refused")

    def fallback(self, model: str) -> None:
        """Count a failed call of ``model`` after which another model is called."""
        self._fallbacks.labels(self._known(model, "")[0]).inc()

    def retried(self, model: str, times: int) -> None:
        """Count attempts after the first one at a model."""
        if times > 0:
            self._retries.labels(self._known(model, "")[0]).inc(times)

    def usage_corrected(self, model: str) -> None:
        """Count a token count of a model's provider that cannot be true."""
        self._corrected.labels(self._known(model, "")[0]).inc()

    async def scrape(self, accept: str = "") -> tuple[bytes, str]:
        """Return what ``render`` does, at most a second old.

        With hundreds of SLAs the text takes tens of milliseconds: it is made in a thread, and
        once for all scrapers.
        """
        # The version and the escaping that a scraper asks for make no difference to these names.
        accept = _OPENMETRICS if _OPENMETRICS in accept else ""
        async with self._scraping:
            found = self._scraped.get(accept)
            if found is None or time.monotonic() - found.made > _FRESH_SECONDS:
                self._fold()
                text, kind = await asyncio.to_thread(self._encode, accept)
                found = self._scraped[accept] = _Scrape(text, kind, time.monotonic())
                self._forget()
        return found.text, found.kind

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the metrics and their content type, in the format that a scraper accepts."""
        self._fold()
        found = self._encode(accept)
        self._forget()
        return found

    def _fold(self) -> None:
        """Add what was counted since the last scrape to the metrics; on the event loop's thread."""
        self._decided.fold()
        for outcome in self._outcomes.values():
            outcome.fold()
        for call in self._calls.values():
            call.fold()

    def _encode(self, accept: str) -> tuple[bytes, str]:
        encode, kind = choose_encoder(accept)
        return encode(self.registry), kind

    def _count_feedback(self, source: str, result: str) -> None:
        source = source if source in _SOURCES else OTHER
        child = self._sources.get((source, result))
        if child is None:
            child = self._sources[source, result] = self._feedback.labels(source, result)
        child.inc()

    def _known(self, model: str, sla: str) -> tuple[str, str]:
        """Labels of a model and an SLA; tenants share the label of their SLA."""
        if self._router is not None:
            if model and model not in self._router.zoo:
                model = OTHER
            if sla and sla not in self._router.slas:
                sla = OTHER
        pair = self._models.of(model), self._slas.of(split_tenant(sla)[0])
        if pair not in self._pairs:
            if len(self._pairs) >= MAX_PAIRS:
                return OTHER, OTHER
            self._pairs.add(pair)
        return pair

    def _outcome(self, key: tuple[str, str, str]) -> None:
        """Count the first request of a model, an SLA and an outcome."""
        labels = self._known(key[0], key[1])
        child = self._requests.labels(*labels, key[2])
        child.inc()
        if OTHER not in labels:
            self._outcomes[key] = FoldedCount(child)

    def _call(self, key: tuple[str, str]) -> _Call:
        labels = self._known(*key)
        model = labels[0]
        counts = _Call(
            first_byte=FoldedSeconds(self._first_byte.labels(model), _CALL_SECONDS),
            total=FoldedSeconds(self._total.labels(model), _CALL_SECONDS),
            input=FoldedCount(self._tokens.labels(*labels, "input")),
            output=FoldedCount(self._tokens.labels(*labels, "output")),
            cache_read=FoldedCount(self._cache_tokens.labels(*labels, "read")),
            cache_write=FoldedCount(self._cache_tokens.labels(*labels, "write")),
            cost=FoldedCount(self._cost.labels(*labels)),
        )
        if OTHER not in labels:
            self._calls[key] = counts
        return counts

    def _forget(self) -> None:
        """Drop the time series of removed models, after the scrape that showed them last."""
        if self._router is None:
            return
        gone = [name for name in self._models if name not in self._router.zoo]
        for name in gone:
            value = self._models.forget(name)
            for metric in self._labelled:
                metric.remove_by_labels({"model": value})
        if gone:
            # What came since the scrape is not lost, of the models that stay.
            self._fold()
            self._pairs.clear()
            self._calls.clear()
            self._outcomes.clear()


class _Scrape(NamedTuple):
    """What one scrape got, and when it was made in seconds of the monotonic clock."""

    text: bytes
    kind: str
    made: float


class _Call(NamedTuple):
    """Metrics in which a call of one model is counted."""

    first_byte: FoldedSeconds
    total: FoldedSeconds
    input: FoldedCount
    output: FoldedCount
    cache_read: FoldedCount
    cache_write: FoldedCount
    cost: FoldedCount

    def fold(self) -> None:
        """Add what was counted to the metrics."""
        for part in self:
            part.fold()
