"""The encoding of events in the table: their bytes without zero bytes.

Most of a decision is its feature vector, and most bytes of that are zero for a prompt of usual
length. Omitting zero bytes takes a sixth of the time of compression and reduces a decision to about
a quarter of its size (``benchmarks/bench_store.py`` measures both).
"""

from __future__ import annotations

import struct

import numpy as np

from floorline.errors import InvalidInput
from floorline.events import Event, decode_event, encode_event

_MARK = b"\xc1"
"""First byte of a body without zero bytes; no MessagePack message starts with it."""
_LENGTH = struct.Struct("<I")
"""Format of the length of the original body."""
_MIN_BYTES = 1024
"""Size of a body in bytes from which zero bytes are omitted; smaller ones gain little."""


def pack_event(event: Event) -> bytes:
    """Encode an event, without its zero bytes if that is shorter.

    Examples
    --------
    >>> from floorline.events import Outcome
    >>> event = Outcome(decision="d1", model="small", cost=0.5)
    >>> unpack_event(pack_event(event)) == event
    True
    """
    return pack_body(encode_event(event))


def pack_body(body: bytes) -> bytes:
    """Return the bytes of an encoded event without its zero bytes, if that is shorter."""
    return drop_zeros(body) if len(body) >= _MIN_BYTES else body


def unpack_event(body: bytes) -> Event:
    """Decode the bytes of ``pack_event``.

    Raises
    ------
    InvalidInput
        If the bytes are damaged, or are an event of an unknown version.
    """
    return decode_event(restore_zeros(body) if body[:1] == _MARK else body)


def drop_zeros(body: bytes) -> bytes:
    """Return a body without its zero bytes, or the body itself if that is shorter.

    The format is the mark, the length of the body, one bit per byte (1 if it is not zero), and the
    bytes that are not zero.
    """
    values = np.frombuffer(body, np.uint8)
    kept = values != 0
    packed = b"".join(
        (_MARK, _LENGTH.pack(len(body)), np.packbits(kept).tobytes(), values[kept].tobytes())
    )
    return packed if len(packed) < len(body) else body


def restore_zeros(packed: bytes) -> bytes:
    """Return the body that ``drop_zeros`` packed.

    Raises
    ------
    InvalidInput
        If the bytes are damaged.
    """
    start = len(_MARK) + _LENGTH.size
    try:
        (length,) = _LENGTH.unpack_from(packed, len(_MARK))
        middle = start + (length + 7) // 8
        bits = np.frombuffer(packed, np.uint8, middle - start, start)
        kept = np.unpackbits(bits, count=length).view(bool)
        nonzero = np.frombuffer(packed, np.uint8, offset=middle)
        if len(nonzero) != np.count_nonzero(kept):
            raise ValueError("its end is missing")
        values = np.zeros(length, np.uint8)
        values[kept] = nonzero
    except (ValueError, struct.error) as error:
        fix = "the row is damaged: restore the store from a backup"
        raise InvalidInput("event", packed[:20], fix) from error
    return values.tobytes()
