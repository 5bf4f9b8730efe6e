"""What can be said of a promise with statistical honesty."""

from floorline.guarantees.sequences import hoeffding_radius

__all__ = ["hoeffding_radius"]
