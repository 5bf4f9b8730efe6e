"""Turn a whole completion into a stream, for a provider that does not stream when asked to."""

from __future__ import annotations

import contextlib

import msgspec

from floorline.gateway.lenient_json import read_fields, read_items, write_fields

_CHUNK = msgspec.Raw(b'"chat.completion.chunk"')
_TEXT = b'"text_completion"'
"""Object of completions without chat, whole and as chunks."""
_ENDS = bytes.maketrans(b"\r\n", b"  ")
"""A line end would end the event's data; outside of texts, JSON has spaces in its place as well."""


def as_stream(completion: bytes) -> bytes:
    r"""Return the events of a stream that has one chunk, with all that the completion holds.

    Parameters
    ----------
    completion
        JSON that ``read_completion`` can read, with choices.

    Examples
    --------
    >>> chunk, done, _ = as_stream(b'{"choices": [{"message": {"content": "Hi"}}]}').split(b"\n\n")
    >>> chunk
    b'data: {"choices":[{"delta":{"content":"Hi"}}],"object":"chat.completion.chunk"}'
    """
    fields = read_fields(completion)
    fields["choices"] = _list([_with_delta(item) for item in read_items(fields["choices"])])
    if bytes(fields.get("object", b"")) != _TEXT:
        fields["object"] = _CHUNK
    return b"data: " + write_fields(fields).translate(_ENDS) + b"\n\ndata: [DONE]\n\n"


def _with_delta(choice: msgspec.Raw) -> bytes:
    fields = _fields(choice)
    message = fields.pop("message", None)
    if message is None:
        return bytes(choice)
    delta = _fields(message)
    if "tool_calls" in delta:
        with contextlib.suppress(ValueError):
            calls = enumerate(read_items(delta["tool_calls"]))
            delta["tool_calls"] = _list([_with_index(call, position) for position, call in calls])
    fields["delta"] = msgspec.Raw(write_fields(delta)) if delta else message
    return write_fields(fields)


def _with_index(call: msgspec.Raw, position: int) -> bytes:
    """Number a tool call: clients put the parts of calls together by these numbers."""
    fields = _fields(call)
    if not fields:
        return bytes(call)
    fields.setdefault("index", msgspec.Raw(str(position).encode()))
    return write_fields(fields)


def _list(items: list[bytes]) -> msgspec.Raw:
    return msgspec.Raw(b"[" + b",".join(items) + b"]")


def _fields(value: msgspec.Raw) -> dict[str, msgspec.Raw]:
    """Fields of an object; none if the value is no object."""
    try:
        return read_fields(bytes(value))
    except ValueError:
        return {}
