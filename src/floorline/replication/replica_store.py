"""The store of a replica: it appends to the inbox, and reads the log and what waits for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from floorline.core.ids import IdSource
from floorline.errors import StoreUnavailable
from floorline.events import Decision, Event, Outcome, Owner
from floorline.replication import tables
from floorline.replication.damaged_rows import state_is_whole
from floorline.replication.inbox import InboxWriter, event_of
from floorline.replication.members import status_of
from floorline.replication.spool import Spool
from floorline.replication.spooling import SpoolingWriter
from floorline.replication.spools import SpoolRegister
from floorline.replication.tables import LEARNER, inbox, members, replicas, states
from floorline.stores.commit import GroupCommit
from floorline.stores.engine import open_engine
from floorline.stores.integrity import column_text
from floorline.stores.queued import QueuedStore
from floorline.stores.reading import all_columns
from floorline.stores.schema import events
from floorline.stores.upgrade import check

_WRITE_SECONDS = 2.0
"""Time within which the database must commit a batch, else it goes to the spool: so long answers
may be late when the database goes away, and so slow it may be without being taken for gone."""
_READ_SECONDS = 10.0
"""Time within which the database must answer a query, so that few threads wait when it is away."""
_DRAIN_SECONDS = 30.0
"""Time within which the database must commit what is drained: a slow database is to take it."""
SPOOLING = "spooling"
"""Field of a replica's status: whether its events go to its disk."""
_SILENT_SECONDS = 3.0
"""Time without a sign of life, of which one comes every 2 s, after which a replica may be cut off
from the database, so that its events are on its disk."""
_LOCK_SECONDS = 2.0
"""Time to wait for the lock of the spool, which another process tries for a moment."""


class PublishedState(NamedTuple):
    """A state that the learner published.

    Attributes
    ----------
    epoch, position
        Lease under which it was written, and number of events in it.
    at
        Time in seconds of the database's clock.
    consumed
        Number of the last event of each replica in it.
    body
        The state, as ``Router.restore`` takes it.
    """

    epoch: int
    position: int
    at: float
    consumed: dict[str, int]
    body: bytes


