"""The processes that serve requests, as each one says of itself."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from floorline.replication.tables import inbox, insert, members, now
from floorline.stores.engine import store_errors

VERSION = "version"
"""Field of a process's status: its version of Floorline."""


class Member(NamedTuple):
    """A process that serves requests.

    Attributes
    ----------
    id
        Its name, with which the ids of its decisions begin.
    age
        Seconds since it was seen last.
    status
        What it says of itself.
    """

    id: str
    age: float
    status: dict[str, Any]


class Membership:
    """Reads and writes the list of processes, by the database's clock.

    Every method raises StoreUnavailable if the database raises an error.

    Parameters
    ----------
    engine
        Engine of the store.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def beat(self, id: str, status: dict[str, Any]) -> None:
        """Say that a process lives."""
        present = now(self._engine)
        row = {
            "id": id,
            "started": present,
            "seen": present,
            "status": msgspec.json.encode(status).decode(),
        }
        first = insert(self._engine, members).values(row)
        again = first.on_conflict_do_update(
            index_elements=[members.c.id], set_={"seen": present, "status": row["status"]}
        )
        with store_errors(self._engine), self._engine.begin() as connection:
            connection.execute(again)

    def all(self) -> list[Member]:
        """Return all processes that have not been forgotten, the oldest first."""
        age = (now(self._engine) - members.c.seen).label("age")
        query = sa.select(members.c.id, age, members.c.status)
        with store_errors(self._engine), self._engine.connect() as connection:
            rows = connection.execute(query.order_by(members.c.started)).all()
        return [Member(r.id, float(r.age), status_of(r.status)) for r in rows]

    def gone(self, seconds: float) -> list[Member]:
        """Return processes that were not seen for some time, and of whose events none waits."""
        waiting = sa.select(inbox.c.id).where(inbox.c.replica == members.c.id).exists()
        query = sa.select(members.c.id).where(~waiting)
        with store_errors(self._engine), self._engine.connect() as connection:
            drained = set(connection.scalars(query).all())
        return [one for one in self.all() if one.age > seconds and one.id in drained]

    def forget(self, id: str) -> None:
        """Remove a process that ended, or that is gone and whose calls are closed."""
        with store_errors(self._engine), self._engine.begin() as connection:
            connection.execute(members.delete().where(members.c.id == id))


def status_of(text: str) -> dict[str, Any]:
    """Return what a process says of itself; nothing if the row is damaged.

    Learner and servers read the rows of all processes, so that one must not end them.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
