"""What a report counts of the requests of a period: totals, models, buckets of time, savings."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec
import numpy as np

from floorline.optimization.floor_lp import cheapest_mix
from floorline.report.sla.requests import RESULTS, Expected, Request

_LENGTHS = ((300, 24), (900, 24), (3600, 24), (10800, 24), (86400, 31), (604800, 31), (2419200, 31))
"""Lengths of buckets in seconds, from 5 minutes to four weeks, and the most buckets of each: a day
of hours, or a month of days. More rows would not fit on one page of paper."""


class Totals(msgspec.Struct, frozen=True):
    """Counts and costs of requests; costs are in the zoo's cost unit.

    Attributes
    ----------
    requests, results
        Number of requests, and of those that ended in each way of ``RESULTS``.
    explored
        Requests whose model was chosen to learn about it.
    fallbacks
        Requests that another model answered after a failed call.
    calls, failed_calls, estimated_calls
        Calls, those that failed, and those whose cost is computed from the lengths of the texts.
    spend, judges
        Real cost of all calls and labels, and the part of the labels.
    expected, open_cost
        What the calls with a known cost, and those without one, were expected to cost.
    p50, p95, first_p50, first_p95
        Seconds to the end and to the first content of the answer; None where none is known.
    """

    requests: int
    results: dict[str, int]
    explored: int
    fallbacks: int
    calls: int
    failed_calls: int
    estimated_calls: int
    spend: float
    judges: float
    expected: float
    open_cost: float
    p50: float | None
    p95: float | None
    first_p50: float | None
    first_p95: float | None


class ModelFigures(msgspec.Struct, frozen=True):
    """What one model did: answered requests, calls, costs, tokens, and the labels of its answers.

    ``share`` is that of all answered requests; ``mean`` is None without labels.
    """

    model: str
    answered: int
    share: float
    calls: int
    failed_calls: int
    spend: float
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    labels: int
    mean: float | None
    p50: float | None
    p95: float | None


class Bucket(msgspec.Struct, frozen=True):
    """A part of the period: Unix times in seconds, and what its requests did.

    ``served`` has the answered requests by model, and ``mean`` is None without labels.
    """

    since: float
    until: float
    requests: int
    unanswered: int
    fallbacks: int
    labels: int
    mean: float | None
    spend: float
    p50: float | None
    p95: float | None
    served: dict[str, int]


class Saving(msgspec.Struct, frozen=True):
    """Expected cost of serving the same requests in another way, and what was saved against it.

    ``shares`` are those of the models that it serves with.
    """

    reference: str
    shares: dict[str, float]
    expected_cost: float
    expected_quality: float
    saved: float | None


class Label(msgspec.Struct, frozen=True):
    """Latest label of a response, by the request it answers."""

    request: str
    model: str
    score: float
    weight: float


def totals(requests: Sequence[Request]) -> Totals:
    """Sum up requests."""
    results = dict.fromkeys(RESULTS, 0)
    for request in requests:
        results[request.result] += 1
    calls = [call for request in requests for call in request.calls]
    latency, first = _times(requests)
    return Totals(
        requests=len(requests),
        results=results,
        explored=sum(request.explored for request in requests),
        fallbacks=sum(len(r.calls) > 1 and r.result == "answered" for r in requests),
        calls=len(calls),
        failed_calls=sum(call.failed for call in calls),
        estimated_calls=sum(call.estimated for call in calls),
        spend=sum(request.spend for request in requests),
        judges=sum(request.judge_cost for request in requests),
        expected=sum(cost for c in calls for name, cost in c.expected.items() if name in c.costs),
        open_cost=sum(call.open_cost for call in calls),
        p50=_quantile(latency, 0.5),
        p95=_quantile(latency, 0.95),
        first_p50=_quantile(first, 0.5),
        first_p95=_quantile(first, 0.95),
    )


def by_model(requests: Sequence[Request], labels: Iterable[Label]) -> tuple[ModelFigures, ...]:
    """Sum up requests by model, the one of most answers first."""
    answers: dict[str, list[Request]] = {}
    spend: dict[str, float] = {}
    calls: dict[str, list[int]] = {}
    tokens: dict[str, list[int]] = {}
    scores: dict[str, list[Label]] = {}
    for request in requests:
        for call in request.calls:
            counts = calls.setdefault(call.model, [0, 0])
            counts[0] += 1
            counts[1] += call.failed
            used = tokens.setdefault(call.model, [0, 0, 0])
            for place, number in enumerate(
                (call.input_tokens, call.output_tokens, call.cached_tokens)
            ):
                used[place] += number or 0
            for model, cost in call.costs.items():
                spend[model] = spend.get(model, 0.0) + cost
        if request.result == "answered":
            answers.setdefault(request.calls[-1].model, []).append(request)
    for label in labels:
        scores.setdefault(label.model, []).append(label)
    total = sum(map(len, answers.values()))
    rows = []
    for model in {**calls, **spend}:
        own = answers.get(model, [])
        latency, _ = _times(own)
        rows.append(
            ModelFigures(
                model=model,
                answered=len(own),
                share=len(own) / total if total else 0.0,
                calls=calls.get(model, [0, 0])[0],
                failed_calls=calls.get(model, [0, 0])[1],
                spend=spend.get(model, 0.0),
                input_tokens=tokens.get(model, [0, 0, 0])[0],
                output_tokens=tokens.get(model, [0, 0, 0])[1],
                cached_tokens=tokens.get(model, [0, 0, 0])[2],
                labels=len(scores.get(model, [])),
                mean=_mean(scores.get(model, [])),
                p50=_quantile(latency, 0.5),
                p95=_quantile(latency, 0.95),
            )
        )
    return tuple(sorted(rows, key=lambda row: (-row.answered, row.model)))


def buckets(
    requests: Sequence[Request], labels: Sequence[Label], since: float, until: float
) -> tuple[Bucket, ...]:
    """Divide a period into parts of one length; the first and the last may be shorter.

    Parts of a day or less begin at multiples of their length in UTC, longer ones with the period.
    """
    edges = _edges(since, until)
    rows: list[list[Request]] = [[] for _ in edges[1:]]
    place = {}
    for request in requests:
        place[request.id] = number = bisect_right(edges, request.at, hi=len(rows)) - 1
        rows[number].append(request)
    given: list[list[Label]] = [[] for _ in rows]
    for label in labels:
        given[place[label.request]].append(label)
    parts = zip(rows, given, pairwise(edges), strict=True)
    return tuple(_bucket(own, labelled, *ends) for own, labelled, ends in parts)


def _edges(since: float, until: float) -> list[float]:
    span = until - since
    length = next((n for n, most in _LENGTHS if span / n <= most), _LENGTHS[-1][0])
    if span / length > _LENGTHS[-1][1]:
        length *= math.ceil(span / length / _LENGTHS[-1][1])
    first = (since // length + 1) * length if length <= 86400 else since + length
    inner = [first + k * length for k in range(math.ceil((until - first) / length))]
    return [since, *inner, until]


def _bucket(
    requests: Sequence[Request], labels: Sequence[Label], since: float, until: float
) -> Bucket:
    summed = totals(requests)
    served: dict[str, int] = {}
    for request in requests:
        if request.result == "answered":
            model = request.calls[-1].model
            served[model] = served.get(model, 0) + 1
    return Bucket(
        since=since,
        until=until,
        requests=len(requests),
        unanswered=summed.results["failed"] + summed.results["declined"],
        fallbacks=summed.fallbacks,
        labels=len(labels),
        mean=_mean(labels),
        spend=summed.spend,
        p50=summed.p50,
        p95=summed.p95,
        served=served,
    )


def savings(expected: dict[str, Expected], floor: float, summed: Totals) -> tuple[Saving, ...]:
    """Compare what was spent with what fixed rules were expected to cost on the same requests.

    Calls that have no known cost yet count with their expected one, as in a ``Status``. Both
    references are told the means of what the router expected of each model on these requests.
    None without requests, or where a mean is unknown or all of them cost nothing.
    """
    requests = summed.requests
    names = [name for name, sums in expected.items() if sums.count == requests]
    if not names or not requests:
        return ()
    quality = np.array([expected[name].quality / requests for name in names])
    cost = np.array([expected[name].cost / requests for name in names])
    if not (np.isfinite(quality).all() and np.isfinite(cost).all() and cost.any()):
        return ()
    best = np.zeros(len(names))
    # Of equally good ones the cheapest, as in a ``Status``.
    best[int(np.where(quality >= quality.max(), cost, np.inf).argmin())] = 1.0
    mix = cheapest_mix(quality, cost, floor)
    spend = summed.spend + summed.open_cost
    return tuple(
        Saving(
            reference=reference,
            shares={n: float(w) for n, w in zip(names, weights, strict=True) if w > 0.0},
            expected_cost=float(weights @ cost) * requests,
            expected_quality=float(weights @ quality),
            saved=1.0 - spend / (float(weights @ cost) * requests) if weights @ cost > 0 else None,
        )
        for reference, weights in (("best fixed model", best), ("static mix", mix))
    )


def _times(requests: Iterable[Request]) -> tuple[list[float], list[float]]:
    """Seconds to the end and to the first content of answers."""
    whole, first = [], []
    for request in requests:
        if request.latency is not None:
            whole.append(request.latency)
            began = request.calls[-1].first_token
            if began is not None:
                first.append(request.waited + began)
    return whole, first


def _quantile(values: Sequence[float], share: float) -> float | None:
    return float(np.quantile(values, share)) if len(values) else None


def _mean(labels: Sequence[Label]) -> float | None:
    weight = sum(label.weight for label in labels)
    return sum(label.weight * label.score for label in labels) / weight if weight else None
