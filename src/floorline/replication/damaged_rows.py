"""Rows of the shared tables that are not what was written: found, kept and replaced.

The learner does so by itself with rows of the inbox that it meets, so that one damaged row stops no
other event. The rows stay in the table ``inbox_damaged`` as they were found.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from floorline.errors import StoreDamaged
from floorline.replication.inbox import is_whole, tombstone_row
from floorline.replication.tables import inbox, inbox_damaged, insert, metadata, states
from floorline.stores.engine import open_engine, store_errors
from floorline.stores.integrity import row_checksum
from floorline.stores.verification import Damage, whole_rows

_PAGE_SIZE = 1000
"""Number of rows read at a time."""
_WRONG = "its checksum is wrong"


class SharedDamage(NamedTuple):
    """What is damaged in the tables that replicas share.

    Attributes
    ----------
    waiting
        Number of events in the inbox.
    kept
        Number of damaged events whose rows are kept elsewhere, after tombstones took their place.
    rows
        Ids of the damaged rows of the inbox.
    states
        Names of the damaged states.
    unreadable
        Why the tables cannot be read to their end; None if they can.
    """

    waiting: int = 0
    kept: int = 0
    rows: Sequence[int] = ()
    states: Sequence[str] = ()
    unreadable: str | None = None

    def damages(self) -> list[Damage]:
        """Return all of it in words."""
        lost = "one event: a learner puts a tombstone in its place"
        stale = "servers, which go on from the state before it until the next one"
        found = [Damage(f"inbox row {id}", _WRONG, lost) for id in self.rows]
        found += [Damage(f"state {name}", _WRONG, stale) for name in self.states]
        if self.unreadable is not None:
            found.append(Damage("the inbox", self.unreadable, "events that wait for the learner"))
        return found


def find_damage(engine: sa.Engine) -> SharedDamage | None:
    """Read what replicas share; None if no replicas shared this store.

    Raises
    ------
    StoreUnavailable
        If the database cannot be read at all.
    """
    found = SharedDamage()
    try:
        with store_errors(engine), engine.connect() as connection:
            there = set(sa.inspect(connection).get_table_names())
            if inbox.name not in there:
                return None
            rows = connection.execute(sa.select(states)).mappings().all()
            bad = [row["name"] for row in rows if not state_is_whole(row)]
            count = sa.select(sa.func.count()).select_from(inbox_damaged)
            kept = connection.scalar(count) if inbox_damaged.name in there else 0
            found = found._replace(states=bad, kept=kept or 0)
            last, more = -1, True
            while more:
                query = sa.select(inbox).where(inbox.c.id > last).order_by(inbox.c.id)
                page = connection.execute(query.limit(_PAGE_SIZE)).mappings().all()
                damaged = [*found.rows, *(row["id"] for row in page if not is_whole(row))]
                found = found._replace(rows=damaged, waiting=found.waiting + len(page))
                more = len(page) == _PAGE_SIZE
                last = page[-1]["id"] if page else last
    except StoreDamaged as error:
        return found._replace(unreadable=error.problem)
    return found


def state_is_whole(row: Mapping[Any, Any]) -> bool:
    """Return whether a published state has the checksum that it was written with."""
    values = {name: row[name] for name in row if name not in ("at", "checksum")}
    values["body"] = bytes(values["body"])
    return row_checksum(states, values) == bytes(row["checksum"])


def copy_shared(source: sa.Engine, connection: sa.Connection) -> None:
    """Copy what replicas share into the repaired copy of a SQLite store, as far as it can be read.

    Parameters
    ----------
    source
        Engine of the damaged store.
    connection
        Connection to the copy, in a transaction.
    """
    with store_errors(source):
        there = set(sa.inspect(source).get_table_names())
    if inbox.name not in there:
        return
    metadata.create_all(connection)
    for table in metadata.sorted_tables:
        # A table on damaged pages: the rest of it is lost.
        with contextlib.suppress(StoreDamaged):
            if table.name in there:
                columns: list[Any] = [sa.column(str(column.name)) for column in table.columns]
                insertion = sa.table(table.name, *columns).insert()
                for values in whole_rows(source, table):
                    connection.execute(insertion, values)


def keep_damaged(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Copy damaged rows of the inbox to the table in which they are kept."""
    columns = [str(column.name) for column in inbox.columns]
    for part in _parts(ids):
        rows = sa.select(*(inbox.c[name] for name in columns)).where(inbox.c.id.in_(part))
        put = insert(connection.engine, inbox_damaged).from_select(columns, rows)
        connection.execute(put.on_conflict_do_nothing(index_elements=[inbox_damaged.c.id]))


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield ids page by page: databases limit the number of parameters of a statement."""
    for start in range(0, len(ids), _PAGE_SIZE):
        yield ids[start : start + _PAGE_SIZE]


def mend(engine: sa.Engine, found: SharedDamage) -> None:
    """Put tombstones in the place of damaged rows of the inbox, and delete damaged states.

    The learner's lease must be held. It publishes a new state by itself.

    Raises
    ------
    StoreUnavailable
        If the database raises an error; nothing is changed then.
    """
    writable = engine
    if engine.dialect.name == "sqlite":
        # A repair reads the damaged file only.
        engine.dispose()
        writable = open_engine(engine.url.render_as_string())
    try:
        with store_errors(writable), writable.begin() as connection:
            metadata.create_all(connection)
            keep_damaged(connection, found.rows)
            mended = inbox.update().where(inbox.c.id == sa.bindparam("row"))
            for part in _parts(found.rows):
                query = sa.select(inbox).where(inbox.c.id.in_(part))
                rows = connection.execute(query).mappings().all()
                made = [{"row": row["id"], **tombstone_row(row)} for row in rows]
                if made:
                    connection.execute(mended, made)
            connection.execute(states.delete().where(states.c.name.in_(found.states)))
    finally:
        if writable is not engine:
            writable.dispose()
