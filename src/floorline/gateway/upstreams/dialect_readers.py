"""Read streams of dialects whose events have names, and turn streams of one into another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from floorline.gateway.dialects.answer_parts import Failed
from floorline.gateway.dialects.events import EVENT_FACTS, named, type_in, with_answer_id
from floorline.gateway.upstreams.event_reader import EventReader

if TYPE_CHECKING:
    from floorline.config.provider import DialectName
    from floorline.gateway.dialects.base import StreamReader, StreamWriter


class PassedReader(EventReader):
    """Reads a stream that is passed on in its own dialect, by a reader of that dialect.

    Parameters
    ----------
    reader
        Reads the events.
    dialect
        Name of the dialect.
    own_id
        Id that replaces the provider's; "" keeps the provider's.
    """

    __slots__ = ("_facts", "_own_id", "_reader")

    def __init__(self, reader: StreamReader, dialect: DialectName, *, own_id: str = "") -> None:
        super().__init__(changes=own_id != "")
        self._reader = reader
        self._facts = EVENT_FACTS[dialect]
        self._own_id = own_id

    def ending(self) -> bytes:
        """Return the event that ends a stream."""
        return self._facts.ending

    def _read(self, event: bytes) -> bytes | None:
        """Read one event; return it as it is passed on."""
        whole = event
        event, data = self._data_of(event)
        if data is None:
            return whole
        name = _name_of(event) or type_in(data)
        found = self.found
        parts = self._reader.read(name, data)
        found.add_parts(parts)
        if not self.begun and found.error is None:
            self.begun = found.begun or name not in self._facts.without_content
        self.done = self._reader.done or found.error is not None
        holder = self._facts.id_holder
        if self._own_id and b'"%s"' % holder.encode() in data:
            data = with_answer_id(data, self._own_id, holder)
            return b"event: %s\ndata: %s" % (name.encode(), data)
        return whole


class TranslatedReader(EventReader):
    """Turns a stream of one dialect into a stream of another.

    Parameters
    ----------
    reader
        Reads the provider's events.
    writer, dialect
        Writes the client's, and the name of its dialect.
    end_mark
        Last bytes of the provider's stream, with which it ends also if no blank line follows.
    """

    __slots__ = ("_dialect", "_ended", "_reader", "_writer", "end_mark")

    def __init__(
        self,
        reader: StreamReader,
        writer: StreamWriter,
        dialect: DialectName,
        *,
        end_mark: bytes = b"",
    ) -> None:
        super().__init__(changes=True)
        self._dialect = dialect
        self._reader = reader
        self._writer = writer
        self.end_mark = end_mark
        self._ended = False

    def written(self) -> Mapping[str, Any]:
        """Return what ``written_by`` does of the writer."""
        return written_by(self._writer)

    def ending(self) -> bytes:
        """Return the events that end a stream."""
        if self._ended:
            return b""
        self._ended = True
        return self._writer.end()

    def _read(self, event: bytes) -> bytes | None:
        """Read one event; return what it becomes, None for nothing."""
        event, data = self._data_of(event)
        if data is None:
            # A comment keeps the connection of the client open as well.
            return event if event.startswith(b":") else None
        found = self.found
        parts = named(self._reader.read(_name_of(event), data.strip()), self._dialect)
        found.add_parts(parts)
        written = self._writer.write(parts)
        if not self.begun and found.error is None:
            self.begun = found.begun
        if any(type(part) is Failed for part in parts):
            self.done = self._ended = True
        elif self._reader.done:
            self.done = True
            written += self.ending()
        # The reader of the bytes adds the blank line of every event.
        return written.removesuffix(b"\n\n") or None


def written_by(writer: StreamWriter) -> Mapping[str, Any]:
    """Return the answer that a writer of OpenAI's responses has written; empty of all others."""
    found: Mapping[str, Any] = getattr(writer, "response", {})
    return found


def _name_of(event: bytes) -> str:
    r"""Name of an event; "" if it has none.

    Examples
    --------
    >>> _name_of(b"event: ping\ndata: {}"), _name_of(b"data: {}")
    ('ping', '')
    """
    if not event.startswith(b"event:"):
        start = event.find(b"\nevent:")
        if start < 0:
            return ""
        event = event[start + 1 :]
    line = event[len(b"event:") :].partition(b"\n")[0]
    return line.decode("utf-8", "replace").strip()
