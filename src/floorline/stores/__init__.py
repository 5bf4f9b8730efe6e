"""Event logs in SQL databases."""

from floorline.stores.opening import open_store

__all__ = ["open_store"]
