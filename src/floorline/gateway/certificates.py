"""Read a renewed certificate while the server runs."""

from __future__ import annotations

import asyncio
import logging
import ssl

from pydantic_core import PydanticCustomError

from floorline.config.tls import TlsSettings

log = logging.getLogger("floorline.gateway")

CHECK_SECONDS = 3.0
"""Pause between two looks at the files; certificates are renewed days before they expire."""


async def keep_current(context: ssl.SSLContext, settings: TlsSettings) -> None:
    """Read certificate and key again when their files have changed, until cancelled.

    Connections from then on use them. Files that do not fit are not read again until they change
    again: one of the two may not have been written yet.

    Parameters
    ----------
    context
        Context of the server.
    settings
        Where the files are.
    """
    loaded = seen = _stamps(settings)
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        stamps = _stamps(settings)
        stable, seen = stamps == seen, stamps
        if not stable or stamps == loaded:
            continue
        loaded = stamps
        try:
            # First into another context: a pair that does not fit would spoil the one in use.
            settings.context()
            settings.load_into(context)
        except PydanticCustomError as error:
            wrong = (error.context or {}).get("wrong", "")
            log.error("the certificate in use stays: server.tls %s", wrong)
        else:
            log.warning("the certificate was read again: its files have changed")


def _stamps(settings: TlsSettings) -> list[tuple[int, int, int] | None]:
    found: list[tuple[int, int, int] | None] = []
    for file in settings.files():
        try:
            state = file.stat()
        except OSError:
            found.append(None)
        else:
            found.append((state.st_mtime_ns, state.st_ino, state.st_size))
    return found
