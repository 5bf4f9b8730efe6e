"""What the gateway has to know of events that it passes on in their own dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import msgspec

from floorline.gateway.dialects.answer_parts import AnswerPart, Started
from floorline.gateway.lenient_json import read_fields, write_fields

if TYPE_CHECKING:
    from floorline.config.provider import DialectName


class EventFacts(NamedTuple):
    """Facts about the events of one dialect.

    Attributes
    ----------
    without_content
        Names of events after which another model can still serve in this one's place.
    id_holder
        Field of an event that holds the answer's id; "" for the event itself.
    ending
        Event that ends a stream, for clients of providers that leave it out.
    """

    without_content: frozenset[str]
    id_holder: str
    ending: bytes = b""


EVENT_FACTS: dict[DialectName, EventFacts] = {
    "anthropic": EventFacts(
        frozenset({"content_block_start", "error", "message_start", "ping"}),
        "message",
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ),
    "responses": EventFacts(
        frozenset(
            {
                "error",
                "keepalive",
                "response.content_part.added",
                "response.created",
                "response.failed",
                "response.in_progress",
                "response.output_item.added",
                "response.queued",
                "response.reasoning_summary_part.added",
            }
        ),
        "response",
    ),
}
"""Facts about the dialects whose events have names; the chunks of chat completions have none."""


_ID_BEGINS: dict[DialectName, str] = {
    "openai": "chatcmpl-",
    "anthropic": "msg_",
    "responses": "resp_",
}


class _Typed(msgspec.Struct):
    type: str = ""


class _Run(msgspec.Struct):
    status: str = ""


_typed = msgspec.json.Decoder(_Typed)
_run = msgspec.json.Decoder(_Run)


def named(parts: list[AnswerPart], dialect: DialectName) -> list[AnswerPart]:
    """Give the beginning of an answer an id if its provider gives none.

    The gateway knows answers by the ids that clients see, so that they can give feedback by them.

    Parameters
    ----------
    parts
        Parts of an answer, or some of them.
    dialect
        Of the client, whose ids begin in a certain way.

    Examples
    --------
    >>> named([Started("msg_1")], "responses")[0].id
    'msg_1'
    >>> named([Started()], "responses")[0].id[:5]
    'resp_'
    """
    for place, part in enumerate(parts):
        if isinstance(part, Started):
            if part.id:
                return parts
            begun = Started(_ID_BEGINS[dialect] + uuid4().hex, part.model)
            return [*parts[:place], begun, *parts[place + 1 :]]
    return parts


def is_running(body: bytes) -> bool:
    """Whether a whole answer says that the provider still works on it, in the background.

    Examples
    --------
    >>> is_running(b'{"id": "resp_1", "status": "queued", "output": []}')
    True
    """
    try:
        return _run.decode(body).status in ("queued", "in_progress")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def type_in(data: bytes) -> str:
    """Return the type in the data of an event that has no name; "" if it has none.

    Examples
    --------
    >>> type_in(b'{"type": "ping"}'), type_in(b"[DONE]")
    ('ping', '')
    """
    try:
        return _typed.decode(data).type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def with_answer_id(data: bytes, id: str, holder: str = "") -> bytes:
    """Replace the id of an answer, whole or in the data of an event; other fields keep their bytes.

    Parameters
    ----------
    data
        JSON; returned as it is if it has no id.
    id
        The new id.
    holder
        Field that holds the answer; "" if the data is the answer.

    Examples
    --------
    >>> with_answer_id(b'{"message":{"id":"msg_1","x":1.50}}', "d-1", "message")
    b'{"message":{"id":"d-1","x":1.50}}'
    >>> with_answer_id(b'{"type":"ping"}', "d-1", "message")
    b'{"type":"ping"}'
    """
    try:
        fields = read_fields(data)
        if holder:
            if holder not in fields:
                return data
            inner = with_answer_id(bytes(fields[holder]), id)
            fields[holder] = msgspec.Raw(inner)
        elif "id" in fields:
            fields["id"] = msgspec.Raw(msgspec.json.encode(id))
        else:
            return data
    except ValueError:
        return data
    return write_fields(fields)
