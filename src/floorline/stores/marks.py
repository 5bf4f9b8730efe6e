"""Marks of a store: where its log starts and ends, and how many rows its small tables have.

They are written in the transaction of the rows that they describe. So a store without its first or
last events, or without a document or an API key, is told apart from a store that never had them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from floorline.errors import StoreDamaged
from floorline.stores.engine import url_without_password
from floorline.stores.integrity import combined, genesis, row_checksum
from floorline.stores.schema import api_keys, documents, marks

START = "start"
"""Position of the oldest event that is kept, and the link before it."""
END = "end"
"""Number of all events ever, and the link after the last."""
GENESIS = "genesis"
"""Link before the first event ever."""
SEALED = {"documents": documents, "api_keys": api_keys}
"""Tables by name whose mark holds the number of their rows and a digest of all their checksums."""


class Mark(NamedTuple):
    """Position in the log and link there; or number of rows of a table, and their digest."""

    position: int
    link: bytes


def set_up(connection: sa.Connection) -> None:
    """Write the marks of an empty store."""
    for name in (START, END, GENESIS):
        put(connection, name, Mark(0, genesis(None)))
    for name in SEALED:
        put(connection, name, Mark(0, combined([])))


def put(connection: sa.Connection, name: str, mark: Mark) -> None:
    """Write a mark, in the caller's transaction."""
    values = row(name, mark)
    if not connection.execute(marks.update().where(marks.c.name == name), values).rowcount:
        connection.execute(marks.insert(), values)


def row(name: str, mark: Mark) -> dict[str, Any]:
    """Return the row of a mark."""
    values = {"name": name, "position": mark.position, "link": mark.link}
    return {**values, "checksum": row_checksum(marks, values)}


def seal(connection: sa.Connection, name: str) -> None:
    """Write the mark of one of the ``SEALED`` tables, after a change in the same transaction."""
    # Locked, so that of two changes at a time the second one counts the rows of the first.
    connection.execute(sa.select(marks).where(marks.c.name == name).with_for_update())
    put(connection, name, seal_of(connection, name))


def seal_of(connection: sa.Connection, name: str) -> Mark:
    """Return what the mark of one of the ``SEALED`` tables must be."""
    table = SEALED[name]
    # Not whole rows, because the history of a warm start can be large.
    columns = [*map(raw, table.primary_key.columns), raw(table.c.checksum)]
    rows: Sequence[Any] = connection.execute(sa.select(*columns)).all()
    return Mark(len(rows), combined(rows))


def read(connection: sa.Connection) -> dict[str, Mark]:
    """Return all marks by name.

    Raises
    ------
    StoreDamaged
        If one is missing or damaged.
    """
    found, damaged = read_whole(connection)
    store = url_without_password(connection.engine.url)
    for name in damaged:
        raise StoreDamaged(store, f"its mark {name!r} is damaged")
    for name in (START, END, GENESIS, *SEALED):
        if name not in found:
            raise StoreDamaged(store, f"its mark {name!r} is missing")
    return found


def read_whole(connection: sa.Connection) -> tuple[dict[str, Mark], list[str]]:
    """Return the marks that are whole by name, and the names of the damaged ones."""
    query = sa.select(*map(raw, (marks.c.name, marks.c.position, marks.c.link, marks.c.checksum)))
    found, damaged = {}, []
    rows: Sequence[Any] = connection.execute(query).all()
    for name, position, link, checksum in rows:
        values = {"name": name, "position": position, "link": link}
        if row_checksum(marks, values) == checksum:
            found[name] = Mark(position, link)
        else:
            damaged.append(name)
    return found, damaged


def raw(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return a column whose values are not converted: those of a damaged row have any type."""
    return sa.type_coerce(column, sa.types.NULLTYPE)
