"""A spool on disk: records that wait for the database, in order, each with a checksum.

A spool belongs to one replica. Its records are in files of a few MiB, named after the replica, so
that space is returned while records are still added. A lock keeps two processes from draining one
spool; it ends with the process, and then another process can drain what is left.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import threading
import time
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from floorline._files import create_private
from floorline.errors import InvalidInput, StoreUnavailable, system_reason
from floorline.stores.integrity import DIGEST_BYTES
from floorline.stores.lock import FileLock

_FILE_BYTES = 8 * 2**20
"""Size from which the next record begins a new file."""
_MAGIC = b"FLspool\x01"
"""Begins a record; after damage the next one is found by it. The last byte is the version."""
_HEADER = struct.Struct("<IQ")
"""Number of events in a record, and length of its body."""
_START_BYTES = len(_MAGIC) + _HEADER.size + DIGEST_BYTES
_LOOK_SECONDS = 0.01
"""Pause between two looks whether a lock is free."""
_NAME = re.compile(r"(?P<replica>.+)\.(?P<number>\d{8})\.spool")


class Record(NamedTuple):
    """A record of a spool.

    Attributes
    ----------
    body
        Its content.
    events
        Number of events in it.
    """

    body: bytes
    events: int


class Batch(NamedTuple):
    """The oldest records of a spool.

    Attributes
    ----------
    records
        The records, in the order in which they were added.
    damaged
        Number of bytes between them that are no whole record.
    end
        What ``Spool.drop`` takes once they are elsewhere.
    """

    records: list[Record]
    damaged: int
    end: int


@dataclass
class _File:
    """A file of a spool: its path, and its size up to the end of the last whole record."""

    path: Path
    size: int


class Spool:
    """Records of one replica that wait for the database.

    One thread may add records while another one reads and drops them.

    Parameters
    ----------
    folder
        Where the files are; created if it is missing.
    replica
        Name of the replica.
    max_bytes
        Largest size of all files together.
    wait
        Seconds to wait for another process, which may look for a moment whether this one lives.

    Raises
    ------
    InvalidInput
        If the folder cannot be created or written.
    StoreUnavailable
        If another process has the spool.

    Attributes
    ----------
    events : int
        Number of events that wait.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> spool = Spool(folder, "a")
    >>> spool.append(b"body", events=1)
    >>> spool.close()
    >>> spool = Spool(folder, "a")
    >>> batch = spool.read(most=10)
    >>> [record.body for record in batch.records], batch.damaged
    ([b'body'], 0)
    >>> spool.drop(batch)
    >>> spool.size, list(folder.glob("*.spool"))
    (0, [])
    """

    def __init__(
        self, folder: Path, replica: str, max_bytes: int = 256 * 2**20, *, wait: float = 0.0
    ) -> None:
        self.folder = folder
        self.replica = replica
        self.max_bytes = max_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock_path = folder / f"{replica}.lock"
            held = _locked(self._lock_path, wait)
        except (OSError, StoreUnavailable) as error:
            reason = system_reason(error) if isinstance(error, OSError) else str(error)
            raise InvalidInput(
                "replicas.spool.folder",
                str(folder),
                f"give a folder that this process can write ({reason})",
            ) from error
        if held is None:
            raise StoreUnavailable(f"another process has the spool of {replica} in {folder}")
        self._held = held
        self._changing = threading.Lock()
        paths = sorted(folder.glob(f"{replica}.*.spool"))
        self._files = [_File(path, path.stat().st_size) for path in paths]
        self._read_to = 0
        self._appending: int | None = None
        self._next_file = 1 + max((_number(path) for path in paths), default=0)
        self.events = sum(r.events for file in self._files for r in _records(_content(file))[0])

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self._files)

    def append(self, body: bytes, events: int) -> None:
        """Add a record; it is on the disk (fsync) when the method returns.

        Raises
        ------
        StoreUnavailable
            If the spool is full, or the disk is. The record is not added then.
        """
        start = _MAGIC + _HEADER.pack(events, len(body))
        record = start + _checksum(start + body) + body
        with self._changing:
            if self.size + len(record) > self.max_bytes:
                raise StoreUnavailable(
                    f"the spool in {self.folder} has {self.size:,} bytes, and replicas.spool.max "
                    f"allows {self.max_bytes:,}"
                )
            try:
                if self._appending is None or self._files[-1].size >= _FILE_BYTES:
                    self._begin_file()
                assert self._appending is not None
                _write_all(self._appending, record)
                os.fsync(self._appending)
            except OSError as error:
                self._end_failed_file()
                raise StoreUnavailable(
                    f"the spool in {self.folder} cannot be written: {system_reason(error)}"
                ) from error
            self._files[-1].size += len(record)
            self.events += events

    def read(self, most: int) -> Batch:
        """Return the oldest records, at least one if there is one.

        Parameters
        ----------
        most
            Number of events from which on no further record is added.
        """
        with self._changing:
            if not self._files:
                return Batch([], 0, 0)
            file, begin = _File(self._files[0].path, self._files[0].size), self._read_to
        data = _content(file)[begin:]
        records, damaged, end = _records(data, most)
        missing = file.size - begin - len(data)
        if missing > 0 and end == len(data):
            # Something else cut the file, or deleted it.
            damaged, end = damaged + missing, end + missing
        return Batch(records, damaged, begin + end)

    def drop(self, batch: Batch) -> None:
        """Forget the records of the last ``read``, because they are elsewhere now."""
        with self._changing:
            if not self._files:
                return
            self._read_to = batch.end
            self.events = max(0, self.events - sum(r.events for r in batch.records))
            if self._read_to >= self._files[0].size:
                self._drop_first()

    def close(self) -> None:
        """Let other processes drain what is left."""
        with self._changing:
            self._end_file()
            if not self._files:
                with contextlib.suppress(OSError):
                    self._lock_path.unlink(missing_ok=True)
            self._held.release()

    def _drop_first(self) -> None:
        if len(self._files) == 1:
            self._end_file()
        file = self._files[0]
        # If it cannot be deleted, its records are sent again, and have no effect.
        with contextlib.suppress(OSError):
            file.path.unlink(missing_ok=True)
        del self._files[0]
        self._read_to = 0
        if not self._files:
            self.events = 0

    def _begin_file(self) -> None:
        self._end_file()
        path = self.folder / f"{self.replica}.{self._next_file:08d}.spool"
        create_private(path)
        self._next_file += 1
        self._appending = os.open(path, os.O_WRONLY | getattr(os, "O_BINARY", 0))
        self._files.append(_File(path, 0))
        _sync_folder(self.folder)

    def _end_file(self) -> None:
        if self._appending is not None:
            os.close(self._appending)
            self._appending = None

    def _end_failed_file(self) -> None:
        """Take the part of a record back, and begin a new file with the next one.

        After a failed fsync the system may have dropped what it could not write, so that a second
        one would succeed without it.
        """
        if self._appending is None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._appending, self._files[-1].size)
        self._end_file()
        if self._files[-1].size == 0:
            with contextlib.suppress(OSError):
                self._files[-1].path.unlink(missing_ok=True)
            del self._files[-1]


def left_over(folder: Path) -> list[str]:
    """Return the names of replicas that have files in a folder, whether or not they live."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return []
    spools = {match["replica"] for name in names if (match := _NAME.fullmatch(name))}
    return sorted(spools | {name.removesuffix(".lock") for name in names if name.endswith(".lock")})


