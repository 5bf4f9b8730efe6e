"""Metrics that are read from the parts of a gateway at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    StateSetMetricFamily,
)
from prometheus_client.registry import Collector

from floorline._version import __version__
from floorline.errors import InvalidInput
from floorline.gateway.observability.labels import MAX_VALUES, OTHER, LabelValues
from floorline.gateway.tenants import split_tenant
from floorline.state.latency_certificate import LatencyCertificate
from floorline.state.status import NO_TOTALS, SlaTotals
from floorline.state.verdicts import VERDICTS

if TYPE_CHECKING:
    from floorline.gateway.admission import AdmissionControl
    from floorline.gateway.reload import Reloader
    from floorline.gateway.upstreams import Health
    from floorline.router import Router

_BREAKER_STATES = ("closed", "half_open", "open")


class Log(Protocol):
    """What is read from an event log."""

    @property
    def durable(self) -> int:
        """Number of committed events."""
        ...

    @property
    def failure(self) -> str | None:
        """Why commits fail; None if they do not."""
        ...

    @property
    def refused(self) -> int:
        """Number of events and prompts that the database refused for good."""
        ...

    def __len__(self) -> int: ...


class CallbackCollector(Collector):
    """Calls a function at each scrape.

    Parameters
    ----------
    read
        Returns the metrics of this moment.
    """

    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of this moment."""
        return self._read()

    def describe(self) -> Iterable[Metric]:
        """Return nothing: names are known only once there is something to read."""
        return []


def build_info() -> list[Metric]:
    """Version of Floorline."""
    about = "Version of Floorline."
    return [InfoMetricFamily("floorline_build", about, value={"version": __version__})]


def store_metrics(store: Log) -> list[Metric]:
    """Events that are not committed yet, and whether commits fail."""
    return [
        GaugeMetricFamily(
            "floorline_store_pending_events",
            "Events that are appended and not committed yet.",
            value=len(store) - store.durable,
        ),
        GaugeMetricFamily(
            "floorline_store_failing",
            "1 while commits fail and requests are refused, else 0.",
            value=float(store.failure is not None),
        ),
        CounterMetricFamily(
            "floorline_store_refused",
            "Events and prompts that the database refused for good.",
            value=store.refused,
        ),
    ]


def judging_metrics(counts: Mapping[tuple[str, str], int]) -> list[Metric]:
    """What judges, rules and shadow calls did."""
    metric = CounterMetricFamily(
        "floorline_judgements",
        "Responses that judges were to see (result: judged, or why there is no score; those with "
        "budget, unavailable, rejected, lost and too large were not seen), shadow calls (judge: "
        "shadow), and broken rules (judge: rules, result: name of the rule).",
        labels=["judge", "result"],
    )
    for (judge, result), count in sorted(counts.items()):
        metric.add_metric([judge, result], count)
    return [metric] if counts else []


def config_metrics(reloader: Reloader) -> list[Metric]:
    """Whether the configuration file is in force, and its reloads."""
    return [
        GaugeMetricFamily(
            "floorline_config_in_force",
            "1 if the configuration file is in force, 0 if it was refused.",
            value=float(reloader.error is None),
        ),
        GaugeMetricFamily(
            "floorline_config_restart_needed",
            "Changed fields of the file that take effect at the next restart.",
            value=len(reloader.restart),
        ),
        GaugeMetricFamily(
            "floorline_config_loaded_timestamp_seconds",
            "Unix time at which the configuration in force was read.",
            value=reloader.loaded_at,
        ),
        CounterMetricFamily(
            "floorline_config_reloads",
            "Changed configuration files that were applied.",
            value=reloader.reloads,
        ),
        CounterMetricFamily(
            "floorline_config_failures",
            "Changed configuration files that were refused.",
            value=reloader.failures,
        ),
    ]


def admission_metrics(admission: AdmissionControl) -> list[Metric]:
    """Requests being served, and requests refused because of the limit."""
    return [
        GaugeMetricFamily(
            "floorline_requests_in_flight",
            "Chat requests being served.",
            value=admission.in_flight,
        ),
        CounterMetricFamily(
            "floorline_requests_shed",
            "Chat requests refused because server.max_in_flight was reached.",
            value=admission.refused,
        ),
    ]


def upstream_metrics(health: Mapping[str, Health]) -> list[Metric]:
    """Queued calls and circuit breaker of each model."""
    waiting = GaugeMetricFamily(
        "floorline_upstream_waiting",
        "Calls queued because the model's max_concurrency is reached.",
        labels=["model"],
    )
    breakers = StateSetMetricFamily(
        "floorline_breaker_state",
        "State of the model's circuit breaker: 1 for the current state, else 0.",
        labels=["model"],
    )
    models, others = LabelValues(), []
    for name, one in health.items():
        model = models.of(name)
        if model == OTHER:
            others.append(one.waiting)
            continue
        waiting.add_metric([model], one.waiting)
        breakers.add_metric([model], {name: name == one.breaker for name in _BREAKER_STATES})
    if others:
        waiting.add_metric([OTHER], sum(others))
    return [waiting, breakers]


