"""What the learner takes out of the inbox: in which order, and what waits for a missing event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from floorline.events import Event
from floorline.replication.inbox import event_of, is_whole, lost_event
from floorline.replication.tables import inbox, replicas
from floorline.stores.engine import store_errors


class Waiting(NamedTuple):
    """An event that waits in the inbox.

    Attributes
    ----------
    id
        Number of its row.
    replica, number
        The replica that appended it, and its number there.
    event
        The event.
    """

    id: int
    replica: str
    number: int
    event: Event


class Taken(NamedTuple):
    """What the learner takes out of the inbox at once.

    Attributes
    ----------
    events
        Events in an order in which they can be folded; tombstones in the place of damaged ones.
    repeated
        Ids of rows whose event is in the log already.
    damaged
        Ids of rows with another checksum.
    misplaced
        Those of the damaged rows whose place is not known, because their replica and number do not
        fit to what is in the log.
    gaps
        Number of the first event that waits for a missing one before it, by replica.
    """

    events: list[Waiting]
    repeated: list[int]
    damaged: list[int]
    misplaced: list[int]
    gaps: dict[str, int]


class InboxReader:
    """Reads what waits for the learner, in an order in which it can be folded.

    The order is that of the rows' ids. A row gets its id before it is committed, and what depends
    on it is appended after that, so it comes first. A row that is committed late is still there at
    the next read, because rows are deleted when they are in the log, and no read begins after an
    id.

    Parameters
    ----------
    engine
        Engine of the store.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def consumed(self) -> dict[str, int]:
        """Return the number of the last event in the log of each replica.

        Raises
        ------
        StoreUnavailable
            If the database raises an error.
        """
        with store_errors(self._engine), self._engine.connect() as connection:
            rows = connection.execute(sa.select(replicas.c.id, replicas.c.consumed)).all()
        return {row.id: row.consumed for row in rows}

    def last_number(self, replica: str) -> int:
        """Return the number of the last event of a replica in the log and the inbox; 0 for none.

        Raises
        ------
        StoreUnavailable
            If the database raises an error.
        """
        waiting = sa.select(sa.func.max(inbox.c.number)).where(inbox.c.replica == replica)
        done = sa.select(replicas.c.consumed).where(replicas.c.id == replica)
        with store_errors(self._engine), self._engine.connect() as connection:
            # The inbox first: an event may get into the log between the two queries.
            numbers = [connection.scalar(query) for query in (waiting, done)]
        return max(number or 0 for number in numbers)

    def take(self, consumed: Mapping[str, int], limit: int) -> Taken:
        """Choose what comes next in the log, of at most ``limit`` rows.

        Rows that wait for a missing event are passed over where they would fill the whole limit, so
        that they hold up no row that does not depend on them.

        Parameters
        ----------
        consumed
            Number of the last event in the log of each replica; of those that it lacks, the table
            of replicas is asked.
        limit
            Most rows to read at a time.

        Raises
        ------
        UnknownEvent
            If a newer version of Floorline wrote an event that comes next.
        StoreUnavailable
            If the database raises an error.
        """
        passed: dict[str, int] = {}
        gaps: dict[str, int] = {}
        while True:
            with store_errors(self._engine), self._engine.connect() as connection:
                rows = connection.execute(_waiting_query(passed, limit)).mappings().all()
                known = self._known(connection, {row["replica"] for row in rows} - consumed.keys())
            taken, waiting = self._choose(rows, {**known, **consumed})
            gaps = {**taken.gaps, **gaps}
            new = {name: number for name, number in waiting.items() if name not in passed}
            if len(rows) < limit or not new or 2 * len(taken.events) >= limit:
                return taken._replace(gaps=gaps)
            # One statement reads what is left, so that no row is seen without those it depends on.
            passed |= new

    def _known(self, connection: sa.Connection, names: set[str]) -> dict[str, int]:
        """Return the number of the last event in the log of some replicas."""
        if not names:
            return {}
        query = sa.select(replicas.c.id, replicas.c.consumed).where(replicas.c.id.in_(names))
        return {row.id: row.consumed for row in connection.execute(query)}

    def _choose(
        self, rows: Sequence[Mapping[Any, Any]], consumed: Mapping[str, int]
    ) -> tuple[Taken, dict[str, int]]:
        """Return what comes next, and the first number that waits of each replica that waits."""
        taken = Taken([], [], [], [], {})
        next_number = {name: number + 1 for name, number in consumed.items()}
        held_back: set[str] = set()
        waiting: dict[str, int] = {}
        # Replicas whose next event is there, and waits for a decision of another one.
        dependent: set[str] = set()
        for row in rows:
            replica, number = row["replica"], row["number"]
            expected = next_number.setdefault(replica, 1)
            if not is_whole(row):
                taken.damaged.append(row["id"])
                if number == expected:
                    taken.events.append(Waiting(row["id"], replica, number, lost_event(row)))
                    next_number[replica] = number + 1
                else:
                    taken.misplaced.append(row["id"])
            elif number < expected:
                taken.repeated.append(row["id"])
            elif number > expected or row["decision"] in held_back or row["depends"]:
                # An earlier event of its replica is missing, or its decision is held back.
                if number == expected:
                    dependent.add(replica)
                elif replica not in dependent:
                    taken.gaps.setdefault(replica, number)
                waiting.setdefault(replica, number)
                if row["decision"] is not None:
                    held_back.add(row["decision"])
            else:
                event = event_of(row, self._engine)
                taken.events.append(Waiting(row["id"], replica, number, event))
                next_number[replica] = number + 1
        return taken, waiting


def _waiting_query(passed: Mapping[str, int], limit: int) -> sa.Select[Any]:
    """Return a query for the first rows of the inbox.

    Parameters
    ----------
    passed
        Rows that are passed over: those of a replica from a number on. Column ``depends`` says
        which other rows are about a decision that has such a row before them.
    limit
        Most rows.
    """

    def is_passed(table: Any) -> sa.ColumnElement[bool]:
        parts = [
            sa.and_(table.c.replica == replica, table.c.number >= number)
            for replica, number in passed.items()
        ]
        return sa.or_(sa.false(), *parts)

    depends: sa.ColumnElement[bool] = sa.false()
    if passed:
        earlier = inbox.alias("earlier")
        same = sa.and_(earlier.c.decision == inbox.c.decision, earlier.c.id < inbox.c.id)
        depends = sa.exists().where(same, is_passed(earlier))
    query = sa.select(inbox, depends.label("depends")).where(sa.not_(is_passed(inbox)))
    return query.order_by(inbox.c.id).limit(limit)
