"""Declared suites of replays, written up as a report folder."""

from floorline.bench.suite import Suite, load_suite

__all__ = ["Suite", "load_suite"]
