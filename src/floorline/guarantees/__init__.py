"""Confidence sequences for mean satisfaction, and off-policy estimates."""

from floorline.guarantees.bernstein import EmpiricalBernstein
from floorline.guarantees.betting import BettingMixture, Interval, betting_interval
from floorline.guarantees.guard import guard_margin, guard_surplus
from floorline.guarantees.hedged import HedgedCapital
from floorline.guarantees.sparse import DoublyRobust, InversePropensity

__all__ = [
    "BettingMixture",
    "DoublyRobust",
    "EmpiricalBernstein",
    "HedgedCapital",
    "Interval",
    "InversePropensity",
    "betting_interval",
    "guard_margin",
    "guard_surplus",
]