class ReplicaStore(QueuedStore):
    """Store of one of several replicas; only the learner appends to the log itself.

    Positions are numbers of this replica's own events.

    Parameters
    ----------
    url
        URL of the store that all replicas share.
    replica
        Name of this replica; no other process has it, not even this one after a new start.
    spool
        Folder in which events wait while PostgreSQL cannot be reached; without one no event is
        taken then. A store in SQLite has none.
    max_spool
        Largest size of this replica's events there in bytes.
    max_pending, patience
        As for ``SqlStore``.

    Raises
    ------
    InvalidInput, StoreUnavailable
        As for ``SqlStore``; or if the folder cannot be written.

    Attributes
    ----------
    replica : str
        Name of the replica.
    spooling : SpoolingWriter
        Where events go; None without a spool.
    """

    shared = True

    def __init__(
        self,
        url: str,
        replica: str,
        *,
        spool: Path | None = None,
        max_spool: int = 256 * 2**20,
        max_pending: int = 20_000,
        patience: float = 5.0,
    ) -> None:
        super().__init__(open_engine(url, seconds=None if spool is None else _READ_SECONDS))
        self.replica = replica
        self._engines = [self.engine]
        self.spooling: SpoolingWriter | None = None
        try:
            check(self.engine)
            tables.create(self.engine)
            if spool is None or self.engine.dialect.name == "sqlite":
                self._writer: InboxWriter | SpoolingWriter = InboxWriter(self.engine, replica)
            else:
                SpoolRegister(self.engine).add(replica)
                self._writer = self.spooling = self._spooling_writer(url, spool, max_spool)
        except BaseException:
            self._dispose()
            raise
        self._commits = GroupCommit(
            self._writer, durable=0, max_pending=max_pending, patience=patience
        )

    def _spooling_writer(self, url: str, folder: Path, max_bytes: int) -> SpoolingWriter:
        writing, draining = (open_engine(url, seconds=s) for s in (_WRITE_SECONDS, _DRAIN_SECONDS))
        self._engines += [writing, draining]
        spool = Spool(folder, self.replica, max_bytes, wait=_LOCK_SECONDS)
        return SpoolingWriter(InboxWriter(writing, self.replica), draining, spool)

    def rows(self, query: sa.Select[Any]) -> Sequence[Any]:
        """Return the rows of a query; at once an error while the database is known to be away."""
        failure = self._known_failure
        if failure is not None:
            # Waiting for it would take the threads that requests need.
            raise StoreUnavailable(failure)
        return super().rows(query)

    @property
    def is_away(self) -> bool:
        """Whether the database is known to be away."""
        return self._known_failure is not None

    @property
    def _known_failure(self) -> str | None:
        return None if self.spooling is None else self.spooling.failure

    def warnings(self) -> list[str]:
        """Return what an operator should know although the store can be used."""
        warnings, spooling = super().warnings(), self.spooling
        if spooling is None:
            return warnings
        seconds, spool = spooling.spooling_seconds, spooling.spool
        if seconds is not None:
            warnings.append(
                f"spooling: for {seconds:.0f} s events have gone to the disk of this replica, "
                f"because the database cannot be written: {spool.events:,} events wait there, "
                f"{spool.size / 2**20:.1f} of {spool.max_bytes / 2**20:.0f} MiB"
            )
        return [*warnings, *spooling.damages]

    def lags(self, id: str) -> bool:
        """Whether what an id names may be on the disk of another replica, and come later.

        A client that was told the id of a decision must not be told that there is none. So every
        decision may come whose replica is known, even if it is gone, because its spool may be
        drained; except those that are as old as decisions that were deleted from the log. Which
        replica served a completion cannot be told from its id: it may come while any replica is
        silent, or says that its events go to its disk.

        Parameters
        ----------
        id
            Id of a decision or a completion that neither the log nor the inbox has.

        Raises
        ------
        StoreUnavailable
            If the database raises an error.
        """
        if self.spooling is None:
            # What was answered is in the database.
            return False
        if not IdSource.issues(id):
            return self.spooling.spooling_seconds is not None or self._other_spools()
        maker, _, number = id.rpartition("-")
        # A process is in one of these lists from its start on.
        lists = (members.c.id, replicas.c.id, inbox.c.replica)
        known = [sa.select(sa.exists().where(column == maker)) for column in lists]
        if not any(self.rows(query)[0][0] for query in known):
            return False
        # In an id is a number that is at most the decision's number in the log.
        return int(number, 16) >= self._oldest_decision()

    def _other_spools(self) -> bool:
        """Whether the events of another replica may be on its disk."""
        age = (tables.now(self.engine) - members.c.seen).label("age")
        query = sa.select(age, members.c.status).where(members.c.id != self.replica)
        return any(
            row.age > _SILENT_SECONDS or status_of(row.status).get(SPOOLING)
            for row in self.rows(query)
        )

    def _oldest_decision(self) -> int:
        """Return the number of the oldest decision in the log; 0 for none."""
        query = all_columns().where(events.c.kind == "decision").order_by(events.c.position)
        oldest = [self.event(row) for row in self.rows(query.limit(1))]
        return max((event.seq for event in oldest if isinstance(event, Decision)), default=0)

    def drain(self, seconds: float) -> None:
        """Wait until no event of this replica is in the spool.

        Raises
        ------
        StoreUnavailable
            If it takes longer than some seconds.
        """
        if self.spooling is not None:
            self.spooling.drain(seconds)

    def look(
        self, after: int = -1, not_of: int | None = None
    ) -> tuple[float | None, PublishedState | None]:
        """Return how long ago the learner was at work, and its state if that is new.

        Parameters
        ----------
        after
            Number of events in the state that is known.
        not_of
            Epoch of a learner whose states cannot be read, so that they are left where they are.

        Returns
        -------
        tuple
            Seconds since the learner confirmed the published state, None before the first; and the
            state, None if it has no more than ``after`` events.

        Raises
        ------
        StoreDamaged
            If the state is damaged.
        StoreUnavailable
            If the database raises an error.
        """
        age = (tables.now(self.engine) - states.c.at).label("age")
        query = sa.select(states.c.epoch, states.c.position, age).where(states.c.name == LEARNER)
        for row in self.rows(query):
            new = row.position > after and row.epoch != not_of
            return float(row.age), self.state(after) if new else None
        return None, None

    def state(self, after: int = -1) -> PublishedState | None:
        """Return the latest published state; None if it has no more than ``after`` events.

        Raises
        ------
        StoreDamaged
            If it is damaged.
        StoreUnavailable
            If the database raises an error.
        """
        query = sa.select(states).where(states.c.name == LEARNER, states.c.position > after)
        for row in self.rows(query):
            if not state_is_whole(row._mapping):
                raise self.damaged("the published state is damaged")
            consumed = msgspec.json.decode(row.consumed, type=dict[str, int])
            return PublishedState(row.epoch, row.position, row.at, consumed, bytes(row.body))
        return None

    def decisions_of(
        self, completions: Sequence[str], tenant: str, key: str | None, most: int
    ) -> dict[str, list[str]]:
        """Return which decisions of an owner have a call with one of these completion ids.

        Those that wait come before those in the log; parameters as for ``LogReader``.
        """
        query = sa.select(inbox).where(
            inbox.c.completion.in_([column_text(id) for id in completions]),
            inbox.c.tenant == column_text(tenant) if tenant else inbox.c.tenant.is_(None),
        )
        if key is not None:
            query = query.where(inbox.c.key == column_text(key))
        waiting: dict[str, list[str]] = {}
        # The inbox first: an event may get into the log between the two queries.
        for row in self.rows(query.order_by(inbox.c.id.desc())):
            event = event_of(row._mapping, self.engine)
            if isinstance(event, Outcome) and event.completion is not None:
                waiting.setdefault(event.completion, []).append(event.decision)
        found = super().decisions_of(completions, tenant, key, most)
        for completion, names in waiting.items():
            found[completion] = [*dict.fromkeys([*names, *found.get(completion, ())])][:most]
        return found

    def turns_of(
        self, sessions: Sequence[str], owner: Owner, most: int
    ) -> list[Decision | Outcome]:
        """Return the latest turns of conversations, the earliest first.

        Parameters
        ----------
        sessions
            Names of conversations.
        owner
            Who they belong to.
        most
            Most decisions to return; their outcomes come beside them.

        Raises
        ------
        StoreUnavailable
            If the database raises an error.
        """
        names = [column_text(name) for name in sessions]

        def of_owner(table: sa.Table) -> list[sa.ColumnElement[bool]]:
            found = [table.c.completion.in_(names), table.c.kind == "decision"]
            for column, text in ((table.c.tenant, owner.tenant), (table.c.key, owner.key)):
                if text:
                    found.append(column == column_text(text))
                elif column is table.c.tenant or not owner.tenant:
                    found.append(column.is_(None))
            return found

        # The inbox first: an event may get into the log between the two queries.
        waiting = sa.select(inbox).where(*of_owner(inbox)).order_by(inbox.c.id.desc()).limit(most)
        late = [event_of(row._mapping, self.engine) for row in self.rows(waiting)]
        logged = all_columns().where(*of_owner(events)).order_by(events.c.position.desc())
        early = [self.event(row) for row in self.rows(logged.limit(most))]
        made = {one.id: one for one in [*late, *early] if isinstance(one, Decision)}
        turns = list(made.values())[:most][::-1]
        ended = self._events_of([column_text(turn.id) for turn in turns], ("outcome",))
        return [*turns, *(one for one in ended if isinstance(one, Outcome))]

    def close(self) -> None:
        """Commit all events; those in the spool stay there for the next process.

        Raises
        ------
        StoreUnavailable
            If an event cannot be committed. It is lost; it was not acknowledged.
        """
        try:
            self._commits.close(None)
        finally:
            self._writer.close()
            if self.spooling is not None and not self.spooling.spool.size and not self.is_away:
                # Also of a start that ended early, which is no member yet and cannot leave.
                with contextlib.suppress(StoreUnavailable):
                    SpoolRegister(self.engine).remove(self.replica)
            self._dispose()

    def _dispose(self) -> None:
        for engine in self._engines:
            engine.dispose()

    def _events_of(self, decisions: Iterable[str | None], kinds: Sequence[str] = ()) -> list[Event]:
        names: list[Any] = list(decisions)
        query = sa.select(inbox).where(inbox.c.decision.in_(names))
        if kinds:
            query = query.where(inbox.c.kind.in_(kinds))
        rows = self.rows(query.order_by(inbox.c.id))
        waiting = [event_of(row._mapping, self.engine) for row in rows]
        # An event may get into the log between the two queries; it is then found twice.
        return [*super()._events_of(names, kinds), *waiting]