_SLA_GAUGES = {
    "floor": "Floor on the share of satisfied requests.",
    "satisfaction": "Mean of all labels; absent before the first label.",
    "recent_satisfaction": "Mean of the labels in the SLA's label_window; absent without one.",
    "lower": "Lower bound of the satisfaction at the SLA's confidence.",
    "upper": "Upper bound of the satisfaction at the SLA's confidence.",
    "model_upper": "Highest upper bound of a model's mean satisfaction, of those that may serve; "
    "below the floor, no model reaches it.",
    "affordable_upper": "Upper bound of the satisfaction that the budget pays for; absent without "
    "a budget.",
    "queue": "Virtual queue: accumulated shortfall against the floor; absent if the policy has "
    "none.",
    "reserved": "Expected cost of open calls, in the cost unit.",
    "savings_ratio": "Share of the best fixed model's estimated cost that was saved; absent while "
    "a model has no price.",
}
_LATENCY_GAUGES = {
    "limit_seconds": "Promised limit in seconds.",
    "promised_ratio": "Share of the requests that must be within the limit.",
    "within_ratio": "Share of the requests within the limit; absent before the first one.",
    "lower": "Lower bound of the share of requests within the limit, at the SLA's confidence.",
    "upper": "Upper bound of the share of requests within the limit, at the SLA's confidence.",
}
_SLA_COUNTERS = {
    "requests": "Requests under the SLA.",
    "explored": "Requests whose model was chosen by exploration.",
    "declined": "Requests that no model served.",
    "labels": "Requests with feedback.",
    "spend": "Cost of calls, in the cost unit.",
}


def sla_metrics(router: Router) -> list[Metric]:
    """Status of every SLA; a tenant's own SLA has the tenant as a label.

    The first ``MAX_VALUES`` are shown, at 0.3 ms each; of the others only the sums of their
    counters, under the tenant ``OTHER``.
    """
    labels = ["sla", "tenant"]
    gauges = {
        name: GaugeMetricFamily(f"floorline_sla_{name}", about, labels=labels)
        for name, about in _SLA_GAUGES.items()
    }
    counters = {
        name: CounterMetricFamily(f"floorline_sla_{name}", about, labels=labels)
        for name, about in _SLA_COUNTERS.items()
    }
    latency = _LatencyMetrics()
    about = "Verdict on the SLA's floor: 1 for the current verdict, else 0."
    verdicts = StateSetMetricFamily("floorline_sla_verdict", about, labels=labels)
    slas, tenants, shown = LabelValues(), LabelValues(), 0
    others: dict[tuple[str, str], SlaTotals] = {}
    for name in list(router.slas):
        base, tenant = split_tenant(name)
        sla_and_tenant = slas.of(base), tenants.of(tenant)
        shown += OTHER not in sla_and_tenant
        merged = OTHER in sla_and_tenant or shown > MAX_VALUES
        try:
            totals = router.totals(name)
            status = None if merged else router.status(name)
        except InvalidInput:
            # Scrapes run in a thread of their own; the SLA was removed meanwhile.
            continue
        if status is None:
            sla_and_tenant = (sla_and_tenant[0], OTHER)
            others[sla_and_tenant] = others.get(sla_and_tenant, NO_TOTALS).plus(totals)
            continue
        reach = status.reachability
        levels = {
            "floor": status.floor,
            "satisfaction": status.satisfaction,
            "recent_satisfaction": status.recent,
            "lower": status.lower,
            "upper": status.upper,
            "model_upper": None if reach is None else reach.upper,
            "affordable_upper": None if reach is None else reach.affordable,
            "queue": router.policy.queue(name),
            "reserved": status.reserved,
            "savings_ratio": status.savings,
        }
        for field, level in levels.items():
            if level is not None:
                gauges[field].add_metric(sla_and_tenant, level)
        for field, total in totals._asdict().items():
            counters[field].add_metric(sla_and_tenant, total)
        verdicts.add_metric(sla_and_tenant, {word: word == status.verdict for word in VERDICTS})
        for promise in status.latency:
            latency.add(sla_and_tenant, promise)
    for sla_and_tenant, sums in others.items():
        for field, total in sums._asdict().items():
            counters[field].add_metric(sla_and_tenant, total)
    return [*gauges.values(), *counters.values(), verdicts, *latency.families()]


class _LatencyMetrics:
    """Status of promises of latency, each with its measure and quantile as labels."""

    def __init__(self) -> None:
        labels = ["sla", "tenant", "measure", "quantile"]
        self._gauges = {
            name: GaugeMetricFamily(f"floorline_sla_latency_{name}", about, labels=labels)
            for name, about in _LATENCY_GAUGES.items()
        }
        about = "Verdict on a promise of latency: 1 for the current verdict, else 0."
        self._verdicts = StateSetMetricFamily("floorline_sla_latency_verdict", about, labels=labels)

    def add(self, sla_and_tenant: tuple[str, str], promise: LatencyCertificate) -> None:
        """Add one promise."""
        labels = (*sla_and_tenant, promise.measure, promise.quantile)
        levels = {
            "limit_seconds": promise.limit,
            "promised_ratio": promise.share,
            "within_ratio": promise.within,
            "lower": promise.lower,
            "upper": promise.upper,
        }
        for name, level in levels.items():
            if level is not None:
                self._gauges[name].add_metric(labels, level)
        self._verdicts.add_metric(labels, {word: word == promise.verdict for word in VERDICTS})

    def families(self) -> list[Metric]:
        """Return all metrics."""
        return [*self._gauges.values(), self._verdicts]
