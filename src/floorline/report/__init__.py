"""Plots of what a replay measured."""

from floorline.report.plots import over_time

__all__ = ["over_time"]
