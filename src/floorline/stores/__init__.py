"""Where events are kept."""

from floorline.stores.base import EventLog
from floorline.stores.memory import MemoryLog

__all__ = ["EventLog", "MemoryLog"]
