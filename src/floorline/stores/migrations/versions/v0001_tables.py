"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from floorline.stores import marks

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create them."""
    position = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "events",
        sa.Column("position", position, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("decision", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("completion", sa.Text),
        sa.Column("tenant", sa.Text),
        sa.Column("key", sa.Text),
        sa.Column("cost", sa.Double),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("checksum", sa.LargeBinary, nullable=False),
        sa.Column("link", sa.LargeBinary, nullable=False),
    )
    for name, columns in {
        "decision": ["decision"],
        "completion": ["completion", "tenant", "key", "position"],
        "key": ["key", "at"],
    }.items():
        present = sa.text(f"{columns[0]} IS NOT NULL")
        op.create_index(
            f"events_by_{name}",
            "events",
            columns,
            sqlite_where=present,
            postgresql_where=present,
        )
    op.create_table(
        "snapshots",
        sa.Column("position", position, primary_key=True, autoincrement=False),
        sa.Column("oldest", position, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("link", sa.LargeBinary, nullable=False),
        sa.Column("checksum", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "prompts",
        sa.Column("decision", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("checksum", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "documents",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("checksum", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("slas", sa.JSON(none_as_null=True)),
        sa.Column("models", sa.JSON(none_as_null=True)),
        sa.Column("rate", sa.Double),
        sa.Column("feedback_rate", sa.Double),
        sa.Column("budget", sa.Double),
        sa.Column("period", sa.Double),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("revoked", sa.Double),
        sa.Column("checksum", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("position", position, nullable=False),
        sa.Column("link", sa.LargeBinary, nullable=False),
        sa.Column("checksum", sa.LargeBinary, nullable=False),
    )
    marks.set_up(op.get_bind())
