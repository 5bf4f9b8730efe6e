"""Events go to the inbox, or to a spool on disk while the database cannot be reached."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa

from floorline.errors import FloorlineError, StoreDamaged, StoreUnavailable
from floorline.replication.inbox import InboxWriter, Rows, lost_row
from floorline.replication.inbox_reader import InboxReader
from floorline.replication.members import Membership
from floorline.replication.spool import Batch, Spool, left_over
from floorline.replication.spools import SpoolRegister
from floorline.stores.commit import Refused
from floorline.stores.writing import Prepared, Prompt

log = logging.getLogger("floorline.store")

_MAX_EVENTS = 2_000
"""Events of one transaction while a spool is drained."""
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 0.1, 1.0
"""Pauses before the database is tried again: the first, and the longest after doubling."""
_SCAN_SECONDS = 2.0
"""Pause between two looks for spools of processes that are gone."""
_BEAT_SECONDS = 5.0
"""Pause between two signs of life for a process that is gone, while its spool is drained. The
learner closes the calls of a process after a longer time without one."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[dict[str, Any]], list[dict[str, Any]]]).decode


class _Stopped(FloorlineError):
    """The process ends while its spool is drained."""


class SpoolingWriter:
    """Sink of a group commit: the inbox, or the spool while the database cannot be reached.

    Once a batch is in the spool, all later ones go there, too, until a thread has moved them into
    the inbox in order. So the numbers of a replica reach the inbox in order, and a batch whose
    commit was in doubt is only sent a second time, which changes nothing. The thread also drains
    spools in the same folder whose processes are gone, under their names and numbers.

    Parameters
    ----------
    writer
        Writes to the inbox; it must give up soon if the database does not answer.
    engine
        Engine by which spools are drained, and which may take longer.
    spool
        The spool of this replica.

    Attributes
    ----------
    spool : Spool
        The spool.
    failure : str
        Why the database cannot be reached; None if it can, as far as is known.
    damages : list of str
        What was found damaged in spools.
    """

    def __init__(self, writer: InboxWriter, engine: sa.Engine, spool: Spool) -> None:
        self._writer = writer
        self._engine = engine
        self.spool = spool
        self._drain_writer = InboxWriter(engine, spool.replica)
        self._reader = InboxReader(engine)
        self._members = Membership(engine)
        self._register = SpoolRegister(engine)
        # Held while a batch is written, and while the end of the spool is decided.
        self._gate = threading.Lock()
        self._last_number = 0
        self._since: float | None = None
        self.failure: str | None = None
        self.damages: list[str] = []
        self._undrained: set[str] = set()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._drained = threading.Event()
        self._drained.set()
        self._thread = threading.Thread(target=self._run, name="floorline-spool", daemon=True)
        self._thread.start()

    @property
    def spooling_seconds(self) -> float | None:
        """Seconds since events began to go to the spool; None if they go to the inbox."""
        since = self._since
        return None if since is None else time.monotonic() - since

    def encode(self, position: int, items: Sequence[Prepared | Prompt]) -> Rows:
        """Convert items into rows; see ``Sink``."""
        return self._writer.encode(position, items)

    def write(self, batch: Rows) -> None:
        """Make rows durable, in the inbox or in the spool; see ``Sink``.

        Raises
        ------
        Refused
            If the database refuses one of the rows, whenever it is tried.
        StoreUnavailable
            If neither the database nor the spool takes them.
        """
        with self._gate:
            why = self.failure or "it is being drained"
            if self._since is None:
                try:
                    self._writer.write(batch)
                except StoreDamaged:
                    raise
                except StoreUnavailable as error:
                    why = str(error)
                else:
                    self._note(batch)
                    return
            try:
                self.spool.append(_encode(batch), len(batch.events))
            except StoreUnavailable as error:
                raise StoreUnavailable(f"{error}; events go there because: {why}") from error
            self._note(batch)
            if self._since is None:
                self._begin(why)

    def replace(self, item: Prepared | Prompt, why: str) -> Prepared | None:
        """Return a tombstone for a refused event; None for a prompt, which is dropped."""
        return self._writer.replace(item, why)

    def drain(self, seconds: float) -> None:
        """Wait until no event is in the spool.

        Raises
        ------
        StoreUnavailable
            If it takes longer than some seconds.
        """
        if not self._drained.wait(seconds):
            raise StoreUnavailable(f"{self.spool.events:,} events are still in the spool")

    def close(self) -> None:
        """End; what is in the spool stays there for the next process."""
        self._stop.set()
        self._wake.set()
        self._thread.join()
        self.spool.close()
        self._writer.close()
        self._drain_writer.close()

    def _note(self, batch: Rows) -> None:
        if batch.events:
            self._last_number = batch.events[-1]["number"]

    def _begin(self, why: str) -> None:
        self._since, self.failure = time.monotonic(), why
        self._drained.clear()
        self._wake.set()
        log.warning("events go to the spool in %s: %s", self.spool.folder, why)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._drain_left_over()
                if self._since is not None:
                    self._drain_own()
            except _Stopped:
                return
            except FloorlineError as error:
                log.error("the spool cannot be drained: %s", error)
                self.failure = str(error)
            self._wake.wait(_SCAN_SECONDS)
            self._wake.clear()

    def _drain_own(self) -> None:
        """Move the spool of this replica into the inbox, until new events can go there directly."""
        drain = _Drain(self, self.spool)
        while not self._stop.is_set():
            if drain.step():
                continue
            with self._gate:
                last = 0 if self.spool.size else self._last_number
            # A record at the end may be damaged; later events must not wait for its numbers.
            drain.fill(last)
            with self._gate:
                if self.spool.size:
                    continue
                seconds, self._since, self.failure = self.spooling_seconds, None, None
            self._drained.set()
            log.warning(
                "%d events of the spool are in the inbox; it was in use for %.1f s",
                drain.events,
                seconds,
            )
            self._disconnect()
            return

    def _disconnect(self) -> None:
        """Close the connections by which spools are drained; they are needed rarely."""
        self._drain_writer.close()
        self._engine.dispose()

    def _drain_left_over(self) -> None:
        """Move the spools of processes that are gone into the inbox."""
        for replica in left_over(self.spool.folder):
            mine = replica == self.spool.replica
            if mine or replica in self._undrained or self._stop.is_set():
                continue
            try:
                spool = Spool(self.spool.folder, replica, self.spool.max_bytes)
            except StoreUnavailable:
                # Its process lives, or another one drains it.
                continue
            try:
                if spool.size:
                    self._drain_one(spool)
                if not spool.size:
                    # The learner waits with its shares until all that it spent is in the log.
                    _Drain(self, spool).patiently(partial(self._register.remove, replica))
            except _Stopped:
                raise
            except (FloorlineError, msgspec.MsgspecError) as error:
                # The other spools, and this replica's own one, must not wait for it.
                self._note_undrained(replica, error)
            finally:
                spool.close()

    def _note_undrained(self, replica: str, error: Exception) -> None:
        """Leave a spool to the next process, so that the learner closes its replica's calls."""
        self._undrained.add(replica)
        text = f"the spool of {replica} in {self.spool.folder} cannot be drained: {error}"
        self.damages.append(text)
        log.error(text)

    def _drain_one(self, spool: Spool) -> None:
        drain, beat_at = _Drain(self, spool), 0.0
        log.warning("%d events of %s, which is gone, are in its spool", spool.events, spool.replica)
        while not self._stop.is_set():
            if time.monotonic() >= beat_at:
                # So the learner waits with its calls, and closes those that stay open at the end.
                drain.patiently(lambda: self._members.beat(spool.replica, {"drained": True}))
                beat_at = time.monotonic() + _BEAT_SECONDS
            if not drain.step():
                log.warning("%d events of %s are in the inbox", drain.events, spool.replica)
                self._disconnect()
                return


