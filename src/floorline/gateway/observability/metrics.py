"""Prometheus metrics of a gateway, in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from floorline.gateway.observability.collectors import (
    CallbackCollector,
    Log,
    breaker_metrics,
    build_info,
    config_metrics,
    in_flight_metrics,
    sla_metrics,
    split_tenant,
    store_metrics,
    waiting_metrics,
)

if TYPE_CHECKING:
    from floorline.gateway.reload import Reloader
    from floorline.router import Router

_DECISION = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1)
_CALL = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_COSTS = {"USD": "floorline_cost_usd", "J": "floorline_cost_joules"}
_SOURCES = frozenset({"user", "judge", "rule"})
OTHER = "other"
"""Label of whatever is not known by name: clients choose names, and must not make series."""


class Metrics:
    """Counts what happens; reads the state of everything else when it is scraped.

    Parameters
    ----------
    cost_unit
        The zoo's.

    Examples
    --------
    >>> metrics = Metrics()
    >>> metrics.shed()
    >>> text, kind = metrics.render()
    >>> "floorline_requests_shed_total 1.0" in text.decode(), kind.partition(";")[0]
    (True, 'text/plain')
    """

    def __init__(self, cost_unit: str = "USD") -> None:
        self.registry = CollectorRegistry()
        self._router: Router | None = None
        given: dict[str, Any] = {"registry": self.registry}
        model: dict[str, Any] = {"labelnames": ["model"], **given}
        self._requests = Counter(
            "floorline_requests",
            "Requests answered, by the model that served and how it ended.",
            ["model", "sla", "outcome"],
            **given,
        )
        self._decision = Histogram(
            "floorline_decision_seconds",
            "Time to decide which model serves.",
            buckets=_DECISION,
            **given,
        )
        self._first_byte = Histogram(
            "floorline_upstream_first_byte_seconds",
            "Time from the call of a provider to the first byte of its answer.",
            buckets=_CALL,
            **model,
        )
        self._total = Histogram(
            "floorline_upstream_seconds",
            "Time from the call of a provider to the end of its answer.",
            buckets=_CALL,
            **model,
        )
        self._tokens = Counter(
            "floorline_tokens",
            "Tokens, as the provider counted them or else estimated.",
            ["model", "sla", "token_type"],
            **given,
        )
        self._cost = Counter(_COSTS[cost_unit], "Cost of calls.", ["model", "sla"], **given)
        self._feedback = Counter(
            "floorline_feedback", "Feedback received.", ["source", "result"], **given
        )
        self._fallbacks = Counter(
            "floorline_fallbacks", "Calls that failed, after which another model served.", **model
        )
        self._retries = Counter("floorline_retries", "Further attempts at the same model.", **model)
        self._shed = Counter(
            "floorline_requests_shed", "Requests turned away because of too many.", **given
        )
        self._labelled = (
            self._requests,
            self._first_byte,
            self._total,
            self._tokens,
            self._cost,
            self._fallbacks,
            self._retries,
        )
        # Finding the child of a metric by its labels takes longer than counting.
        self._seen: set[str] = set()
        self._calls: dict[tuple[str, str], _Call] = {}
        self._outcomes: dict[tuple[str, str, str], Counter] = {}
        self._sources: dict[tuple[str, str], Counter] = {}
        ProcessCollector(registry=self.registry)
        self.registry.register(CallbackCollector(build_info))

    def watch(
        self,
        *,
        router: Router | None = None,
        store: Log | None = None,
        reloader: Reloader | None = None,
        in_flight: Callable[[], int] | None = None,
        breakers: Callable[[], Mapping[str, str]] | None = None,
        waiting: Callable[[], Mapping[str, int]] | None = None,
    ) -> None:
        """Show the state of these whenever the metrics are scraped.

        Parameters
        ----------
        router
            Its SLAs; also tells which names of models and SLAs are known.
        store
            Events that wait to be committed, and whether commits fail.
        reloader
            Whether the file on disk is in force.
        in_flight
            Number of requests being served.
        breakers
            State of each model's circuit breaker: closed, open or half_open.
        waiting
            Number of calls that wait for each model.
        """
        if router is not None:
            self._router = router
            self.registry.register(CallbackCollector(lambda: sla_metrics(router)))
        if store is not None:
            self.registry.register(CallbackCollector(lambda: store_metrics(store)))
        if reloader is not None:
            self.registry.register(CallbackCollector(lambda: config_metrics(reloader)))
        if in_flight is not None:
            self.registry.register(CallbackCollector(lambda: in_flight_metrics(in_flight())))
        if breakers is not None:
            self.registry.register(CallbackCollector(lambda: breaker_metrics(breakers())))
        if waiting is not None:
            self.registry.register(CallbackCollector(lambda: waiting_metrics(waiting())))

    def decided(self, seconds: float) -> None:
        """Count a decision and the time it took."""
        self._decision.observe(seconds)

    def request(self, model: str, sla: str, outcome: str) -> None:
        """Count an answered request.

        ``model`` is the one that served, "" for none; ``sla`` is "" for a request that named its
        model; ``outcome`` is one of a few words of the caller's: ok, client_error,
        upstream_error, disconnected.
        """
        key = (model, sla, outcome)
        (self._outcomes.get(key) or self._outcome(key)).inc()

    def call(
        self,
        model: str,
        sla: str,
        *,
        first_byte: float,
        total: float,
        input_tokens: int,
        output_tokens: int,
        cost: float,
    ) -> None:
        """Count what a call took: seconds, tokens, cost in the zoo's unit."""
        key = (model, sla)
        children = self._calls.get(key) or self._call(key)
        children.first_byte.observe(first_byte)
        children.total.observe(total)
        children.input.inc(input_tokens)
        children.output.inc(output_tokens)
        children.cost.inc(cost)

    def feedback(self, source: str, changed: bool) -> None:
        """Count a piece of feedback that was taken; ``changed`` unless it was known already."""
        self._count_feedback(source, "changed" if changed else "repeated")

    def feedback_refused(self, source: str = "user") -> None:
        """Count a piece of feedback that was malformed, too late or about nothing known."""
        self._count_feedback(source, "refused")

    def fallback(self, model: str) -> None:
        """Count a call of ``model`` that failed, in place of which another one is made."""
        self._fallbacks.labels(self._known(model, "")[0]).inc()

    def retried(self, model: str, times: int) -> None:
        """Count further attempts at a model."""
        if times > 0:
            self._retries.labels(self._known(model, "")[0]).inc(times)

    def shed(self) -> None:
        """Count a request that was turned away."""
        self._shed.inc()

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the metrics and their content type, in the format that a scraper accepts."""
        encode, kind = choose_encoder(accept)
        text = encode(self.registry)
        self._forget()
        return text, kind

    def _count_feedback(self, source: str, result: str) -> None:
        source = source if source in _SOURCES else OTHER
        child = self._sources.get((source, result))
        if child is None:
            child = self._sources[source, result] = self._feedback.labels(source, result)
        child.inc()

    def _known(self, model: str, sla: str) -> tuple[str, str]:
        """Labels of a model and an SLA; tenants share their SLA's."""
        if self._router is not None:
            if model and model not in self._router.zoo:
                model = OTHER
            if sla and sla not in self._router.slas:
                sla = OTHER
        if model and model != OTHER:
            self._seen.add(model)
        return model, split_tenant(sla)[0]

    def _outcome(self, key: tuple[str, str, str]) -> Counter:
        labels = self._known(key[0], key[1])
        child = self._requests.labels(*labels, key[2])
        if OTHER not in labels:
            self._outcomes[key] = child
        return child

    def _call(self, key: tuple[str, str]) -> _Call:
        labels = self._known(*key)
        model = labels[0]
        child = _Call(
            first_byte=self._first_byte.labels(model),
            total=self._total.labels(model),
            input=self._tokens.labels(*labels, "input"),
            output=self._tokens.labels(*labels, "output"),
            cost=self._cost.labels(*labels),
        )
        if OTHER not in labels:
            self._calls[key] = child
        return child

    def _forget(self) -> None:
        """Drop the series of models that are gone, once they were shown for the last time."""
        if self._router is None:
            return
        gone = [name for name in self._seen if name not in self._router.zoo]
        for name in gone:
            self._seen.remove(name)
            for metric in self._labelled:
                metric.remove_by_labels({"model": name})
        if gone:
            self._calls.clear()
            self._outcomes.clear()


class _Call(NamedTuple):
    """What a call of a model counts in."""

    first_byte: Histogram
    total: Histogram
    input: Counter
    output: Counter
    cost: Counter
