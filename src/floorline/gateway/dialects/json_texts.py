"""JSON as texts: the arguments of tool calls, and the data of events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from floorline.gateway.lenient_json import read_value

RAW = "_raw"
"""Name under which a tool's arguments that are no JSON object stand in an object of their own:
Anthropic takes nothing else, and neither a call nor its text may be lost."""


def encode(value: Any) -> bytes:
    r"""Encode JSON, also of texts with lone surrogates, which msgspec refuses.

    Parts of it may be ``msgspec.Raw``.

    Examples
    --------
    >>> encode({"text": "\ud800", "n": 1.5})
    b'{"text":"\\ud800","n":1.5}'
    """
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(value, separators=(",", ":"), default=_decoded).encode()


def arguments_object(text: str) -> dict[str, Any]:
    """Return the arguments of a call as an object.

    Examples
    --------
    >>> arguments_object('{"city": "Oslo"}'), arguments_object(""), arguments_object("Oslo")
    ({'city': 'Oslo'}, {}, {'_raw': 'Oslo'})
    """
    if not text.strip():
        return {}
    value = _value(text)
    return value if type(value) is dict else {RAW: text}


def arguments_text(value: Any) -> str:
    """Return the arguments of a call as a text: the opposite of ``arguments_object``.

    Examples
    --------
    >>> arguments_text({"city": "Oslo"}), arguments_text({"_raw": "Oslo"})
    ('{"city":"Oslo"}', 'Oslo')
    """
    if type(value) is dict and len(value) == 1:
        raw = value.get(RAW)
        if type(raw) is str and raw.strip() and type(_value(raw)) is not dict:
            return raw
    return encode(value).decode()


def is_object(text: str) -> bool:
    """Whether a text is a whole JSON object.

    Examples
    --------
    >>> is_object('{"city": "Oslo"}'), is_object('{"city": "Os'), is_object("")
    (True, False, False)
    """
    # Most texts that are not whole end otherwise, and are not parsed.
    return text.rstrip()[-1:] == "}" and type(_value(text)) is dict


def text_in(holder: Mapping[str, Any], name: str) -> str:
    """Return a field that is a text, else ""."""
    value = holder.get(name)
    return value if type(value) is str else ""


def json_object(data: bytes) -> dict[str, Any] | None:
    """Return an object; None if the data is none."""
    try:
        value = read_value(data)
    except ValueError:
        return None
    return value if type(value) is dict else None


def _value(text: str) -> Any:
    try:
        return read_value(text.encode("utf-8", "surrogatepass"))
    except ValueError:
        return None


def _decoded(raw: msgspec.Raw) -> Any:
    return json.loads(bytes(raw))
