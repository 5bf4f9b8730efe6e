"""Split a stream of server-sent events while its bytes are passed on.

Source: WHATWG HTML, section 9.2.6, "Interpreting an event stream".
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from floorline.gateway.upstreams.findings import Findings

BOM = b"\xef\xbb\xbf"
_LONGEST_END = 200
"""Bytes of the longest event that can be the end of a stream."""
_CRLF = re.compile(rb"\r\n")
_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":", b"\n")


class EventReader:
    r"""Reads the events of one streamed answer; each dialect has readers of its own.

    Parameters
    ----------
    changes
        Whether events are removed or changed. Then ``feed`` returns whole events with line ends
        ``\n``, else the bytes it was given.

    Attributes
    ----------
    found
        Fields read from the stream so far.
    done
        Whether the event arrived that ends the stream; nothing after it is read.
    begun
        Whether content arrived before any error. Comments and pings are none.
    """

    __slots__ = ("_changes", "_skip_newline", "_started", "_tail", "begun", "done", "found")

    end_mark = b""
    """Last bytes of a stream, with which it ends also if no blank line follows."""

    def __init__(self, *, changes: bool) -> None:
        self.found = Findings()
        self.done = False
        self.begun = False
        self._changes = changes
        self._tail = bytearray()
        self._skip_newline = False
        self._started = False

    @property
    def pending(self) -> int:
        """Number of bytes of the last event, whose end has not arrived."""
        return len(self._tail)

    def _read(self, event: bytes) -> bytes | None:
        """Read one event; return it as it is passed on, None if it is removed."""
        raise NotImplementedError

    def ending(self) -> bytes:
        """Return what a client needs at the end of a complete stream whose server left it out."""
        return b""

    def feed(self, data: bytes) -> bytes:
        """Read the next bytes; return those to pass on to the client, up to the end."""
        if self.done:
            return b""
        if self._skip_newline or b"\r" in data:
            skips = self._skip_newline and data[:1] == b"\n"
            text = self._unify(data)
        else:
            skips, text = False, data
        tail, known = self._tail, 0
        if tail:
            known = len(tail)
            tail += text
            if tail.find(b"\n\n", known - 1) < 0:
                return self._end_at_done(b"" if self._changes else data)
            text = bytes(tail)
            tail.clear()
        *events, rest = text.split(b"\n\n")
        if self._changes:
            passed: list[bytes] = []
            for one in events:
                event = self._read(one)
                if event is not None:
                    passed += (event, b"\n\n")
                if self.done:
                    return b"".join(passed)
            tail += rest
            return self._end_at_done(b"".join(passed))
        for event in events:
            self._read(event)
            if self.done:
                return _prefix(data, _size_with(event, events) - known + skips)
        if rest:
            tail += rest
            return self._end_at_done(data)
        return data

    def _end_at_done(self, passed: bytes) -> bytes:
        """End the stream at a last event without the blank line, which its server may not send."""
        tail = self._tail
        mark = self.end_mark
        if mark and len(tail) < _LONGEST_END and tail.rstrip().endswith(mark):
            event = bytes(tail).rstrip(b"\n")
            read = self._read(event)
            if self.done:
                tail.clear()
                if not self._changes:
                    passed += b"\n\n"
                elif read is not None:
                    passed += read + b"\n\n"
        return passed

    def close(self) -> bytes:
        """End the stream; return the last bytes to pass on.

        The last event counts although no blank line follows it.
        """
        rest, self._tail = bytes(self._tail), bytearray()
        passed = self._read(rest)
        return passed if self._changes and passed is not None else b""

    def _unify(self, data: bytes) -> bytes:
        """Turn every line end into a newline, also one that is split between two reads."""
        if self._skip_newline and data[:1] == b"\n":
            data = data[1:]
            if not data:
                self._skip_newline = False
                return data
        if data:
            self._skip_newline = data[-1:] == b"\r"
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _data_of(self, event: bytes) -> tuple[bytes, bytes | None]:
        """Return an event without a byte order mark, and its data; None if it has none."""
        if not self._started:
            self._started = True
            event = event.removeprefix(BOM)
        if event.startswith(b"data:") and b"\n" not in event:
            return event, event[5:]
        lines = [line[5:] for line in event.split(b"\n") if line.startswith(b"data:")]
        return event, b"\n".join(lines) if lines else None


def _size_with(event: bytes, events: Iterable[bytes]) -> int:
    """Return the size of all events up to the given one, with their blank lines."""
    size = 0
    for one in events:
        size += len(one) + 2
        if one is event:
            break
    return size


def _prefix(data: bytes, size: int) -> bytes:
    """Return the bytes that became the first ``size`` ones when its line ends became newlines."""
    for match in _CRLF.finditer(data):
        if match.start() >= size:
            break
        size += 1
    return data[:size]


def looks_like_events(start: bytes) -> bool:
    """Whether bytes can be the beginning of a stream of events.

    Examples
    --------
    >>> looks_like_events(b"data: {"), looks_like_events(b'{"id"'), looks_like_events(b"da")
    (True, False, True)
    """
    start = start.removeprefix(BOM).replace(b"\r", b"\n")
    return any(start.startswith(whole) or whole.startswith(start) for whole in (BOM, *_STARTS))
