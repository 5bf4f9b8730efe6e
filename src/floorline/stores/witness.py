"""The witness of a SQLite log: a small file beside the database that says how far it went.

A database that lost its write-ahead log, or was replaced by an older copy, is whole in itself. Only
something outside of it can tell that events are missing. The witness is written after each commit
and not synced, so it is never ahead of the log after a kill. After a loss of power it can be ahead
of commits that were not synced; it says which commits were.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Protocol

import msgspec

from floorline._files import create_private
from floorline.errors import StoreUnavailable
from floorline.stores.integrity import event_checksum
from floorline.stores.marks import Mark

_SLOT_BYTES = 512
"""Size of each of the two slots, which are written in turn: one sector, which disks write whole."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Linux: a new text at every start of the system, so that a loss of power can be excluded."""


class Testimony(msgspec.Struct, frozen=True):
    """What the witness saw.

    Attributes
    ----------
    number
        Number of times that the witness was written.
    position, link
        Number of committed events, and the link after them.
    synced_position, synced_link
        The same of the last commit that was synced to the disk.
    boot
        Start of the system in which it was written; "" if it has no name.
    """

    number: int
    position: int
    link: bytes
    synced_position: int
    synced_link: bytes
    boot: str

    @property
    def last(self) -> Mark:
        """End of the log after the last commit."""
        return Mark(self.position, self.link)

    @property
    def synced(self) -> Mark:
        """End of the log after the last commit that was synced."""
        return Mark(self.synced_position, self.synced_link)


class Log(Protocol):
    """What is compared with a witness."""

    def first(self) -> int:
        """Position of the oldest event that is kept."""
        ...

    def end(self) -> int:
        """Number of all events ever."""
        ...

    def link_before(self, position: int) -> bytes:
        """Link before the event at a position."""
        ...


def read_witness(path: Path) -> Testimony | None:
    """Return what a witness saw; None if there is none or it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    slots = (_unpack(data[start : start + _SLOT_BYTES]) for start in (0, _SLOT_BYTES))
    found = [slot for slot in slots if slot is not None]
    return max(found, key=lambda slot: slot.number, default=None)


def boot_id() -> str:
    """Return the name of this start of the system; "" if the system gives it none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


class Witness:
    """Writer of the witness of a SQLite log.

    Parameters
    ----------
    path
        Its file; created if it is missing.
    end
        End of the log now.
    synced
        End of the log when it was last synced; at most ``end``.

    Raises
    ------
    StoreUnavailable
        If the file cannot be opened for writing.
    """

    def __init__(self, path: Path, end: Mark, synced: Mark) -> None:
        before = read_witness(path)
        try:
            create_private(path)
            self._file = os.open(path, os.O_RDWR)
        except OSError as error:
            raise StoreUnavailable(
                f"the file {path} beside the store cannot be written: {error.strerror}: check its "
                "permissions"
            ) from error
        self._number = 0 if before is None else before.number
        self._synced = synced
        self._boot = boot_id()
        self._write(end)

    def note(self, end: Mark, *, synced: bool) -> None:
        """Note a commit, after it was made; ``synced`` says whether it was synced to the disk."""
        if synced:
            self._synced = end
        self._write(end)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, end: Mark) -> None:
        self._number += 1
        seen = Testimony(self._number, *end, *self._synced, self._boot)
        # A witness that is behind is still right, and the database reports a full disk.
        with contextlib.suppress(OSError):
            os.lseek(self._file, self._number % 2 * _SLOT_BYTES, os.SEEK_SET)
            os.write(self._file, _pack(seen))


def _pack(seen: Testimony) -> bytes:
    body = msgspec.msgpack.encode(seen)
    slot = len(body).to_bytes(2, "big") + event_checksum([body]) + body
    return slot.ljust(_SLOT_BYTES, b"\0")


def _unpack(slot: bytes) -> Testimony | None:
    size, checksum, body = int.from_bytes(slot[:2], "big"), slot[2:18], slot[18:]
    body = body[:size]
    if not body or event_checksum([body]) != checksum:
        return None
    try:
        return msgspec.msgpack.decode(body, type=Testimony)
    except (msgspec.DecodeError, ValueError):
        return None


def contradiction(seen: Testimony, log: Log) -> str | None:
    """Return why a log is not the one that the witness saw, or lacks events of it; None if it is.

    Events that were not synced may be missing after a new start of the system; ``unsynced_loss``
    counts them.
    """
    marks = [seen.synced] if unsynced_loss(seen, log) else [seen.synced, seen.last]
    for mark in marks:
        if mark.position > log.end():
            return (
                f"its last {mark.position - log.end():,} events are missing: its witness saw "
                f"{mark.position:,} committed events, and it has {log.end():,}"
            )
        if mark.position >= log.first() and log.link_before(mark.position) != mark.link:
            return (
                f"its first {mark.position:,} events are not those that its witness saw: the file "
                "was replaced"
            )
    return None


def unsynced_loss(seen: Testimony, log: Log) -> int:
    """Return how many events are missing that a loss of power may have taken."""
    if seen.boot and seen.boot == boot_id():
        # The system has run ever since, and it kept what was written to its files.
        return 0
    return max(0, seen.position - max(log.end(), seen.synced_position))
