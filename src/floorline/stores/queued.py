"""Stores whose events are queued and committed together by a thread."""

from __future__ import annotations

from floorline.events import Event, Outcome
from floorline.stores.commit import GroupCommit
from floorline.stores.reading import LogReader
from floorline.stores.writing import Prepared, Prompt, prepare


class QueuedStore(LogReader):
    """Reader of a log that also appends to it; ``append`` returns before the commit.

    Subclasses make the queue, with the sink that they write to.
    """

    _commits: GroupCommit[Prepared | Prompt]

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
