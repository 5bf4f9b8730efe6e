"""Routing tables (quality and cost of every model on every prompt), and loaders of public data."""

from floorline.datasets.registry import available, load
from floorline.datasets.simulated import simulate
from floorline.datasets.table import RoutingTable

__all__ = ["RoutingTable", "available", "load", "simulate"]
