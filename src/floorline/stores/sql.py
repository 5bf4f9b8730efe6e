"""The durable store: SQLite in one file by default, PostgreSQL by URL."""

from __future__ import annotations

import time
from collections.abc import Iterator

import sqlalchemy as sa

from floorline.events import Event, Outcome
from floorline.stores.commit import GroupCommit
from floorline.stores.engine import open_engine, reported
from floorline.stores.keys import KeyStore
from floorline.stores.reading import LogReader
from floorline.stores.schema import documents, events, snapshots
from floorline.stores.upgrade import check
from floorline.stores.wal_checkpointer import Checkpointer
from floorline.stores.writing import EventWriter, Prompt

_SNAPSHOTS_KEPT = 2


class SqlStore(LogReader):
    """Event log, snapshots, prompts, documents and API keys in a database, of which it is the
    only writer.

    ``append`` queues an event and returns; one thread commits what has queued up. What looks
    something up (all but ``read``) sees what is durable.

    Parameters
    ----------
    url
        ``sqlite:///path/to/file.db`` or ``postgresql://user@host/database``.
    max_pending
        Most events that wait for a commit.
    patience
        Seconds for which ``committed`` and ``flush`` wait by default.

    Raises
    ------
    InvalidInput
        If the URL is not one of a store.
    StoreUnavailable
        If the database does not work, another process writes to it, or its tables are those of
        a newer Floorline. Later also by methods, if the database does not work then.

    Attributes
    ----------
    keys : KeyStore
        API keys.
    """

    def __init__(self, url: str, *, max_pending: int = 20_000, patience: float = 5.0) -> None:
        super().__init__(open_engine(url))
        self.keys = KeyStore(self.engine)
        self._writer = EventWriter(self.engine)
        try:
            check(self.engine)
            self._writer.open()
            self._commits: GroupCommit[Event | Prompt] = GroupCommit(
                self._writer, durable=self.end(), max_pending=max_pending, patience=patience
            )
        except BaseException:
            self._writer.close()
            self.engine.dispose()
            raise
        self._checkpoints: Checkpointer | None = None
        if self.engine.dialect.name == "sqlite":
            self._checkpoints = Checkpointer(self.engine, lambda: self.durable)

    def append(self, event: Event) -> None:
        """Queue an event at the end of the log.

        Raises
        ------
        StoreUnavailable
            If too many wait already, or the store failed for good. The event is not queued then.
        """
        # Nobody waits for an outcome; the next decision's commit takes it along.
        self._commits.append(event, urgent=not isinstance(event, Outcome))

    def append_prompt(self, decision: str, prompt: bytes) -> None:
        """Queue a decision's prompt; errors as for ``append``."""
        self._commits.append(Prompt(decision, prompt), numbered=False)

    def __len__(self) -> int:
        return self._commits.appended

    @property
    def durable(self) -> int:
        """Number of events that are committed."""
        return self._commits.durable

    @property
    def failure(self) -> str | None:
        """Why commits fail at present; None if they do not."""
        return self._commits.failure

    async def committed(self, position: int | None = None, *, timeout: float | None = None) -> None:
        """Wait until the first ``position`` events are durable; by default all so far.

        Raises
        ------
        StoreUnavailable
            If they are not within ``timeout`` seconds, or commits have failed for that long. They
            stay queued all the same.
        """
        await self._commits.committed(position, timeout)

    def flush(self, position: int | None = None, *, timeout: float | None = None) -> None:
        """Block until events are durable, by default with all prompts; as ``committed`` else."""
        self._commits.flush(position, timeout)

    def read(self, start: int = 0) -> Iterator[Event]:
        """Yield events from position ``start`` on, after a ``flush``.

        Raises
        ------
        InvalidInput
            If events from there on were deleted.
        """
        self.flush()
        yield from super().read(start)

    def write_snapshot(self, position: int, body: bytes, oldest: str | None = None) -> None:
        """Keep the state that the first ``position`` events led to, as soon as those are durable.

        ``oldest`` is the decision that the state has remembered longest, if any: what the log says
        from there on must not be deleted, as the snapshot may refer to it.
        """
        self.flush(position)
        with reported(self.engine), self.engine.begin() as connection:
            needed = position
            if oldest is not None:
                query = sa.select(sa.func.max(events.c.position)).where(
                    events.c.decision == oldest,
                    events.c.kind.in_(("decision", "recall")),
                    events.c.position < position,
                )
                found = connection.scalar(query)
                needed = position if found is None else found
            connection.execute(snapshots.delete().where(snapshots.c.position == position))
            connection.execute(
                snapshots.insert(),
                {"position": position, "oldest": needed, "at": time.time(), "body": body},
            )
            kept = (
                sa.select(snapshots.c.position)
                .order_by(snapshots.c.position.desc())
                .limit(_SNAPSHOTS_KEPT)
            )
            connection.execute(snapshots.delete().where(snapshots.c.position.not_in(kept)))

    def put_document(self, kind: str, name: str, body: bytes) -> None:
        """Keep a small document durably, in place of an older one of its name."""
        row = {"kind": kind, "name": name, "body": body}
        with reported(self.engine), self.engine.begin() as connection:
            connection.execute(_document(kind, name))
            connection.execute(documents.insert(), row)

    def drop_document(self, kind: str, name: str) -> bool:
        """Delete a document; False if there is none."""
        with reported(self.engine), self.engine.begin() as connection:
            return connection.execute(_document(kind, name)).rowcount > 0

    def close(self) -> None:
        """Make everything durable and let another process write.

        Raises
        ------
        StoreUnavailable
            If something cannot be made durable now. It is lost then; nobody was told otherwise.
        """
        try:
            self._commits.close(None)
        finally:
            if self._checkpoints is not None:
                self._checkpoints.close()
            self._writer.close()
            self.engine.dispose()


def _document(kind: str, name: str) -> sa.Delete:
    return documents.delete().where(documents.c.kind == kind, documents.c.name == name)
