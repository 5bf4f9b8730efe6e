"""Result of a what-if question: estimates where the log supports them, and bounds."""

from __future__ import annotations

from itertools import combinations

import msgspec

from floorline.core.display import html_table, show_number
from floorline.core.drawing import interval_bar
from floorline.errors import FloorlineError
from floorline.guarantees.betting import Interval
from floorline.guarantees.off_policy import Estimate, WeightedSample, bounds_of, estimates
from floorline.guarantees.overlap import Overlap, overlap_of
from floorline.whatif.logged_rows import RowTable
from floorline.zoo import Zoo

MAX_UNSUPPORTED = 0.05
"""Default of the largest share of unsupported choices with which estimates are given. They widen
each interval by this share."""
MIN_EFFECTIVE_LABELS = 50.0
"""Default of the least effective number of labels with which estimates are given."""
_MIN_EFFECTIVE_REQUESTS = 2
"""Least effective number of requests for estimates of the cost."""
_MIN_P_VALUE = 0.001
"""Probability below which a deviation of the mean weight is taken as proof that the logged
propensities are not those of the choices; one right log of a thousand or fewer is refused."""


class WhatIf(msgspec.Struct, frozen=True):
    """Estimated results of another policy.

    Parameters
    ----------
    policy
        Fingerprint of the policy.
    requests, labels
        Numbers of logged requests used and of those with a label.
    effective_labels, effective_requests
        Effective sample sizes of ``satisfaction`` and of ``cost``.
    matched
        Share of requests for which the policy chose the served model.
    floor
        Mean floor of the requests.
    confidence
        Confidence level of the intervals.
    satisfaction, cost
        Estimates of mean satisfaction and of mean cost per request; empty if refused.
    satisfaction_bounds, cost_bounds
        Intervals that hold whatever the unsupported choices would have given.
    satisfaction_overlap, cost_overlap
        Overlap of both policies on the labelled requests, and on those with a cost.
    logged
        Mean satisfaction and mean cost per request of the logging policy.
    cost_unit
        Unit of the costs.
    left_out
        Numbers of logged decisions that are not used, by reason.
    warnings
        What speaks against the intervals.
    refused
        Why there are no estimates; "" if there are.
    """

    policy: str
    requests: int
    labels: int
    effective_labels: float
    effective_requests: float
    matched: float
    floor: float
    confidence: float
    satisfaction: tuple[Estimate, ...]
    cost: tuple[Estimate, ...]
    satisfaction_bounds: Interval
    cost_bounds: Interval
    satisfaction_overlap: Overlap
    cost_overlap: Overlap
    logged: tuple[float, float]
    cost_unit: str
    left_out: dict[str, int]
    warnings: tuple[str, ...] = ()
    refused: str = ""

    def _repr_html_(self) -> str:
        bounds = self.satisfaction_bounds
        rows = [("refused", self.refused)] if self.refused else []
        rows += [
            ("requests, labels", f"{self.requests:,}, {self.labels:,}"),
            ("effective labels", show_number(self.effective_labels)),
            ("same choice as logged", f"{self.matched:.1%}"),
            ("floor", f"{self.floor:g}"),
            ("logged satisfaction", show_number(self.logged[0])),
            *_estimate_rows("satisfaction", self.satisfaction, ""),
            ("satisfaction, whatever is unknown", _between(*bounds)),
            (f"logged cost, {self.cost_unit}", show_number(self.logged[1])),
            *_estimate_rows("cost", self.cost, f", {self.cost_unit}"),
            ("cost, whatever is unknown", _between(*self.cost_bounds)),
            *(("warning", text) for text in self.warnings),
        ]
        best = self.satisfaction[-1] if self.satisfaction else None
        drawn = bounds if best is None else Interval(best.lower, best.upper)
        mean = None if best is None else best.value
        bar = interval_bar(drawn.lower, drawn.upper, mean, self.floor)
        return bar + html_table(f"What if: {self.policy}", rows)


def _estimate_rows(what: str, found: tuple[Estimate, ...], unit: str) -> list[tuple[str, str]]:
    return [
        (
            f"{what}{unit}, {one.kind}",
            f"{show_number(one.value)} in {_between(one.lower, one.upper)}",
        )
        for one in found
    ]


def _between(lower: float, upper: float) -> str:
    return f"[{show_number(lower)}, {show_number(upper)}]"


class NoSupport(FloorlineError):
    """The log does not identify the results of the other policy.

    Attributes
    ----------
    result : WhatIf, optional
        Bounds and overlap without estimates; None if the log gives no bounds either.
    """

    def __init__(self, message: str, result: WhatIf | None = None) -> None:
        super().__init__(message)
        self.result = result


