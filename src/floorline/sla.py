"""SLAs: a floor on mean satisfaction, and optionally budgets and a latency ceiling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from floorline.core.bounds import check_name
from floorline.errors import InvalidInput, check_number, listed
from floorline.zoo import Zoo

_FLOOR_FIX = "give the share of satisfied requests as a number from 0 to 1"


_MIN_PERIOD, _MAX_PERIOD = 1e-3, 1e10
"""Range of a budget's period in seconds. In a shorter one the number of periods since 1970 is no
longer exact; a longer one, 317 years, never ends."""
_MAX_WINDOW = 10_000_000
"""Most labels of an SLA's window; a label takes about 200 bytes of memory."""


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
        all have one.
    models
        Names of the models that may serve; None for the whole zoo.
    guarded
        Whether policies that can do so keep a surplus (``guarantees.guard_surplus``) with which the
        lower bound of satisfaction reaches the floor, and not only the mean.

    Raises
    ------
    InvalidInput
        If a value is out of its range.

    Examples
    --------
    >>> SLA("gold", floor=0.9).floor
    0.9
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
    v: int = 1

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
