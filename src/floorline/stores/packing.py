"""Events as they lie in the table: their bytes, with long runs of zeros left out.

Most of a decision is its feature vector, and most of that is zero for a prompt of ordinary length.
Leaving zero bytes out takes a sixth of the time of compressing and makes a decision about a quarter
of its size (``benchmarks/bench_store.py`` measures both).
"""

from __future__ import annotations

import struct

import numpy as np

from floorline.errors import InvalidInput
from floorline.events import Event, decode_event, encode_event

_MARK = b"\xc1"
"""First byte of a body without its zeros; MessagePack never uses it."""
_LENGTH = struct.Struct("<I")
_WORTH = 1024


def pack_event(event: Event) -> bytes:
    """Encode an event, without its zeros if that is shorter.

    Examples
    --------
    >>> from floorline.events import Outcome
    >>> event = Outcome(decision="d1", model="small", cost=0.5)
    >>> unpack_event(pack_event(event)) == event
    True
    """
    body = encode_event(event)
    return drop_zeros(body) if len(body) >= _WORTH else body


def unpack_event(body: bytes) -> Event:
    """Decode what ``pack_event`` wrote.

    Raises
    ------
    InvalidInput
        If the bytes are damaged, or an event of a version this Floorline does not know.
    """
    return decode_event(restore_zeros(body) if body[:1] == _MARK else body)


def drop_zeros(body: bytes) -> bytes:
    """Mark, length, one bit per byte (1 where it is not zero), the bytes that are not zero."""
    values = np.frombuffer(body, np.uint8)
    kept = values != 0
    packed = b"".join(
        (_MARK, _LENGTH.pack(len(body)), np.packbits(kept).tobytes(), values[kept].tobytes())
    )
    return packed if len(packed) < len(body) else body


def restore_zeros(packed: bytes) -> bytes:
    """Undo ``drop_zeros``.

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
        given = np.frombuffer(packed, np.uint8, offset=middle)
        if len(given) != np.count_nonzero(kept):
            raise ValueError("its end is missing")
        values = np.zeros(length, np.uint8)
        values[kept] = given
    except (ValueError, struct.error) as error:
        fix = f"the row is damaged: restore the store from a backup ({error})"
        raise InvalidInput("event", packed[:20], fix) from error
    return values.tobytes()
