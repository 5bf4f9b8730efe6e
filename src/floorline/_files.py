"""Atomic and durable writing of files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, body: bytes) -> None:
    """Write a file atomically: a reader sees the old content or the new, never a part of it.

    The content is on disk (fsync) when the function returns.
    """
    with writing_whole(path) as stream:
        stream.write(body)


@contextmanager
def writing_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file for atomic writing in pieces.

    The file replaces the old one when the block ends, as in ``write_whole``. If the block raises,
    the old file stays and the partial one is deleted.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
