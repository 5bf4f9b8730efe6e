"""The store of a replica: it appends to the inbox, and reads the log and what waits for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from floorline.events import Event, Outcome
from floorline.replication import tables
from floorline.replication.inbox import InboxWriter, event_of
from floorline.replication.tables import LEARNER, inbox, states
from floorline.stores.commit import GroupCommit
from floorline.stores.engine import open_engine
from floorline.stores.integrity import column_text, row_checksum
from floorline.stores.queued import QueuedStore
from floorline.stores.upgrade import check


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
    max_pending, patience
        As for ``SqlStore``.

    Raises
    ------
    InvalidInput, StoreUnavailable
        As for ``SqlStore``.

    Attributes
    ----------
    replica : str
        Name of the replica.
    """

    def __init__(
        self, url: str, replica: str, *, max_pending: int = 20_000, patience: float = 5.0
    ) -> None:
        super().__init__(open_engine(url))
        self.replica = replica
        try:
            check(self.engine)
            tables.create(self.engine)
        except BaseException:
            self.engine.dispose()
            raise
        self._writer = InboxWriter(self.engine, replica)
        self._commits = GroupCommit(
            self._writer, durable=0, max_pending=max_pending, patience=patience
        )

    def look(self, after: int = -1) -> tuple[float | None, PublishedState | None]:
        """Return how long ago the learner was at work, and its state if that is new.

        Parameters
        ----------
        after
            Number of events in the state that is known.

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
        query = sa.select(states.c.position, age).where(states.c.name == LEARNER)
        for row in self.rows(query):
            return float(row.age), self.state(after) if row.position > after else None
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
            values = {**row._mapping, "body": bytes(row.body)}
            checked = {name: values[name] for name in values if name not in ("at", "checksum")}
            if row_checksum(states, checked) != bytes(row.checksum):
                raise self.damaged("the published state is damaged")
            consumed = msgspec.json.decode(row.consumed, type=dict[str, int])
            return PublishedState(row.epoch, row.position, row.at, consumed, values["body"])
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

    def close(self) -> None:
        """Commit all events.

        Raises
        ------
        StoreUnavailable
            If an event cannot be committed. It is lost; it was not acknowledged.
        """
        try:
            self._commits.close(None)
        finally:
            self._writer.close()
            self.engine.dispose()

    def _events_of(self, decisions: Iterable[str | None], kinds: Sequence[str] = ()) -> list[Event]:
        names: list[Any] = list(decisions)
        query = sa.select(inbox).where(inbox.c.decision.in_(names))
        if kinds:
            query = query.where(inbox.c.kind.in_(kinds))
        rows = self.rows(query.order_by(inbox.c.id))
        waiting = [event_of(row._mapping, self.engine) for row in rows]
        # An event may get into the log between the two queries; it is then found twice.
        return [*super()._events_of(names, kinds), *waiting]
