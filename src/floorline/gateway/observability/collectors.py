"""Metrics that are read off the parts of a gateway when it is scraped."""

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

if TYPE_CHECKING:
    from floorline.gateway.reload import Reloader
    from floorline.router import Router

_BREAKER_STATES = ("closed", "half_open", "open")
VERDICTS = ("kept", "at risk", "broken", "unknown")
"""What ``Status.verdict`` can be."""
_TENANT = "@"
_MOST_SLAS = 500
"""Of each tenant's own SLAs no more are shown, so that one scrape stays small."""


class Log(Protocol):
    """What is asked of an event log."""

    @property
    def durable(self) -> int:
        """Events committed."""
        ...

    @property
    def failure(self) -> str | None:
        """Why commits fail, None if they do not."""
        ...

    def __len__(self) -> int: ...


class CallbackCollector(Collector):
    """Calls a function whenever the metrics are scraped."""

    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of this moment."""
        return self._read()

    def describe(self) -> Iterable[Metric]:
        """Return nothing: names are known only once there is something to read."""
        return []


def split_tenant(sla: str) -> tuple[str, str]:
    """Split the name of a tenant's own SLA into the SLA's and the tenant's.

    Examples
    --------
    >>> split_tenant("gold@acme"), split_tenant("gold")
    (('gold', 'acme'), ('gold', ''))
    """
    name, _, tenant = sla.partition(_TENANT)
    return name, tenant


def build_info() -> list[Metric]:
    """Tell which Floorline this is."""
    about = "Version of Floorline."
    return [InfoMetricFamily("floorline_build", about, value={"version": __version__})]


def store_metrics(store: Log) -> list[Metric]:
    """Tell whether the event log keeps up."""
    return [
        GaugeMetricFamily(
            "floorline_store_pending_events",
            "Events that wait to be committed.",
            value=len(store) - store.durable,
        ),
        GaugeMetricFamily(
            "floorline_store_failing",
            "1 while commits fail, and requests are refused.",
            value=float(store.failure is not None),
        ),
    ]


def config_metrics(reloader: Reloader) -> list[Metric]:
    """Tell whether the configuration on disk is in force."""
    return [
        GaugeMetricFamily(
            "floorline_config_in_force",
            "1 if the configuration file is in force, 0 if it was refused.",
            value=float(reloader.error is None),
        ),
        GaugeMetricFamily(
            "floorline_config_restart_needed",
            "Fields of the file that wait for a restart.",
            value=len(reloader.restart),
        ),
        GaugeMetricFamily(
            "floorline_config_loaded_timestamp_seconds",
            "Unix time at which the configuration in force was read.",
            value=reloader.loaded_at,
        ),
        CounterMetricFamily(
            "floorline_config_reloads", "Files taken over.", value=reloader.reloads
        ),
        CounterMetricFamily("floorline_config_failures", "Files refused.", value=reloader.failures),
    ]


def in_flight_metrics(requests: int) -> list[Metric]:
    """Tell how many requests are being served."""
    about = "Requests being served."
    return [GaugeMetricFamily("floorline_requests_in_flight", about, value=requests)]


def waiting_metrics(waiting: Mapping[str, int]) -> list[Metric]:
    """Tell how many calls wait for each model."""
    about = "Calls that wait because a model is at its limit."
    family = GaugeMetricFamily("floorline_upstream_waiting", about, labels=["model"])
    for model, calls in waiting.items():
        family.add_metric([model], calls)
    return [family]


def breaker_metrics(states: Mapping[str, str]) -> list[Metric]:
    """Tell the state of each model's circuit breaker."""
    about = "State of each model's circuit breaker; 1 for the one it is in."
    family = StateSetMetricFamily("floorline_breaker_state", about, labels=["model"])
    for model, state in states.items():
        family.add_metric([model], {name: name == state for name in _BREAKER_STATES})
    return [family]


_SLA_GAUGES = {
    "floor": "Promised share of satisfied requests.",
    "satisfaction": "Mean over all labels; missing before the first.",
    "recent_satisfaction": "Mean over the labels of the SLA's window, where it has one.",
    "lower": "Lower bound of the satisfaction at the SLA's confidence.",
    "upper": "Upper bound of the satisfaction at the SLA's confidence.",
    "queue": "Virtual queue: accumulated shortfall against the floor.",
    "reserved": "Expected cost of open calls, in the cost unit.",
    "savings_ratio": "Share of the best fixed model's estimated cost that was not spent.",
}
_SLA_COUNTERS = {
    "requests": "Requests under the SLA.",
    "explored": "Requests on which exploration chose the model.",
    "declined": "Requests that no model served.",
    "labels": "Requests with feedback.",
    "spend": "What calls cost, in the cost unit.",
}


def sla_metrics(router: Router) -> list[Metric]:
    """Tell how every SLA stands; a tenant's own has the tenant as a label."""
    labels = ["sla", "tenant"]
    gauges = {
        name: GaugeMetricFamily(f"floorline_sla_{name}", about, labels=labels)
        for name, about in _SLA_GAUGES.items()
    }
    counters = {
        name: CounterMetricFamily(f"floorline_sla_{name}", about, labels=labels)
        for name, about in _SLA_COUNTERS.items()
    }
    about = "Whether the promise is kept; 1 for the verdict."
    verdicts = StateSetMetricFamily("floorline_sla_verdict", about, labels=labels)
    for name in list(router.slas)[:_MOST_SLAS]:
        status = router.status(name)
        who = split_tenant(name)
        levels = {
            "floor": status.floor,
            "satisfaction": status.satisfaction,
            "recent_satisfaction": status.recent,
            "lower": status.lower,
            "upper": status.upper,
            "queue": router.policy.queue(name),
            "reserved": status.reserved,
            "savings_ratio": status.savings,
        }
        for field, level in levels.items():
            if level is not None:
                gauges[field].add_metric(who, level)
        totals = {
            "requests": status.requests,
            "explored": status.explored,
            "declined": status.declined,
            "labels": status.labels,
            "spend": status.spent,
        }
        for field, total in totals.items():
            counters[field].add_metric(who, total)
        verdicts.add_metric(who, {word: word == status.verdict for word in VERDICTS})
    return [*gauges.values(), *counters.values(), verdicts]
