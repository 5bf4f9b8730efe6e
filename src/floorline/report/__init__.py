"""Plots of what a replay measured."""

from floorline.report.plots import front, over_time, response

__all__ = ["front", "over_time", "response"]
