"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, body: bytes) -> None:
    """Put a file in place at once, durably; a reader sees the old one or the new one."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as stream:
        stream.write(body)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
