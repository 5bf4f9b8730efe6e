"""Where events are kept."""

from floorline.stores.base import EventLog
from floorline.stores.memory import MemoryLog
from floorline.stores.opening import open_store

__all__ = ["EventLog", "MemoryLog", "open_store"]
