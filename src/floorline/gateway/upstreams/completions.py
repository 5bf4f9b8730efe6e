"""The fields of a provider's answer that the gateway reads; it passes on the others unread."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import msgspec

from floorline.gateway.lenient_json import (
    UNREADABLE,
    read_fields,
    read_items,
    read_value,
    repaired,
    write_fields,
)

_EMPTY = frozenset({b"", b"null", b'""', b"[]", b"{}"})
"""JSON values without content."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """A whole message, or the part of one that a chunk adds."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None


class ResponseChoice(msgspec.Struct, frozen=True, gc=False):
    """One of the ``n`` choices of an answer; a completion without chat has its text in ``text``."""

    index: int | str | None = 0
    delta: Message | None = None
    message: Message | None = None
    text: Any = None
    finish_reason: Any = None
    error: Any = None
    usage: Any = None


class Groq(msgspec.Struct, frozen=True, gc=False):
    """Groq's own part of a chunk."""

    usage: Any = None


class Completion(msgspec.Struct, frozen=True, gc=False):
    """A chat completion or a chunk of one."""

    # Any JSON value, which must not make the rest unreadable.
    id: msgspec.Raw = msgspec.Raw()
    choices: list[ResponseChoice] | None = None
    usage: Any = None
    error: Any = None
    x_groq: Groq | None = None
    timings: Any = None
    service_tier: Any = None

    @property
    def fault(self) -> dict[str, Any] | None:
        """The provider's error, as an object with ``message``; None if there is none."""
        found = fault_of(self.error)
        for choice in self.choices or ():
            found = found or fault_of(choice.error)
        for choice in self.choices or ():
            if found is None and choice.finish_reason == "error":
                found = {"message": "the answer ended with finish_reason 'error'"}
        return found


def fault_of(error: Any) -> dict[str, Any] | None:
    """Return an error as an object; None if it is empty, as beside a sound completion."""
    if isinstance(error, dict):
        return error if any(error.values()) else None
    return {"message": str(error)} if error else None


_decoder = msgspec.json.Decoder(Completion)
_choice_decoder = msgspec.json.Decoder(ResponseChoice)


def read_completion(body: bytes) -> Completion | None:
    """Decode a completion or a chunk; None if it is neither.

    A value that the gateway does not need, or that has an odd type, makes nothing else unreadable.

    Examples
    --------
    >>> read_completion(b'{"id": "c-1", "choices": []}').choices
    []
    >>> read_completion(b'{"choices": [{"index": 1, "logprobs": NaN}, 7]}').choices[0].index
    1
    >>> read_completion(b'{"id": "c-')
    """
    try:
        return _decoder.decode(body)
    except UNREADABLE:
        pass
    try:
        sound = repaired(body)
    except ValueError:
        return None
    try:
        return _decoder.decode(sound)
    except UNREADABLE:
        return _read_loosely(sound)


class Embeddings(msgspec.Struct, frozen=True):
    """A list of embeddings; their numbers stay unread."""

    data: list[msgspec.Raw] | None = None
    usage: Any = None
    error: Any = None


_embeddings_decoder = msgspec.json.Decoder(Embeddings)


def read_embeddings(body: bytes) -> Embeddings | None:
    """Decode a list of embeddings; None if it is none.

    Examples
    --------
    >>> read_embeddings(b'{"data": [{"embedding": [0.1]}], "usage": {"total_tokens": 3}}').usage
    {'total_tokens': 3}
    """
    for tried in (bytes, repaired):
        try:
            return _embeddings_decoder.decode(tried(body))
        except (*UNREADABLE, ValueError):
            continue
    return None


def _read_loosely(body: bytes) -> Completion | None:
    """Read a completion field by field, without those that cannot be read."""
    fields = _fields(body)
    if fields is None:
        return None
    choices: list[ResponseChoice] | None = None
    with contextlib.suppress(ValueError):
        items = read_items(fields.get("choices", msgspec.Raw()))
        choices = [_choice(item) for item in items if _is_object(item)]
    groq = _value(fields, "x_groq")
    return Completion(
        id=fields.get("id", msgspec.Raw()),
        choices=choices,
        usage=_value(fields, "usage"),
        error=_value(fields, "error"),
        x_groq=Groq(groq.get("usage")) if isinstance(groq, dict) else None,
        timings=_value(fields, "timings"),
        service_tier=_value(fields, "service_tier"),
    )


