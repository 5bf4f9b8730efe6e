"""Tables by which replicas share one log: lease, inbox, progress, states and members.

A replica inserts its events into ``inbox``. The one learner, which holds the ``lease``, moves them
into the log in an order of its own. So the log has one appender, whose numbering has no holes, and
an event that is committed late is only read later: the learner follows no sequence past which it
could be lost.
"""

from __future__ import annotations

from hashlib import blake2b

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from floorline.stores.engine import store_errors
from floorline.stores.integrity import DIGEST_BYTES
from floorline.stores.marks import END, GENESIS, START
from floorline.stores.schema import events, marks, snapshots

metadata = sa.MetaData()

# In SQLite only a primary key of type INTEGER counts by itself.
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

LEARNER = "learner"
"""Name of the lease that the learner holds."""
EPOCH = "floorline.epoch"
"""Setting of a learner's connection: the epoch of its lease, which the fence compares."""
OLD_EPOCH = "FL001"
"""SQLSTATE of the error by which the fence refuses a write."""
INBOX_CHANNEL, STATE_CHANNEL = "floorline_inbox", "floorline_state"
"""Channels of ``NOTIFY``: events that wait for the learner, and a new published state."""
_UNIX_EPOCH_DAY, _SECONDS_PER_DAY = 2_440_587.5, 86_400.0
"""Julian day of the beginning of Unix time, and length of a day."""

lease = sa.Table(
    "lease",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
    # In seconds of the database's clock, which is the only one that leases are compared by.
    sa.Column("expires", sa.Double, nullable=False),
    # Since when learners have held it without a long pause: replicas could reach the database.
    sa.Column("since", sa.Double),
)

replicas = sa.Table(
    "replicas",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    # Number of its last event in the log: the learner's defence against events that come twice.
    sa.Column("consumed", sa.BigInteger, nullable=False),
    sa.Column("seen", sa.Double, nullable=False),
)


def _event_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("replica", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("decision", sa.Text),
        sa.Column("completion", sa.Text),
        sa.Column("tenant", sa.Text),
        sa.Column("key", sa.Text),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("artefact", sa.LargeBinary),
        sa.Column("checksum", sa.LargeBinary, nullable=False),
    ]


inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    *_event_columns(),
    sa.UniqueConstraint("replica", "number"),
    sqlite_autoincrement=True,
)
for _name, _columns in {
    "decision": [inbox.c.decision],
    "completion": [inbox.c.completion, inbox.c.tenant, inbox.c.key],
}.items():
    _present = _columns[0].is_not(None)
    sa.Index(f"inbox_by_{_name}", *_columns, sqlite_where=_present, postgresql_where=_present)

# Rows of the inbox with a wrong checksum, as they were found; the log has tombstones instead.
inbox_damaged = sa.Table(
    "inbox_damaged",
    metadata,
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=False),
    *_event_columns(),
)

