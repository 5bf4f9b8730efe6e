"""SLAs: a floor on mean satisfaction, and optionally budgets and promises of latency."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from floorline.core.bounds import MAX_LATENCY, check_name
from floorline.errors import InvalidInput, check_number, listed
from floorline.zoo import Zoo

_FLOOR_FIX = "give the share of satisfied requests as a number from 0 to 1"


_MIN_PERIOD, _MAX_PERIOD = 1e-3, 1e10
"""Range of a budget's period in seconds. In a shorter one the number of periods since 1970 is no
longer exact; a longer one, 317 years, never ends."""
_MAX_WINDOW = 10_000_000
"""Most labels of an SLA's window; a label takes about 200 bytes of memory."""

Measure = Literal["ttft", "latency"]
"""What a latency promise is about: seconds to the first content, or to the end of the answer."""
MEASURES: tuple[Measure, ...] = get_args(Measure)
_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,3})?)")
_MIN_QUANTILE, _MAX_QUANTILE = 50.0, 99.9
"""Range of a promised quantile in percent. Below the median a promise says little; beyond p99.9 a
thousand requests hold no late one, so that nothing could be learned from them."""
_QUANTILE_FIX = "name a quantile from p50 to p99.9, such as p95"
_MAX_QUANTILES = 4
"""Most quantiles of one measure: each has counts and a price of its own."""


class LatencyPromise(NamedTuple):
    """One promise on latency: at least ``share`` of the requests take at most ``limit`` seconds.

    Attributes
    ----------
    measure
        ``"ttft"`` for the time to the first content, ``"latency"`` for that to the end.
    quantile
        Name of the quantile, such as ``"p95"``.
    share
        Share of the requests to be within the limit: 0.95 for p95.
    limit
        Seconds.
    """

    measure: Measure
    quantile: str
    share: float
    limit: float

    @property
    def name(self) -> str:
        """Name that tells this promise from every other one.

        Examples
        --------
        >>> LatencyPromise("ttft", "p95", 0.95, 2.0).name
        'ttft p95 2 s'
        """
        return f"{self.measure} {self.quantile} {self.limit:.9g} s"

    @property
    def tolerated(self) -> float:
        """Share of the requests that may be late."""
        return 1.0 - self.share


def quantile_share(name: str) -> float:
    """Share of the requests that a quantile stands for; InvalidInput if it is none.

    Examples
    --------
    >>> quantile_share("p95"), quantile_share("p99.9")
    (0.95, 0.999)
    """
    match = _QUANTILE.fullmatch(name) if isinstance(name, str) else None
    percent = float(match[1]) if match else 0.0
    if not _MIN_QUANTILE <= percent <= _MAX_QUANTILE:
        raise InvalidInput("quantile", name, _QUANTILE_FIX)
    return round(percent / 100.0, 12)


def check_quantiles(field: str, given: Any) -> dict[str, float]:
    """Return a mapping of quantiles to seconds, by rising quantile; InvalidInput if it is none.

    Parameters
    ----------
    field
        Name for errors.
    given
        Such as ``{"p95": 2.0}``.
    """
    if not isinstance(given, Mapping) or not 0 < len(given) <= _MAX_QUANTILES:
        fix = f'give seconds by quantile, such as {{"p95": 2.0}}, of at most {_MAX_QUANTILES}'
        raise InvalidInput(field, given, fix)
    found: dict[float, tuple[str, float]] = {}
    for name, seconds in given.items():
        try:
            share = quantile_share(name)
        except InvalidInput as error:
            raise InvalidInput(field, name, error.fix) from None
        fix = f"give seconds above 0, at most {MAX_LATENCY:g}"
        limit = check_number(f"{field}[{name!r}]", seconds, high=MAX_LATENCY, fix=fix)
        if limit <= 0.0:
            raise InvalidInput(f"{field}[{name!r}]", seconds, fix)
        if share in found:
            raise InvalidInput(field, name, f"name each quantile once: {found[share][0]} is it too")
        found[share] = name, limit
    ordered = [found[share] for share in sorted(found)]
    for (lower, less), (higher, more) in pairwise(ordered):
        if more < less:
            fix = f"give {higher} at least the {less:g} s of {lower}: it holds for more requests"
            raise InvalidInput(f"{field}[{higher!r}]", more, fix)
    return dict(ordered)


def check_floor(field: str, value: float) -> float:
    """Return a floor as float if it lies in [0, 1]; InvalidInput otherwise."""
    return check_number(field, value, low=0.0, high=1.0, fix=_FLOOR_FIX)


