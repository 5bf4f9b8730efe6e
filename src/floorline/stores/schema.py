"""The tables of a durable store and their version."""

from __future__ import annotations

import sqlalchemy as sa

HEAD = "0003"
"""Version of these tables; the newest migration leads to it."""

metadata = sa.MetaData()

# In SQLite only a primary key of type INTEGER is the row number; others need a second tree.
_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# The column ``completion`` holds what clients name a row by beside the id of its decision: of an
# outcome the id of its completion, of a decision its session.
events = sa.Table(
    "events",
    metadata,
    sa.Column("position", _POSITION, primary_key=True, autoincrement=False),
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
for _name, _columns in {
    "decision": [events.c.decision],
    "completion": [events.c.completion, events.c.tenant, events.c.key, events.c.position],
    "key": [events.c.key, events.c.at],
}.items():
    _present = _columns[0].is_not(None)
    sa.Index(f"events_by_{_name}", *_columns, sqlite_where=_present, postgresql_where=_present)

CHANGES = sa.text("kind NOT IN ('decision', 'outcome', 'feedback', 'recall')")
"""Condition of the events that are changes: of models, SLAs and the configuration, warm starts and
tombstones. A query uses their index only if it has the very same condition."""
sa.Index("events_of_changes", events.c.position, sqlite_where=CHANGES, postgresql_where=CHANGES)

snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("position", _POSITION, primary_key=True, autoincrement=False),
    sa.Column("oldest", _POSITION, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("link", sa.LargeBinary, nullable=False),
    sa.Column("checksum", sa.LargeBinary, nullable=False),
)

prompts = sa.Table(
    "prompts",
    metadata,
    sa.Column("decision", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("checksum", sa.LargeBinary, nullable=False),
)

ARTEFACT = "artefact"
"""Kind of the documents that hold the history of a warm start, named by its digest. The column
``key`` of the event holds the same digest."""

INITIAL_STATE = ("initial_state", "router")
"""Kind and name of the document that holds what a log begins with."""

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("checksum", sa.LargeBinary, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
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

# Logins of the dashboard. A login that is lost or changed ends, so that they have no checksums.
logins = sa.Table(
    "logins",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("csrf", sa.Text, nullable=False),
    sa.Column("began", sa.Double, nullable=False),
    sa.Column("seen", sa.Double, nullable=False),
)

marks = sa.Table(
    "marks",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", _POSITION, nullable=False),
    sa.Column("link", sa.LargeBinary, nullable=False),
    sa.Column("checksum", sa.LargeBinary, nullable=False),
)