states = sa.Table(
    "states",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("consumed", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("checksum", sa.LargeBinary, nullable=False),
)

members = sa.Table(
    "members",
    metadata,
    # The ids of its decisions begin with it, so that calls of a process that is gone can be told.
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("seen", sa.Double, nullable=False),
    # JSON for operators: host, address, version, age of its state.
    sa.Column("status", sa.Text, nullable=False),
)

spools = sa.Table(
    "spools",
    metadata,
    sa.Column("replica", sa.Text, primary_key=True),
    # When it was noticed that the replica is gone; NULL while it lives.
    sa.Column("gone", sa.Double),
)

escrow = sa.Table(
    "escrow",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("start", sa.Double, primary_key=True),
    # What all replicas together were granted of the account in the period.
    sa.Column("granted", sa.Double, nullable=False),
)

shares = sa.Table(
    "shares",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("start", sa.Double, primary_key=True),
    sa.Column("replica", sa.Text, primary_key=True),
    sa.Column("granted", sa.Double, nullable=False),
)

_FENCED = (events, snapshots, states, replicas)
"""Tables that only the holder of the lease may write while there is one. Of the marks, those of the
log are fenced."""

# The row of the lease is locked until the writer's transaction ends, so that no later holder can
# begin before it; after a later holder began, the epochs differ.
_FENCE = f"""
CREATE OR REPLACE FUNCTION floorline_fence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE held bigint;
BEGIN
  SELECT epoch INTO held FROM lease WHERE name = '{LEARNER}' FOR SHARE;
  IF FOUND AND held IS DISTINCT FROM nullif(current_setting('{EPOCH}', true), '')::bigint THEN
    RAISE EXCEPTION 'a learner (epoch %%) writes this log, and this process is not it', held
      USING ERRCODE = '{OLD_EPOCH}';
  END IF;
  RETURN NEW;
END $$
"""

# The comments of the function, under no name, and of the triggers that are in force.
_FENCES_THERE = """
SELECT '', obj_description(to_regproc('floorline_fence'), 'pg_proc')
UNION ALL
SELECT tgrelid::regclass::text, obj_description(oid, 'pg_trigger') FROM pg_trigger
WHERE tgname = 'floorline_fence' AND tgenabled = 'O'
"""


def create(engine: sa.Engine) -> None:
    """Create the tables, and PostgreSQL's fence, if they are not there.

    SQLite needs no fence: its learner also holds the writer's lock, which ends with its process.

    Raises
    ------
    StoreUnavailable
        If the database raises an error.
    """
    with store_errors(engine), engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            _create_tables(connection)
            return
        # Of several replicas that start at a time, one creates them.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('floorline tables'))")
        _create_tables(connection)
        _create_fence(connection)


def _create_fence(connection: sa.Connection) -> None:
    """Create what of the fence is missing or another version's.

    A trigger is not created anew at each start: it would wait for the transactions that write its
    table, and later ones would wait for it. A comment says what a trigger was made of.
    """
    rows = connection.exec_driver_sql(_FENCES_THERE).all()
    there = {row[0]: row[1] for row in rows}
    statements = {
        table.name: f"CREATE OR REPLACE TRIGGER floorline_fence BEFORE INSERT OR UPDATE OR DELETE "
        f"ON {table.name} FOR EACH STATEMENT EXECUTE FUNCTION floorline_fence()"
        for table in _FENCED
    }
    statements[marks.name] = (
        f"CREATE OR REPLACE TRIGGER floorline_fence BEFORE INSERT OR UPDATE ON {marks.name} "
        f"FOR EACH ROW WHEN (NEW.name IN ('{START}', '{END}', '{GENESIS}')) "
        "EXECUTE FUNCTION floorline_fence()"
    )
    if there.get("") != _digest(_FENCE):
        connection.exec_driver_sql(_FENCE)
        connection.exec_driver_sql(f"COMMENT ON FUNCTION floorline_fence() IS '{_digest(_FENCE)}'")
    for name, statement in statements.items():
        if there.get(name) != _digest(statement):
            connection.exec_driver_sql(statement)
            connection.exec_driver_sql(
                f"COMMENT ON TRIGGER floorline_fence ON {name} IS '{_digest(statement)}'"
            )


def _digest(statement: str) -> str:
    return blake2b(statement.encode(), digest_size=DIGEST_BYTES).hexdigest()


def _create_tables(connection: sa.Connection) -> None:
    metadata.create_all(connection)
    columns = {column["name"] for column in sa.inspect(connection).get_columns(lease.name)}
    if "since" not in columns:
        # The table is that of an earlier version.
        connection.exec_driver_sql("ALTER TABLE lease ADD COLUMN since DOUBLE PRECISION")


def now(engine: sa.Engine) -> sa.ColumnElement[float]:
    """Return the database's time in seconds, as an expression; the only clock of leases."""
    if engine.dialect.name == "sqlite":
        return (sa.func.julianday("now") - _UNIX_EPOCH_DAY) * _SECONDS_PER_DAY
    return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Double)


def insert(engine: sa.Engine, table: sa.Table) -> PostgresInsert | SqliteInsert:
    """Return an insertion in the dialect of a database, which may name what to do at a conflict."""
    return (sqlite_insert if engine.dialect.name == "sqlite" else postgres_insert)(table)


def notify(connection: sa.Connection, channel: str, text: str) -> None:
    """Wake the processes that listen on a channel, at the commit; those of SQLite look by time."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_notify(channel, text)))
