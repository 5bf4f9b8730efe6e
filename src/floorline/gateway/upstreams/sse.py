"""Parse a stream of server-sent events while its bytes are passed on.

Source: WHATWG HTML, section 9.2.6, "Interpreting an event stream".
"""

from __future__ import annotations

from floorline.gateway.upstreams.completions import Findings, read_completion, with_id

_BOM = b"\xef\xbb\xbf"
_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":", b"\n")


class SseReader:
    r"""Reads the fields of a streamed completion that the gateway needs.

    Parameters
    ----------
    drop_usage
        Whether to remove the chunk that carries only the usage.
    own_id
        Id that replaces the provider's in every chunk; "" keeps the provider's.

    With one of the two, ``feed`` returns whole events with line ends ``\n``, else the bytes it was
    given.

    Attributes
    ----------
    found
        Fields read from the stream so far.
    done
        Whether ``[DONE]`` arrived.
    chunks
        Number of completion chunks so far.
    malformed
        Number of events that are neither chunk nor error.

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
        "chunks",
        "done",
        "found",
        "malformed",
    )

    def __init__(self, *, drop_usage: bool = False, own_id: str = "") -> None:
        self.found = Findings()
        self.done = False
        self.chunks = 0
        self.malformed = 0
        self._drop_usage = drop_usage
        self._own_id = own_id
        self._changes = drop_usage or own_id != ""
        self._tail = bytearray()
        self._skip_newline = False
        self._started = False

    def feed(self, data: bytes) -> bytes:
        """Read the next bytes; return those to pass on to the client."""
        text = self._unify(data) if self._skip_newline or b"\r" in data else data
        tail = self._tail
        if tail:
            start = len(tail) - 1
            tail += text
            if tail.find(b"\n\n", start) < 0:
                return b"" if self._changes else data
            text = bytes(tail)
            tail.clear()
        *events, rest = text.split(b"\n\n")
        if rest:
            tail += rest
        if not self._changes:
            for event in events:
                self._read(event)
            return data
        passed = map(self._read, events)
        return b"".join([event + b"\n\n" for event in passed if event is not None])

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
        if len(payload) < 16 and payload.strip() == b"[DONE]":
            self.done = True
            return whole
        chunk = read_completion(payload)
        if chunk is None or chunk.choices is chunk.error is chunk.usage is None:
            self.malformed += 1
            return whole
        self.found.add(chunk)
        self.chunks += chunk.error is None
        if self._drop_usage and chunk.usage is not None and not chunk.choices:
            return None
        if self._own_id and chunk.error is None:
            return _with_id(event, payload, self._own_id)
        return whole


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
