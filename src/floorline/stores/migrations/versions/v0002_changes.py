"""An index of the events that are changes, which are few among millions of requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create it."""
    changes = sa.text("kind NOT IN ('decision', 'outcome', 'feedback', 'recall')")
    op.create_index(
        "events_of_changes", "events", ["position"], sqlite_where=changes, postgresql_where=changes
    )