def _locked(path: Path, wait: float) -> FileLock | None:
    """Take a lock whose file others may delete while they hold it; None if it is not free."""
    deadline = time.monotonic() + wait
    while True:
        held, again = FileLock(path, "of the spool"), FileLock(path, "of the spool")
        if held.take():
            if not again.take():
                return held
            # The file was deleted before this process had the lock, which is worth nothing then.
            again.release()
            held.release()
        if time.monotonic() >= deadline:
            return None
        time.sleep(_LOOK_SECONDS)


def _records(data: bytes, most: int | None = None) -> tuple[list[Record], int, int]:
    """Return the whole records in some bytes, the number of other bytes, and where they end."""
    records: list[Record] = []
    damaged = position = events = 0
    while position < len(data) and (most is None or events < most):
        record, end = _record_at(data, position)
        if record is None:
            end = data.find(_MAGIC, position + 1)
            end = len(data) if end < 0 else end
            damaged += end - position
        else:
            records.append(record)
            events += max(1, record.events)
        position = end
    return records, damaged, position


def _record_at(data: bytes, position: int) -> tuple[Record | None, int]:
    body = position + _START_BYTES
    if body > len(data) or not data.startswith(_MAGIC, position):
        return None, position
    start = data[position : body - DIGEST_BYTES]
    events, size = _HEADER.unpack_from(data, position + len(_MAGIC))
    if size > len(data) - body:
        return None, position
    content = data[body : body + size]
    if _checksum(start + content) != data[body - DIGEST_BYTES : body]:
        return None, position
    return Record(content, events), body + size


def _content(file: _File) -> bytes:
    try:
        with file.path.open("rb") as stream:
            return stream.read(file.size)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StoreUnavailable(
            f"the spool {file.path} cannot be read: {system_reason(error)}"
        ) from error


def _checksum(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST_BYTES).digest()


def _number(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return 0 if match is None else int(match["number"])


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _sync_folder(folder: Path) -> None:
    """Make the names of files in a folder durable, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
