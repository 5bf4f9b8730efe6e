"""Parse a stream of server-sent events while its bytes are passed on.

Source: WHATWG HTML, section 9.2.6, "Interpreting an event stream".
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from typing import Any

from floorline.gateway.lenient_json import read_value
from floorline.gateway.upstreams.completions import (
    carries_usage_alone,
    has_content,
    read_completion,
    with_id,
)
from floorline.gateway.upstreams.findings import Findings

_BOM = b"\xef\xbb\xbf"
_DONE = b"[DONE]"
_LONGEST_END = 200
"""Bytes of the longest event that can be the end of a stream."""
_CRLF = re.compile(rb"\r\n")
_ERROR_EVENT = re.compile(rb"^event: ?error$", re.MULTILINE)
_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":", b"\n")


class SseReader:
    r"""Reads the fields of a streamed completion that the gateway needs.

    Parameters
    ----------
    drop_usage
        Whether to remove the chunk that carries the usage. One that has further content, such as
        llama.cpp's ``timings``, is kept whole.
    own_id
        Id that replaces the provider's in every chunk; "" keeps the provider's.

    With one of the two, ``feed`` returns whole events with line ends ``\n``, else the bytes it was
    given.

    Attributes
    ----------
    found
        Fields read from the stream so far.
    done
        Whether ``[DONE]`` arrived; nothing after it is read.
    begun
        Whether content arrived before any error: a chunk with more than a role, or the end of a
        choice. Comments, unknown events and chunks without choices are none.

    Examples
    --------
    >>> reader = SseReader()
    >>> for part in (b'data: {"id": "c-1", "choices": [{"delta": {"content"', b': "Hi"}}]}\n\n'):
    ...     _ = reader.feed(part)
    >>> reader.found.completion_id, reader.found.output_characters, reader.done
    ('c-1', 2, False)
    """

    __slots__ = (
        "_changes",
        "_drop_usage",
        "_own_id",
        "_skip_newline",
        "_started",
        "_tail",
        "begun",
        "done",
        "found",
    )

    def __init__(self, *, drop_usage: bool = False, own_id: str = "") -> None:
        self.found = Findings()
        self.done = False
        self.begun = False
        self._drop_usage = drop_usage
        self._own_id = own_id
        self._changes = drop_usage or own_id != ""
        self._tail = bytearray()
        self._skip_newline = False
        self._started = False

    @property
    def pending(self) -> int:
        """Number of bytes of the last event, whose end has not arrived."""
        return len(self._tail)

    def feed(self, data: bytes) -> bytes:
        """Read the next bytes; return those to pass on to the client, up to ``[DONE]``."""
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
        if len(tail) < _LONGEST_END and tail.rstrip().endswith(_DONE):
            event = bytes(tail).rstrip(b"\n")
            self._read(event)
            if self.done:
                tail.clear()
                passed += event + b"\n\n" if self._changes else b"\n\n"
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

    def _read(self, event: bytes) -> bytes | None:
        """Read one event; return it as it is passed on, None if it is removed."""
        whole = event
        if not self._started:
            self._started = True
            event = event.removeprefix(_BOM)
        if event.startswith(b"data:") and b"\n" not in event:
            payload = event[5:]
        else:
            lines = [line[5:] for line in event.split(b"\n") if line.startswith(b"data:")]
            if not lines:
                return whole
            payload = b"\n".join(lines)
        if len(payload) < 16 and payload.strip() == _DONE:
            self.done = True
            return whole
        chunk = read_completion(payload)
        if chunk is None or chunk.choices is chunk.error is chunk.usage is None:
            self._read_unknown(event, payload)
            return whole
        found = self.found
        found.add(chunk)
        if not self.begun and found.error is None:
            self.begun = found.begun or (bool(chunk.choices) and has_content(payload))
        if self._drop_usage and chunk.usage is not None and not chunk.choices:
            return None if carries_usage_alone(payload) else whole
        if self._own_id and (not chunk.error or chunk.fault is None):
            return _with_id(event, payload, self._own_id)
        return whole

    def _read_unknown(self, event: bytes, payload: bytes) -> None:
        """Read an event that is no chunk: it may be an error without an error object."""
        value: Any = None
        with contextlib.suppress(ValueError):
            value = read_value(payload)
        fields = value if isinstance(value, dict) else {}
        named = b"\n" in event and _ERROR_EVENT.search(event)
        if named or "error" in (fields.get("object"), fields.get("type")):
            text = payload.decode("utf-8", "replace").strip()
            self.found.error = fields or {"message": text}


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


def _with_id(event: bytes, payload: bytes, id: str) -> bytes:
    """Replace the id in the data of an event; its other lines stay."""
    others = [line for line in event.split(b"\n") if not line.startswith(b"data:")]
    return b"\n".join([*others, b"data: " + with_id(payload, id)])


def looks_like_events(start: bytes) -> bool:
    """Whether bytes can be the beginning of a stream of events.

    Examples
    --------
    >>> looks_like_events(b"data: {"), looks_like_events(b'{"id"'), looks_like_events(b"da")
    (True, False, True)
    """
    start = start.removeprefix(_BOM).replace(b"\r", b"\n")
    return any(start.startswith(whole) or whole.startswith(start) for whole in (_BOM, *_STARTS))
