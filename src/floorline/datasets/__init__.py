"""Tables of what every model scored and cost on every prompt, and loaders of public formats."""

from floorline.datasets.registry import available, load
from floorline.datasets.simulated import simulate
from floorline.datasets.table import RoutingTable

__all__ = ["RoutingTable", "available", "load", "simulate"]
