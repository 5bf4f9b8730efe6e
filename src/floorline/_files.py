"""Atomic and durable writing of files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_PRIVATE = 0o600
"""Permissions of a file that only its owner may read and write."""


def create_private(path: Path) -> bool:
    """Create an empty file that only its owner can use, whatever the umask; False if it exists."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _PRIVATE)
    except FileExistsError:
        return False
    try:
        # The umask may have taken permissions of the owner away.
        path.chmod(_PRIVATE)
    finally:
        os.close(descriptor)
    return True


def write_whole(path: Path, body: bytes) -> None:
    """Write a file atomically: a reader sees the old content or the new, never a part of it.

    The content is on disk (fsync) when the function returns.
    """
    with writing_whole(path) as stream:
        stream.write(body)


@contextmanager
def writing_whole(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """Open a file for atomic writing in pieces.

    The file replaces the old one when the block ends, as in ``write_whole``. If the block raises,
    the old file stays and the partial one is deleted. Of a ``private`` file only the owner can
    read the content. A device or a pipe is written to directly.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        # To replace /dev/null by a file would take it from every other program.
        with path.open("wb") as stream:
            yield stream
        return
    part = path.with_name(f"{path.name}.part")
    if private:
        part.unlink(missing_ok=True)
        create_private(part)
    try:
        with part.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
