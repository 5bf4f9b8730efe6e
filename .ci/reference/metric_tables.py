"""The page of the metrics, from the registry of a gateway's metrics."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from prometheus_client.metrics_core import Metric

from floorline import SLA, Budget, Model, Router, Zoo
from floorline._markdown import markdown_table
from floorline.gateway.observability.metrics import Metrics
from floorline.replication.survey import Survey

_HEAD = """# Metrics

<!-- Written by `python .ci/reference` from the registry; change the help of a metric instead. -->

`GET /metrics` shows these. [observability.md](observability.md) says how to scrape them, what the
values of labels are, and which alerts they serve. A counter ends in `_total`. A histogram has the
series `_bucket`, `_sum` and `_count`. A state set has one series for each state, which is 1 for the
present one.
"""
_GROUPS = (
    ("SLAs", "floorline_sla_"),
    ("Providers", "floorline_upstream_"),
    ("Store", "floorline_store_"),
    ("Spool of a replica", "floorline_spool"),
    ("Configuration", "floorline_config_"),
    ("Requests and the rest", "floorline_"),
)
_KINDS = {"stateset": "state set", "info": "info"}


def page() -> str:
    """Return the page."""
    left = sorted(_families(), key=lambda family: family.name)
    parts = [_HEAD]
    for title, prefix in _GROUPS:
        inside = [family for family in left if family.name.startswith(prefix)]
        left = [family for family in left if family not in inside]
        rows = [
            (f"`{_name(one)}`", _KINDS.get(one.type, one.type), _labels(one), one.documentation)
            for one in inside
        ]
        header = ("metric", "type", "labels", "meaning")
        parts += [f"## {title}\n", markdown_table(header, rows, left=range(4)), ""]
    parts.append(
        "The usual `process_…` metrics of the process are there too. With `cost_unit: J`,\n"
        "`floorline_cost_joules_total` takes the place of `floorline_cost_usd_total`.\n"
    )
    return "\n".join(parts)


def _families() -> Iterator[Metric]:
    """Return all families of a gateway in which each of them has a sample."""
    zoo = Zoo([Model("small", output_price=0.4), Model("large", output_price=12.0)])
    budget = Budget(total=10.0, period=3600.0)
    sla = SLA("gold", floor=0.9, ttft={"p95": 2.0}, budget=budget)
    router = Router(zoo, "mess_plus", [sla], seed=1)
    metrics = Metrics(router=router, **_parts())
    metrics.request("small", "gold", "ok")
    metrics.fallback("small")
    metrics.retried("small", 1)
    metrics.usage_corrected("small")
    metrics.feedback("user", True)
    metrics.decided(0.001)
    metrics.call(
        "small",
        "gold",
        first_byte=0.1,
        total=0.2,
        input_tokens=10,
        output_tokens=20,
        cached_tokens=5,
        cache_write_tokens=5,
        cost=0.001,
    )
    for family in metrics.registry.collect():
        if family.name.startswith("floorline_") and not family.name.endswith("_created"):
            yield family


def _parts() -> dict[str, Any]:
    """Return what metrics are read from, with a model that has a circuit breaker."""

    class Store(list[int]):
        durable, failure, refused = 0, None, 0

    health = {"small": SimpleNamespace(waiting=0, breaker="closed")}
    return {
        "store": Store(),
        "upstreams": SimpleNamespace(health=lambda: health),
        "admission": SimpleNamespace(in_flight=0, refused=0),
        "follower": SimpleNamespace(
            staleness=0.0, learner_age=0.0, replicas=1, seen=Survey([], None, 0)
        ),
        "spooling": SimpleNamespace(
            spooling_seconds=None, spool=SimpleNamespace(events=0, size=0, max_bytes=2**28)
        ),
        "reloader": SimpleNamespace(error=None, restart=[], loaded_at=0.0, reloads=0, failures=0),
    }


def _name(family: Metric) -> str:
    ends = {"counter": "_total", "info": "_info"}
    return family.name + ends.get(family.type, "")


def _labels(family: Metric) -> str:
    """Return the labels of a family, without those that its type adds."""
    known = getattr(family, "_labelnames", ()) or ()
    found = [*known, *(label for sample in family.samples for label in sample.labels)]
    names = dict.fromkeys(name for name in found if name != "le")
    return ", ".join(f"`{name}`" for name in names)
