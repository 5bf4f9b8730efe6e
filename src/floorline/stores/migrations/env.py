"""Runs migrations on the connection that ``floorline.stores.upgrade`` hands over."""

from __future__ import annotations

from alembic import context

from floorline.stores.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
