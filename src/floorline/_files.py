"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, body: bytes) -> None:
    """Put a file in place at once, durably; a reader sees the old one or the new one."""
    with writing_whole(path) as stream:
        stream.write(body)


@contextmanager
def writing_whole(path: Path) -> Iterator[BinaryIO]:
    """Write a file piece by piece that is put in place as ``write_whole`` does, or not at all."""
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