def _choice(item: msgspec.Raw) -> ResponseChoice:
    try:
        return _choice_decoder.decode(item)
    except UNREADABLE:
        pass
    fields = _fields(item) or {}
    index = _value(fields, "index")
    return ResponseChoice(
        index=index if isinstance(index, int | str) else int(index) if _is_whole(index) else 0,
        delta=_message(fields.get("delta")),
        message=_message(fields.get("message")),
        text=_value(fields, "text"),
        finish_reason=_value(fields, "finish_reason"),
        error=_value(fields, "error"),
        usage=_value(fields, "usage"),
    )


def _message(value: msgspec.Raw | None) -> Message | None:
    fields = None if value is None else _fields(value)
    if fields is None:
        return None
    return Message(**{name: _value(fields, name) for name in Message.__struct_fields__})


def _is_object(value: msgspec.Raw) -> bool:
    return bytes(value)[:1] == b"{"


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _fields(value: bytes | msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    try:
        return read_fields(bytes(value))
    except ValueError:
        return None


def _value(fields: Mapping[str, msgspec.Raw], name: str) -> Any:
    """Return a field; None if it is absent or cannot be read."""
    try:
        return read_value(fields[name]) if name in fields else None
    except ValueError:
        return None


def has_content(body: bytes) -> bool:
    """Whether a completion or a chunk of one has more than roles, in whatever field it is.

    Examples
    --------
    >>> has_content(b'{"choices": [{"delta": {"role": "assistant", "content": ""}}]}')
    False
    >>> has_content(b'{"choices": [{"delta": {"audio": {"id": "a-1"}}}]}')
    True
    """
    try:
        value = read_value(body)
    except ValueError:
        # Too deep or too large to be only a role.
        return True
    choices = value.get("choices") if isinstance(value, dict) else None
    for choice in choices if isinstance(choices, list) else ():
        for name in ("delta", "message", "text") if isinstance(choice, dict) else ():
            part = choice.get(name)
            if isinstance(part, dict):
                if any(one for key, one in part.items() if key != "role"):
                    return True
            elif part:
                return True
    return False


def with_id(completion: bytes, id: str) -> bytes:
    """Replace the id of a completion or a chunk; all its other fields keep their bytes.

    Parameters
    ----------
    completion
        JSON that ``read_completion`` can read.
    id
        The new id; it is added if there is none.

    Examples
    --------
    >>> with_id(b'{"id": 7, "choices": [{"id": 7, "x": 1.50}]}', "d-1")
    b'{"id":"d-1","choices":[{"id": 7, "x": 1.50}]}'
    """
    new = msgspec.json.encode(id)
    try:
        fields = {"id": msgspec.Raw(), **read_fields(completion)}
    except ValueError:
        # Too large for the slower parser: of two fields of a name, parsers take the last one.
        start, _, end = completion.rpartition(b"}")
        return start + b',"id":' + new + b"}" + end
    fields["id"] = msgspec.Raw(new)
    return write_fields(fields)


_USAGE_FIELDS = frozenset(
    {
        "choices",
        "created",
        "id",
        "model",
        "object",
        "obfuscation",
        "service_tier",
        "system_fingerprint",
        "usage",
    }
)
"""Fields of OpenAI's chunk that carries the usage."""


def carries_usage_alone(chunk: bytes) -> bool:
    """Whether a chunk without choices has nothing but the usage and what every chunk has.

    Examples
    --------
    >>> carries_usage_alone(b'{"id": "c-1", "choices": [], "usage": {}, "prompt_ids": null}')
    True
    >>> carries_usage_alone(b'{"id": "c-1", "choices": [], "usage": {}, "timings": {"n": 1}}')
    False
    """
    fields = _fields(chunk) or {}
    return all(name in _USAGE_FIELDS or bytes(raw) in _EMPTY for name, raw in fields.items())


def json_object_in(body: bytes) -> dict[str, Any]:
    """Return the object that JSON is; an empty one if it is none."""
    try:
        value = read_value(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def is_json_object(body: bytes) -> bool:
    """Whether bytes are one JSON object.

    Examples
    --------
    >>> is_json_object(b'{"detail": "no"}'), is_json_object(b"<html>"), is_json_object(b"[]")
    (True, False, False)
    """
    return _fields(body) is not None