def period_start(period: float | None, at: float) -> float:
    """Time in seconds at which the budget period that holds at time ``at`` begins.

    Periods begin at the multiples of their length ``period`` (seconds); 0 if ``period`` is None.

    Examples
    --------
    >>> period_start(60.0, at=125.0), period_start(None, at=125.0)
    (120.0, 0.0)
    """
    return 0.0 if period is None else math.floor(at / period) * period


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Largest cost of the calls under an SLA, in the zoo's cost unit.

    Parameters
    ----------
    total
        Budget of all models together; None for no bound.
    per_model
        Budgets of single models, by name.
    period
        Seconds after which both are renewed, at the multiples of ``period`` in event time; None for
        budgets that are never renewed.

    Raises
    ------
    InvalidInput
        If an amount is negative or not finite, or ``period`` is below a millisecond.

    Examples
    --------
    >>> Budget(total=10.0, per_model={"large": 4.0}).total
    10.0
    """

    total: float | None = None
    per_model: Mapping[str, float] = {}
    period: float | None = None
    v: int = 1

    def __post_init__(self) -> None:
        if self.total is not None:
            check_number("Budget.total", self.total, low=0.0, fix="give an amount of 0 or more")
        for name, amount in self.per_model.items():
            check_number(
                f"Budget.per_model[{name!r}]", amount, low=0.0, fix="give an amount of 0 or more"
            )
        if self.period is not None:
            fix = f"give a number of seconds from {_MIN_PERIOD:g} to {_MAX_PERIOD:g}, or None"
            check_number("Budget.period", self.period, low=_MIN_PERIOD, high=_MAX_PERIOD, fix=fix)


class SLA(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Service-level agreement on a stream of requests.

    Parameters
    ----------
    name
        Name that requests give; unique in a router.
    floor
        Floor τ in [0, 1] on the long-run mean satisfaction.
    budget
        Largest cost; None for no bound.
    confidence
        Confidence in (0, 1) of the bounds in ``Router.status``.
    label_window
        Number of latest labels over which the status also states the mean; None for no window.
    max_latency
        Seconds. Models with a higher median latency over their latest calls do not serve, unless
        all have one. A rule on single models; ``latency`` promises a share of the requests.
    models
        Names of the models that may serve; None for the whole zoo.
    guarded
        Whether policies that can do so keep a surplus (``guarantees.guard_surplus``) with which the
        lower bound of satisfaction reaches the floor, and not only the mean. The same holds for the
        promises of latency.
    ttft, latency
        Promised seconds by quantile, to the first content of the answer and to its end:
        ``{"p95": 2.0}`` promises that at least 95 % of the requests take at most 2 s. None for no
        promise. The floor has priority where both cannot be kept (docs/latency.md).

    Raises
    ------
    InvalidInput
        If a value is out of its range.

    Examples
    --------
    >>> SLA("gold", floor=0.9).floor
    0.9
    >>> [promise.name for promise in SLA("fast", floor=0.9, ttft={"p95": 2}).latency_promises]
    ['ttft p95 2 s']
    >>> SLA("gold", floor=1.2)
    Traceback (most recent call last):
    ...
    floorline.errors.InvalidInput: SLA.floor of 'gold' is 1.2: give the share of satisfied ...
    """

    name: str
    floor: float
    budget: Budget | None = None
    confidence: float = 0.95
    label_window: int | None = None
    max_latency: float | None = None
    models: tuple[str, ...] | None = None
    guarded: bool = False
    ttft: Mapping[str, float] | None = None
    latency: Mapping[str, float] | None = None
    v: int = 2

    def __post_init__(self) -> None:
        check_name("SLA.name", self.name, empty=False)
        check_floor(f"SLA.floor of {self.name!r}", self.floor)
        fix = "give a number above 0 and below 1, such as 0.95"
        if not 0.0 < check_number("SLA.confidence", self.confidence, fix=fix) < 1.0:
            raise InvalidInput("SLA.confidence", self.confidence, fix)
        if self.label_window is not None:
            fix = f"give a whole number of labels from 1 to {_MAX_WINDOW:,}, or None"
            window = check_number(
                "SLA.label_window", self.label_window, low=1, high=_MAX_WINDOW, fix=fix
            )
            if window % 1:
                raise InvalidInput("SLA.label_window", self.label_window, fix)
        if self.max_latency is not None:
            check_number(
                "SLA.max_latency", self.max_latency, low=0.0, fix="give seconds of 0 or more"
            )
        if self.models is not None and not self.models:
            raise InvalidInput("SLA.models", (), "name at least one model, or None for all")
        for measure in MEASURES:
            given = getattr(self, measure)
            if given is not None:
                checked = check_quantiles(f"SLA.{measure}", given)
                msgspec.structs.force_setattr(self, measure, checked)

    @property
    def latency_promises(self) -> tuple[LatencyPromise, ...]:
        """Promises of latency, in the order of ``MEASURES`` and of rising quantiles."""
        return tuple(
            LatencyPromise(measure, quantile, quantile_share(quantile), limit)
            for measure in MEASURES
            for quantile, limit in (getattr(self, measure) or {}).items()
        )

    def check_against(self, zoo: Zoo) -> None:
        """Raise InvalidInput if the SLA names a model that the zoo lacks."""
        named = [("SLA.models", name) for name in self.models or ()]
        if self.budget is not None:
            named += [("Budget.per_model", name) for name in self.budget.per_model]
        for field, name in named:
            if name not in zoo:
                raise InvalidInput(
                    f"{field} of SLA {self.name!r}",
                    name,
                    "name a model of the zoo: " + listed(zoo.names),
                )


def check_slas(slas: Sequence[SLA], zoo: Zoo) -> None:
    """Raise InvalidInput if there is no SLA, two have one name, or one names an unknown model."""
    if not slas:
        raise InvalidInput("slas", [], "give at least one SLA")
    names = [sla.name for sla in slas]
    for sla in slas:
        if names.count(sla.name) > 1:
            raise InvalidInput("slas", sla.name, "give every SLA its own name")
        sla.check_against(zoo)
