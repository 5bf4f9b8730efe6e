"""What can be said of a promise with statistical honesty."""

from floorline.guarantees.betting import BettingMixture, Interval, betting_interval
from floorline.guarantees.guard import guard_margin
from floorline.guarantees.sequences import hoeffding_radius

__all__ = ["BettingMixture", "Interval", "betting_interval", "guard_margin", "hoeffding_radius"]