class _Drain:
    """Moves one spool into the inbox.

    Attributes
    ----------
    events : int
        Number of events that were moved.
    """

    def __init__(self, sink: SpoolingWriter, spool: Spool) -> None:
        self._sink = sink
        self._spool = spool
        self._next: int | None = None
        self.events = 0

    def step(self) -> bool:
        """Move some records; return False if there are none.

        Raises
        ------
        _Stopped
            If the process ends.
        """
        batch = self._spool.read(_MAX_EVENTS)
        if not batch.end:
            return False
        rows = self._rows(batch)
        if batch.damaged:
            self._note_damage(batch.damaged)
        self.patiently(lambda: self._write(rows))
        self._spool.drop(batch)
        self.events += len(rows.events)
        return True

    def fill(self, last: int) -> None:
        """Put tombstones in the place of events up to a number that are lost."""
        rows = Rows([], [])
        self._fill(rows.events, last)
        if rows.events:
            self.patiently(lambda: self._write(rows))

    def patiently(self, work: Any) -> None:
        """Repeat something until the database takes it.

        Raises
        ------
        _Stopped
            If the process ends before.
        """
        sink, pause = self._sink, _FIRST_RETRY_SECONDS
        while True:
            try:
                work()
            except StoreUnavailable as error:
                sink.failure = str(error)
            else:
                sink.failure = None
                return
            if sink._stop.wait(pause):
                raise _Stopped("the process ends before the database is back")
            pause = min(2.0 * pause, _LAST_RETRY_SECONDS)

    def _rows(self, batch: Batch) -> Rows:
        rows = Rows([], [])
        for record in batch.records:
            events, prompts = _decode(record.body)
            if events:
                self._fill(rows.events, events[0]["number"] - 1)
                rows.events.extend(events)
                self._next = events[-1]["number"] + 1
            rows.prompts.extend(prompts)
        return rows

    def _fill(self, rows: list[dict[str, Any]], last: int) -> None:
        if self._next is None:
            self._ask_next()
        assert self._next is not None
        for number in range(self._next, last + 1):
            reason = "its record in the spool was damaged"
            rows.append(lost_row(self._spool.replica, number, reason))
        self._next = max(self._next, last + 1)

    def _ask_next(self) -> None:
        """Ask the database which number comes next."""

        def ask() -> None:
            self._next = self._sink._reader.last_number(self._spool.replica) + 1

        self.patiently(ask)

    def _write(self, rows: Rows) -> None:
        """Commit rows; those that the database refuses for good become tombstones."""
        writer = self._sink._drain_writer
        try:
            writer.write(rows)
        except Refused as error:
            if len(rows.events) + len(rows.prompts) > 1:
                for row in rows.events:
                    self._write(Rows([row], []))
                for prompt in rows.prompts:
                    self._write(Rows([], [prompt]))
                return
            log.error("the database refused an event or a prompt for good: %s", error)
            for row in rows.events:
                made = lost_row(row["replica"], row["number"], str(error), row)
                self._write(Rows([made], []))

    def _note_damage(self, damaged: int) -> None:
        spool = self._spool
        text = (
            f"{damaged:,} bytes of the spool of {spool.replica} in {spool.folder} are no whole "
            "record: it was not complete when the process was killed, or the file is damaged"
        )
        self._sink.damages.append(text)
        log.error(text)