def evaluate(
    table: RowTable,
    zoo: Zoo,
    policy: str,
    left_out: dict[str, int],
    *,
    confidence: float,
    min_effective_labels: float,
    max_unsupported: float,
) -> WhatIf:
    """Estimate satisfaction and cost; ``Counterfactual.result`` documents the parameters.

    Raises
    ------
    NoSupport
        If the log does not support estimates.
    """
    if not len(table):
        why = "".join(f"; left out {count:,}: {reason}" for reason, count in left_out.items())
        raise NoSupport(f"the log has no usable decision: give a log with routed requests{why}")
    labels, costs = table.labels(), table.costs(zoo)
    if labels is None:
        raise NoSupport("the log has no label of the requests: give a log with feedback")
    if costs is None:
        raise NoSupport("the log has no outcome of the requests: give a log with their costs")
    overlaps = overlap_of(labels, table.names), overlap_of(costs, table.names)
    for overlap, what in zip(overlaps, ("labels", "outcomes"), strict=True):
        _check_weights(overlap, what)
    delta, extra = 1.0 - confidence, table.means.other_calls
    found = WhatIf(
        policy=policy,
        requests=len(table),
        labels=labels.count,
        effective_labels=labels.effective_size,
        effective_requests=costs.effective_size,
        matched=table.means.matched,
        floor=round(table.means.floor, 12),
        confidence=confidence,
        satisfaction=(),
        cost=(),
        satisfaction_bounds=bounds_of(labels, delta, _expected_squares(labels)),
        cost_bounds=Interval(*(bound + extra for bound in bounds_of(costs, delta))),
        satisfaction_overlap=overlaps[0],
        cost_overlap=overlaps[1],
        logged=(labels.mean_value, table.means.spent),
        cost_unit=zoo.cost_unit,
        left_out=dict(left_out),
    )
    refused = _reason_to_refuse(found, min_effective_labels, max_unsupported)
    if refused:
        raise NoSupport(refused, msgspec.structs.replace(found, refused=refused))
    satisfaction = tuple(estimates(labels, delta, _expected_squares(labels)))
    cost = tuple(
        e._replace(value=e.value + extra, lower=e.lower + extra, upper=e.upper + extra)
        for e in estimates(costs, delta)
    )
    return msgspec.structs.replace(
        found,
        satisfaction=satisfaction,
        cost=cost,
        warnings=(*_disjoint("satisfaction", satisfaction), *_disjoint("cost", cost)),
    )


def _expected_squares(labels: WeightedSample) -> float:
    """Expected sum of squares that depends on the number of labels only, so that it is fixed."""
    return 0.5 * labels.count


def _check_weights(overlap: Overlap, what: str) -> None:
    """Raise NoSupport if the weights deviate from their known mean by more than chance."""
    if overlap.p_value < _MIN_P_VALUE:
        raise NoSupport(
            f"the propensities do not fit the choices of the {overlap.requests:,} requests with "
            f"{what}: their mean weight is {overlap.mean_weight:.3g}, expected is "
            f"{overlap.expected_weight:.3g} with standard error {overlap.weight_error:.2g}, and "
            f"chance explains it with a probability of {overlap.p_value:.1g} or less. Either the "
            f"logged propensities are wrong, or the {what} are missing more often for some models: "
            "log the probabilities with which the models were drawn, and ask for feedback "
            "independently of the model"
        )


def _reason_to_refuse(found: WhatIf, min_effective_labels: float, max_unsupported: float) -> str:
    both = (found.satisfaction_overlap, "labels"), (found.cost_overlap, "outcomes")
    overlap, what = max(both, key=lambda pair: pair[0].unsupported)
    if overlap.unsupported > max_unsupported:
        model, part = max(overlap.unsupported_by_model.items(), key=lambda item: item[1])
        return (
            f"{overlap.unsupported:.1%} of the other policy's choices have no support in the log, "
            f"and at most {max_unsupported:.1%} may: the logging policy made them with less than "
            f"1/{overlap.max_weight:.3g} of the other policy's probability (the limit is the "
            f"square root of {overlap.requests:,} {what}), most of them {model!r} ({part:.1%}). "
            "Only the bounds are known. For estimates use a longer log, or log with a policy that "
            "explores more, such as random, or sla_router with c=3"
        )
    size = found.effective_labels
    least = max(min_effective_labels, 1.0)
    if size < least or found.effective_requests < _MIN_EFFECTIVE_REQUESTS:
        return (
            f"the effective number of labels is {size:.1f} (of {found.labels:,} in the log), "
            f"and at least {least:g} are needed: log more requests, or log with "
            "a policy that serves the models of this one more often"
        )
    return ""


def _disjoint(what: str, found: tuple[Estimate, ...]) -> list[str]:
    """Say which pairs of intervals of one quantity have no common value."""
    return [
        f"the intervals of the {what} by {a.kind} and {b.kind} are disjoint, so at least one of "
        "them is wrong: do not rely on any of them; labels or propensities break an assumption"
        for a, b in combinations(found, 2)
        if a.upper < b.lower or b.upper < a.lower
    ]
