"""Event logs in SQL databases."""

from floorline.stores.open_store import open_store

__all__ = ["open_store"]
