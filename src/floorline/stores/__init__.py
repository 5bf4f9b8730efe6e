"""Durable event logs in SQL databases: SQLite and PostgreSQL."""

from floorline.stores.open_store import open_store

__all__ = ["open_store"]
