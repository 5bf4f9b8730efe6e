"""Certificates of promises of latency: bounds on the share of the requests within a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec
import numpy as np

from floorline.core.display import show_number
from floorline.guarantees import betting_interval
from floorline.guarantees.betting import betting_lower
from floorline.sla import SLA, LatencyPromise
from floorline.state.timeliness import PromiseCounts, Timeliness
from floorline.state.verdicts import Verdict

LATENCY_METHOD = "betting confidence sequence (constant-odds mixture) on all requests"

_CENSUS = (
    "Every request counts, not a sample: the share so far is exact. The bounds are about the mean "
    "of the requests' probabilities of being within the limit, which may drift; they hold at every "
    "number of requests at once."
)
_LATE = (
    "A request is late if it took longer than the limit from its first decision on, the calls that "
    "failed before included, or if it failed. Requests that the provider refused as not valid do "
    "not count."
)
_UNKNOWN = (
    "Where a client left within the limit or did not report its call, the time is not known: the "
    "lower bound counts such requests as late, the upper bound as within the limit."
)
_OWN = (
    "The floor and each promise of latency have a certificate of their own, each with this "
    "confidence."
)
_ALONE = (
    "That the promise stays out of reach assumes that models and load remain as they were. The "
    "bound of a model is about the requests that it served."
)


class ModelTimes(msgspec.Struct, frozen=True):
    """What the calls of one model say of it under a promise.

    Attributes
    ----------
    model
        Name of the model.
    calls
        Number of its calls whose time is known.
    within, upper
        Share of them within the limit, None without any, and upper bound of that share's mean.
    """

    model: str
    calls: int
    within: float | None
    upper: float


class LatencyCertificate(msgspec.Struct, frozen=True):
    """Bounds on the share of the requests within a promised limit, and the verdict on it.

    Attributes
    ----------
    sla
        Name of the SLA.
    measure, quantile, limit
        What is promised: ``"ttft"`` or ``"latency"``, such as ``"p95"``, and seconds.
    share
        Share of the requests that must be within the limit.
    requests
        Number of requests whose time is known.
    unknown
        Number of requests that ended without a known time.
    within
        Share of the known requests within the limit; None without any.
    lower, upper
        Bounds of the mean share.
    verdict
        The first that holds: ``"kept"`` if ``lower`` reaches ``share``; ``"unreachable"`` if
        ``within`` is below it, and so are the upper bounds of every model, or of every mix that
        keeps the floor; ``"broken"`` if ``upper`` is below it; ``"at risk"`` if only ``within`` is
        below it; ``"unknown"``.
    reason
        The verdict's reason in words.
    confidence, method, assumptions
        How the bounds are computed, with which confidence they hold, and under which assumptions.
    models
        The models that may serve, the fastest first.
    """

    sla: str
    measure: str
    quantile: str
    limit: float
    share: float
    requests: int
    unknown: int
    within: float | None
    lower: float
    upper: float
    verdict: Verdict
    reason: str
    confidence: float
    method: str
    assumptions: tuple[str, ...]
    models: tuple[ModelTimes, ...] = ()

    @property
    def promise(self) -> str:
        """The promise in words.

        Examples
        --------
        >>> sla = SLA("fast", floor=0.9, ttft={"p95": 2.0})
        >>> latency_certificates_of(sla, Timeliness(sla), ("only",))[0].promise
        'first content within 2 s for 95 % of the requests'
        """
        what = "first content" if self.measure == "ttft" else "whole answer"
        return f"{what} within {self.limit:g} s for {100.0 * self.share:g} % of the requests"

    def rows(self) -> list[tuple[str, str]]:
        """Rows of a table that shows the promise beside the others of its SLA."""
        return [
            (self.promise, f"{self.verdict}: {self.reason}"),
            (
                "share within the limit",
                f"{show_number(self.within)} in [{show_number(self.lower)}, "
                f"{show_number(self.upper)}], {self.requests:,} requests",
            ),
        ]


def latency_certificates_of(
    sla: SLA,
    timeliness: Timeliness,
    models: Sequence[str],
    labels: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> tuple[LatencyCertificate, ...]:
    """Certify the promises of latency of an SLA.

    Parameters
    ----------
    sla, timeliness
        The SLA, and what was counted under it.
    models
        Names of the models that may serve.
    labels
        By model name: number of labels, and the sums of their weights and weighted scores; empty
        where they say nothing of the other responses.
    """
    return tuple(
        certify_latency(sla, promise, timeliness.counts(promise), models, labels)
        for promise in timeliness.promises
    )


def certify_latency(
    sla: SLA,
    promise: LatencyPromise,
    counts: PromiseCounts,
    models: Sequence[str],
    labels: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> LatencyCertificate:
    """Certify one promise of latency by its counts.

    That no model is fast enough is found as that a floor is out of reach is
    (``reachability_of``): let one model keep the promise alone; then the bounds of all models are
    below it only if that model's is wrong, so its error is half of the SLA's for all of them. Half
    of that goes to this claim. The other half goes to the claim that no mix keeps floor and promise
    together: of the mixes that keep the floor, one of two models has the most requests within the
    limit, and the claim is wrong only if one of its four bounds is.
    """
    delta = 1.0 - sla.confidence
    known, within, unknown = counts.known, counts.within, counts.unknown
    lower = betting_interval(known + unknown, within, delta).lower
    upper = betting_interval(known + unknown, within + unknown, delta).upper
    share = within / known if known else None
    times = _model_times(counts, models, delta / 4.0)
    # Where every model is fast enough, so is every mix.
    slow = bool(labels) and any(row.upper < promise.share for row in times)
    together = _most_within(sla.floor, counts, models, labels, delta / 16.0) if slow else None
    verdict, reason = _judge(promise, share, lower, upper, times, (sla.floor, together))
    assumptions = (_CENSUS, _LATE, *((_UNKNOWN,) if unknown else ()), _OWN)
    return LatencyCertificate(
        sla=sla.name,
        measure=promise.measure,
        quantile=promise.quantile,
        limit=promise.limit,
        share=promise.share,
        requests=known,
        unknown=unknown,
        within=share,
        lower=lower,
        upper=upper,
        verdict=verdict,
        reason=reason,
        confidence=sla.confidence,
        method=LATENCY_METHOD,
        assumptions=(*assumptions, _ALONE) if verdict == "unreachable" else assumptions,
        models=times,
    )


def _model_times(
    counts: PromiseCounts, models: Sequence[str], delta: float
) -> tuple[ModelTimes, ...]:
    given = [counts.models.get(name, (0, 0)) for name in models]
    calls, within = np.array(given, dtype=np.float64).reshape(-1, 2).T
    upper = 1.0 - betting_lower(calls, calls - within, delta)
    times = [
        ModelTimes(name, int(n), w / n if n else None, u)
        for name, n, w, u in zip(
            models, *(part.tolist() for part in (calls, within, upper)), strict=True
        )
    ]
    return tuple(sorted(times, key=lambda model: -model.upper))


def _was(broken: str, upper: float, promise: LatencyPromise) -> str:
    """Say of the requests so far that the promise is broken, if it is."""
    return f"; for the requests so far, {broken}" if upper < promise.share else ""


def _most_within(
    floor: float,
    counts: PromiseCounts,
    models: Sequence[str],
    labels: Mapping[str, Sequence[float]],
    delta: float,
) -> float | None:
    """Upper bound of the share within the limit of mixes that keep a floor; None if none does."""
    calls, within = np.array([counts.models.get(n, (0, 0)) for n in models], dtype=np.float64).T
    fast = 1.0 - betting_lower(calls, calls - within, delta)
    _, weight, total = np.array([labels.get(n, (0.0, 0.0, 0.0)) for n in models]).T
    good = 1.0 - betting_lower(weight, np.clip(weight - total, 0.0, weight), delta)
    best: float | None = None
    for high, q in enumerate(good.tolist()):
        if q < floor:
            continue
        for low, other in enumerate(good.tolist()):
            # As much of the other model as the floor leaves.
            share = 1.0 if other >= floor else (q - floor) / (q - other)
            mixed = float((1.0 - share) * fast[high] + share * fast[low])
            best = mixed if best is None else max(best, mixed)
    return best


def _judge(
    promise: LatencyPromise,
    within: float | None,
    lower: float,
    upper: float,
    models: Sequence[ModelTimes],
    together: tuple[float, float | None],
) -> tuple[Verdict, str]:
    promised = f"the promised share {promise.share:g}"
    if within is None:
        return "unknown", "the time of no request is known yet"
    if lower >= promise.share:
        return "kept", f"the lower bound {lower:.4f} reaches {promised}"
    broken = f"the upper bound {upper:.4f} is below {promised}"
    if models and within < promise.share and models[0].upper < promise.share:
        return "unreachable", (
            f"no model is fast enough: of the fastest one's calls at most {models[0].upper:.4f} "
            f"are within {promise.limit:g} s, below {promised}" + _was(broken, upper, promise)
        )
    floor, most = together
    if most is not None and within < promise.share and most < promise.share:
        return "unreachable", (
            f"no mix of models that keeps the floor {floor:g} keeps this promise: at most "
            f"{most:.4f} of its requests are within {promise.limit:g} s, below {promised}"
            + _was(broken, upper, promise)
        )
    if upper < promise.share:
        return "broken", broken
    if within < promise.share:
        return "at risk", (
            f"the share {within:.4f} is below {promised}, which lies between the bounds"
        )
    return "unknown", f"the share {within:.4f} reaches {promised}, which lies between the bounds"
