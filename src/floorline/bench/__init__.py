"""Suites of replays that YAML files declare, and their reports."""

from floorline._extras import needs

with needs("bench", "running a suite"):
    import matplotlib  # noqa: F401
    import rich  # noqa: F401
    import yaml  # noqa: F401

from floorline.bench.suite import Suite, load_suite

__all__ = ["Suite", "load_suite"]
