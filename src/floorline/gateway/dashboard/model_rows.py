"""What the page of the models shows of each one: traffic, estimates, costs and faults."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, NamedTuple

from floorline.gateway.dashboard.tables import Table, data_table
from floorline.policies.base import ModelChanges, ModelEstimates
from floorline.state.time_buckets import Totals
from floorline.zoo import Model

if TYPE_CHECKING:
    from floorline.gateway.dashboard.dashboard import Dashboard
    from floorline.gateway.dashboard.filters import Filters
    from floorline.gateway.dashboard.series import Series
    from floorline.gateway.dashboard.viewer import Viewer
    from floorline.gateway.upstreams import Health

_BOUND_SDS = 2.0
"""Standard deviations of an estimate on each side that are shown: about 95 % of a normal one."""


class Quality(NamedTuple):
    """What the policy believes of a model's mean satisfaction.

    Attributes
    ----------
    mean
        Mean of the estimate, from 0 to 1.
    lower, upper
        Two standard deviations below and above it; None for a viewer of one tenant, whom they would
        tell how much others have labelled.
    labels
        Labels that it rests on, by their weights; None as above.
    """

    mean: float
    lower: float | None
    upper: float | None
    labels: float | None


class ModelRow(NamedTuple):
    """One model.

    Attributes
    ----------
    name
        Name of the model.
    model
        Its prices; None where it has left the zoo.
    totals
        What happened in the span of the filters.
    share
        Share of the decisions in that span; None without any.
    quality
        What the policy believes of it; None if it estimates no means or has not seen it.
    health
        State of its circuit breaker and its calls; None where it has left.
    recent
        Whether the policy found a change of its quality lately, or it joined lately.
    priced
        Whether its prices are known.
    """

    name: str
    model: Model | None
    totals: Totals
    share: float | None
    quality: Quality | None
    health: Health | None
    recent: bool
    priced: bool


def model_rows(dashboard: Dashboard, viewer: Viewer, series: Series) -> list[ModelRow]:
    """Return a row per model that a viewer may see: those of the zoo, then those that left it.

    A tenant sees the models that its key may name, and those that have served its requests. Runs
    in the loop that answers requests, because it reads the policy's state.

    Parameters
    ----------
    dashboard, viewer
        The dashboard, and who looks.
    series
        Traffic that the viewer may see.
    """
    router, caller = dashboard.gateway.router, viewer.caller
    traffic = series.whole_by_model()
    everything = series.whole().decisions
    policy = router.policy
    estimates, changes = policy.model_estimates(), policy.changes()
    health = dashboard.gateway.upstreams.health()
    zoo = {model.name: model for model in router.zoo.models}
    left = [name for name in traffic if name and name.isprintable() and name not in zoo]
    rows = []
    for name in [*zoo, *left]:
        totals = traffic.get(name)
        if totals is None and not caller.may_call(name):
            continue
        totals = Totals() if totals is None else totals
        rows.append(
            ModelRow(
                name=name,
                model=zoo.get(name),
                totals=totals,
                share=totals.decisions / everything if everything else None,
                quality=_quality(estimates, name, whole=viewer.tenant is None),
                health=health.get(name),
                recent=_is_recent(changes, name),
                priced=name not in router.zoo.unpriced,
            )
        )
    return rows


def _quality(estimates: ModelEstimates | None, name: str, *, whole: bool) -> Quality | None:
    if estimates is None or name not in estimates.models:
        return None
    place = estimates.models.index(name)
    mean, sd = float(estimates.mean[place]), float(estimates.sd[place])
    if not math.isfinite(mean):
        return None
    if not whole:
        return Quality(mean, None, None, None)
    reach = _BOUND_SDS * sd
    lower, upper = max(0.0, mean - reach), min(1.0, mean + reach)
    return Quality(mean, lower, upper, float(estimates.labels[place]))


def _is_recent(changes: ModelChanges, name: str) -> bool:
    return name in changes.recent


_COLUMNS = (
    "model", "input_price", "output_price", "quality", "quality_lower", "quality_upper",
    "quality_labels", "recently_changed", "breaker", "calls_running", "calls_waiting",
)  # fmt: skip


@data_table("estimates")
async def estimates_table(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Prices, estimated quality, and state of the calls of each model; a row per model."""
    series = await asyncio.to_thread(
        dashboard.history.series, filters.seconds, filters.sla, filters.tenant
    )
    rows = []
    for row in model_rows(dashboard, viewer, series):
        model, quality, health = row.model, row.quality, row.health
        running = health if viewer.tenant is None else None
        rows.append(
            [
                row.name,
                None if model is None else model.input_price,
                None if model is None else model.output_price,
                *((None,) * 4 if quality is None else quality),
                row.recent,
                None if health is None else health.breaker,
                None if running is None else running.calls,
                None if running is None else running.waiting,
            ]
        )
    return Table(_COLUMNS, rows)
