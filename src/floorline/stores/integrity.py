"""Checksums of rows and the hash chain of the log, by which a store proves that it is whole.

Every row has a checksum over all its other columns. Every event has a *link* too: the hash of the
link before it and its own checksum. So the link after an event stands for the event and for all
before it, and two logs that agree in one link agree in everything up to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import msgspec
import sqlalchemy as sa

DIGEST_BYTES = 16
"""Length of checksums and links in bytes: two different rows have the same one with a probability
of 2^-128."""
MAX_TEXT = 255
"""Longest text of a column in characters. The index of PostgreSQL takes 2,704 bytes."""

_DIGEST = "~"
"""First character of a column that holds the digest of a text; no other begins with it."""

_encode = msgspec.msgpack.Encoder().encode
_new = blake2b(digest_size=DIGEST_BYTES).copy

EventColumns = tuple[
    int, str, float, str | None, str | None, str | None, str | None, float | None, bytes
]
"""Position, kind, time, decision, model, completion, key, cost and body of an event."""


def event_checksum(columns: Sequence[Any]) -> bytes:
    """Return the checksum of an event's row, from its ``EventColumns``."""
    made = _new()
    made.update(_encode(columns))
    return made.digest()


def next_link(link: bytes, checksum: bytes) -> bytes:
    """Return the link after an event, from the link before it and its checksum."""
    made = _new()
    made.update(link + checksum)
    return made.digest()


def genesis(body: bytes | None) -> bytes:
    """Return the link before the first event, which stands for what the log began with."""
    return blake2b(body or b"", digest_size=DIGEST_BYTES, person=b"floorline log").digest()


def row_checksum(table: sa.Table, values: Mapping[str, Any]) -> bytes:
    """Return the checksum of a row of any other table, from its columns by name.

    A missing column counts as NULL. Numbers are those that the database gives back.
    """
    row = [
        _stored(column, values.get(column.name))
        for column in table.columns
        if column.name != "checksum"
    ]
    made = _new()
    made.update(_encode([table.name.encode(), row]))
    return made.digest()


def combined(rows: Iterable[Sequence[Any]]) -> bytes:
    """Return one digest of parts of all rows of a table, whatever their order."""
    parts = sorted(_encode(tuple(row)) for row in rows)
    return blake2b(b"".join(parts), digest_size=DIGEST_BYTES).digest()


def column_text(text: str | None) -> str | None:
    """Return what a column holds of a text: the text, or its digest if a database could refuse it.

    Databases refuse surrogates, NUL, characters outside their encoding, and values that are too
    long for an index. The event's body has the text itself.

    Examples
    --------
    >>> column_text("chatcmpl-1"), column_text(None)
    ('chatcmpl-1', None)
    >>> column_text("größe")
    '~6ca8d2c8fa90974c3039906bbd79b458'
    """
    if text is None:
        return None
    if len(text) <= MAX_TEXT and text.isascii() and text.isprintable() and text[:1] != _DIGEST:
        return text
    data = text.encode("utf-8", "surrogatepass")
    return _DIGEST + blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def column_number(number: float | None) -> float | None:
    """Return a number as a database gives it back; SQLite has no negative zero."""
    return None if number is None else float(number) + 0.0


def _stored(column: sa.Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, sa.JSON):
        with suppress(ValueError):
            value = json.loads(value) if isinstance(value, str) else value
        return json.dumps(value)
    if isinstance(column.type, sa.Double) and isinstance(value, int | float):
        return column_number(value)
    return value
