"""Stores whose events are queued and committed together by a thread."""

from __future__ import annotations

import sqlalchemy as sa

from floorline.events import Event, Outcome
from floorline.stores.commit import GroupCommit
from floorline.stores.engine import store_errors
from floorline.stores.keys import KeyStore
from floorline.stores.marks import seal
from floorline.stores.reading import LogReader
from floorline.stores.schema import documents
from floorline.stores.writing import Prepared, Prompt, prepare, put_document


class QueuedStore(LogReader):
    """Reader of a log that also appends to it; ``append`` returns before the commit.

    Subclasses make the queue, with the sink that they write to. Documents and API keys are no part
    of the log, and are written at once.

    Parameters
    ----------
    engine
        Engine of the store.

    Attributes
    ----------
    keys : KeyStore
        API keys.
    """

    shared = False
    """Whether other processes serve requests beside this one, and append to the same log."""
    _commits: GroupCommit[Prepared | Prompt]

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__(engine)
        self.keys = KeyStore(engine)

    def append(self, event: Event) -> None:
        """Queue an event at the end of the log.

        Raises
        ------
        InvalidInput
            If the event can never be written. Then it is not queued.
        StoreUnavailable
            If too many events wait already, or the store failed permanently. Then the event is not
            queued.
        """
        # Outcomes are not urgent: they are committed with the next decision.
        self._commits.append(prepare(event), urgent=not isinstance(event, Outcome))

    def lags(self, id: str) -> bool:
        """Whether what an id names may get into the log later; never with one writer.

        Raises
        ------
        StoreUnavailable
            If the database raises an error.
        """
        return False

    def append_prompt(self, decision: str, prompt: bytes) -> None:
        """Queue the prompt of a decision.

        Raises
        ------
        StoreUnavailable
            As for ``append``.
        """
        self._commits.append(Prompt(decision, prompt), numbered=False)

    def __len__(self) -> int:
        return self._commits.appended

    @property
    def durable(self) -> int:
        """Number of committed events."""
        return self._commits.durable

    @property
    def failure(self) -> str | None:
        """Cause of the present failure of commits; None if they succeed."""
        return self._commits.failure

    @property
    def refused(self) -> int:
        """Number of events and prompts that the database refused for good, since the start."""
        return self._commits.refused

    async def committed(self, position: int | None = None, *, timeout: float | None = None) -> None:
        """Wait until events are durable.

        Parameters
        ----------
        position
            Number of events. Default: all so far.
        timeout
            Seconds to wait. Default: ``patience``.

        Raises
        ------
        StoreUnavailable
            If they are not durable within the timeout, or commits have failed for as long. They
            stay queued.
        """
        await self._commits.committed(position, timeout)

    def flush(self, position: int | None = None, *, timeout: float | None = None) -> None:
        """Block until events are durable; by default all events and all prompts.

        Parameters and errors are those of ``committed``.
        """
        self._commits.flush(position, timeout)

    def put_document(self, kind: str, name: str, body: bytes) -> None:
        """Write a small document durably; it replaces an older one of the same name."""
        with store_errors(self.engine), self.engine.begin() as connection:
            put_document(connection, kind, name, body)

    def drop_document(self, kind: str, name: str) -> bool:
        """Delete a document; return False if there is none."""
        with store_errors(self.engine), self.engine.begin() as connection:
            dropped = connection.execute(documents.delete().filter_by(kind=kind, name=name))
            seal(connection, "documents")
            return dropped.rowcount > 0

    def warnings(self) -> list[str]:
        """Return what an operator should know although the store can be used."""
        warnings = super().warnings()
        if self.refused:
            warnings.append(
                f"the database refused {self.refused} events or prompts for good; the last one "
                f"because: {self._commits.refusal}"
            )
        if self.keys.damaged:
            damaged = ", ".join(self.keys.damaged)
            warnings.append(f"API keys whose rows are damaged are not accepted: {damaged}")
        return warnings
