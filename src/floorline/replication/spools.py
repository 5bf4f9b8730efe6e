"""Which replicas may have events on a disk: what these cost is not in the log yet."""

from __future__ import annotations

import sqlalchemy as sa

from floorline.replication.tables import insert, members, now, spools
from floorline.stores.engine import store_errors


class SpoolRegister:
    """Replicas with a spool, from their start until nothing can be in it any more.

    Every method raises StoreUnavailable if the database raises an error.

    Parameters
    ----------
    engine
        Engine of the store.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, replica: str) -> None:
        """Say that a replica has a spool."""
        put = insert(self._engine, spools).values(replica=replica)
        self._execute(put.on_conflict_do_nothing(index_elements=[spools.c.replica]))

    def remove(self, replica: str) -> None:
        """Say that nothing is in the spool of a replica that ended: another process drained it."""
        self._execute(spools.delete().where(spools.c.replica == replica))

    def note_gone(self, replica: str) -> None:
        """Note that a replica is gone, by the database's clock; without effect if it has none."""
        mine = spools.update().where(spools.c.replica == replica)
        self._execute(mine.values(gone=now(self._engine)))

    def undrained(self, seconds: float) -> set[str]:
        """Return the replicas that are gone for less than some time and whose spool may exist."""
        recent = now(self._engine) - spools.c.gone < seconds
        query = sa.select(spools.c.replica).where(spools.c.gone.is_not(None), recent)
        with store_errors(self._engine), self._engine.connect() as connection:
            return set(connection.scalars(query).all())

    def forget(self, seconds: float) -> None:
        """Forget the spools of replicas that are gone for longer, and did not come back.

        A replica that gave no sign of life yet counts as gone from the first call on: it was killed
        while it started, or it waits for its start, and then it is added again.
        """
        away = spools.c.replica.not_in(sa.select(members.c.id))
        started = spools.update().where(spools.c.gone.is_(None), away)
        self._execute(started.values(gone=now(self._engine)))
        old = now(self._engine) - spools.c.gone >= seconds
        self._execute(spools.delete().where(spools.c.gone.is_not(None), old, away))

    def _execute(self, statement: sa.Executable) -> None:
        with store_errors(self._engine), self._engine.begin() as connection:
            connection.execute(statement)
