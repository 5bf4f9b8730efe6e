"""Read a stream of chat completions while its bytes are passed on."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from floorline.gateway.lenient_json import read_value
from floorline.gateway.upstreams.completions import (
    carries_usage_alone,
    has_content,
    read_completion,
    with_id,
)
from floorline.gateway.upstreams.event_reader import EventReader

_DONE = b"[DONE]"
_ERROR_EVENT = re.compile(rb"^event: ?error$", re.MULTILINE)


class SseReader(EventReader):
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

    __slots__ = ("_drop_usage", "_own_id")

    end_mark = _DONE

    def __init__(self, *, drop_usage: bool = False, own_id: str = "") -> None:
        super().__init__(changes=drop_usage or own_id != "")
        self._drop_usage = drop_usage
        self._own_id = own_id

    def ending(self) -> bytes:
        """Return ``[DONE]``: some servers do not send it, and some clients wait for it."""
        return b"data: [DONE]\n\n"

    def _read(self, event: bytes) -> bytes | None:
        """Read one event; return it as it is passed on, None if it is removed."""
        whole = event
        if self._started and event.startswith(b"data:") and b"\n" not in event:
            payload: bytes | None = event[5:]
        else:
            event, payload = self._data_of(event)
        if payload is None:
            return whole
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


def _with_id(event: bytes, payload: bytes, id: str) -> bytes:
    """Replace the id in the data of an event; its other lines stay."""
    others = [line for line in event.split(b"\n") if not line.startswith(b"data:")]
    return b"\n".join([*others, b"data: " + with_id(payload, id)])
