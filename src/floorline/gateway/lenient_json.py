"""Read JSON of which only some fields matter, and change fields without touching the others.

msgspec refuses what several servers and clients send: ``NaN`` and ``Infinity``, lone surrogates,
bytes that are no UTF-8. A body with such a value in a field that the gateway does not need is still
read, by a slower parser, and the value travels on as it came.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import msgspec

_MAX_VALUES = 200_000
"""Commas and opening brackets that the slower parser reads: some 0.2 s of the event loop."""
_MAX_SIGNS = 5 * _MAX_VALUES
"""Texts, brackets, commas and colons that so many values can have; more are no JSON."""
_MAX_DIGITS = 300
"""Digits of the longest whole number that is read as one; Python's parser takes quadratic time."""

_BOM = b"\xef\xbb\xbf"

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises of bytes that it cannot read."""

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])
_SURROGATES = re.compile("[\ud800-\udfff]")
_CLOSING = {b"{": b"}", b"[": b"]"}
_VALUE = re.compile(rb'"(?:[^"\\]++|\\.)*+"|\{.*\}|\[.*\]|[^\s"{}\[\],:]+', re.DOTALL)
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\],:]', re.DOTALL)
# Both begin with what they look for, so that large texts without it take no time.
_ODD = [
    (word, re.compile(rb"%s(?<=[\s\[:,]%s)(?=[\s,\]}])" % (word, word)), b"-1".ljust(len(word)))
    for word in (b"-Infinity", b"Infinity", b"NaN")
]
"""Numbers that JSON does not have, and what is read in their place, of the same length."""
_HIGH, _LOW = (rb"\\u[dD][%s][\da-fA-F]{2}" % digits for digits in (b"89abAB", b"c-fC-F"))
_LONE_SURROGATES = [
    re.compile(_HIGH + rb"(?!%s)" % _LOW),
    re.compile(_LOW + rb"(?<!%s)" % (_HIGH + _LOW)),
]


def read_fields(data: bytes) -> dict[str, msgspec.Raw]:
    """Return the fields of a JSON object, each as the bytes that arrived.

    Raises
    ------
    ValueError
        If the data is no JSON object, or no strict JSON and large.

    Examples
    --------
    >>> fields = read_fields(b'{"id": 1.50, "logprob": -Infinity}')
    >>> bytes(fields["id"]), bytes(fields["logprob"])
    (b'1.50', b'-Infinity')
    """
    try:
        return _fields.decode(data)
    except UNREADABLE:
        pass
    if data.startswith(_BOM):
        data = data[len(_BOM) :]
        with contextlib.suppress(*UNREADABLE):
            return _fields.decode(data)
    return _scanned(data)


def read_items(data: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """Return the items of a JSON array, each as the bytes that arrived.

    Raises
    ------
    ValueError
        If the data is no JSON array, or no strict JSON and large.

    Examples
    --------
    >>> [bytes(item) for item in read_items(b'[1.50, [NaN, 2], {}]')]
    [b'1.50', b'[NaN, 2]', b'{}']
    """
    try:
        return _items.decode(data)
    except UNREADABLE:
        pass
    text = bytes(data).strip()
    if text[:1] != b"[" or text[-1:] != b"]":
        raise ValueError("the JSON is no array")
    _check_size(text)
    found: list[msgspec.Raw] = []
    depth, start = 0, 1
    for match in _TOKEN.finditer(text, 1, len(text) - 1):
        sign = match.group()
        if sign == b"{" or sign == b"[":
            depth += 1
        elif sign == b"}" or sign == b"]":
            depth -= 1
        elif sign == b"," and depth == 0:
            found.append(msgspec.Raw(text[start : match.start()].strip()))
            start = match.end()
    last = text[start:-1].strip()
    return [*found, msgspec.Raw(last)] if last else found


def repaired(data: bytes) -> bytes:
    r"""Return a copy for reading alone, of which msgspec reads what it refuses of the original.

    ``NaN`` and infinities become -1, which is no valid count of anything; lone surrogates and
    bytes that are no UTF-8 become U+FFFD.

    Raises
    ------
    ValueError
        If there are very many of them.

    Examples
    --------
    >>> repaired(b'{"logprob": -Infinity, "text": "\\ud83e \\ud83e\\udd89"}')
    b'{"logprob": -1       , "text": "\\ufffd \\ud83e\\udd89"}'
    """
    try:
        data.decode()
    except UnicodeDecodeError:
        data = data.decode("utf-8", "replace").encode()
    data = data.removeprefix(_BOM)
    signs = (b"Infinity", b"NaN", b"\\ud", b"\\uD")
    counts = [data.count(sign) for sign in signs]
    if sum(counts) > _MAX_VALUES:
        raise ValueError(f"the JSON has more than {_MAX_VALUES:,} values that are no strict JSON")
    for word, number, valid in _ODD:
        if word in data:
            data = number.sub(valid, data)
    if counts[2] or counts[3]:
        for lone in _LONE_SURROGATES:
            data = lone.sub(rb"\\ufffd", data)
    return data


def write_fields(fields: dict[str, msgspec.Raw]) -> bytes:
    r"""Encode an object from its fields; their values keep their bytes.

    Examples
    --------
    >>> write_fields({"id": msgspec.Raw(b"1.50"), "text": msgspec.Raw(b'"\\ud800"')})
    b'{"id":1.50,"text":"\\ud800"}'
    """
    try:
        return msgspec.json.encode(fields)
    except UnicodeEncodeError:
        # A name with a lone surrogate.
        parts = [json.dumps(name).encode() + b":" + bytes(raw) for name, raw in fields.items()]
        return b"{" + b",".join(parts) + b"}"


def read_value(data: bytes | msgspec.Raw) -> Any:
    r"""Decode a JSON value; ``NaN`` and infinities become floats, lone surrogates ``"\ufffd"``.

    Raises
    ------
    ValueError
        If it is no JSON, nested too deeply, or no strict JSON and large; the text says which.

    Examples
    --------
    >>> read_value(b'{"logprob": -Infinity, "content": "\\ud800!"}')
    {'logprob': -inf, 'content': '\ufffd!'}
    """
    try:
        return msgspec.json.decode(data)
    except UNREADABLE:
        pass
    raw = bytes(data)
    _check_size(raw)
    text = raw.decode("utf-8", "replace")
    try:
        # Not strict: several servers send tabs and line ends within strings.
        return _without_surrogates(json.loads(text, parse_int=_whole, strict=False))
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _check_size(data: bytes) -> None:
    if sum(map(data.count, (b",", b"[", b"{"))) > _MAX_VALUES:
        raise ValueError(f"the JSON is no strict JSON, and has more than {_MAX_VALUES:,} values")


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _without_surrogates(value: Any) -> Any:
    """Replace lone surrogates, which no encoding, hash or database takes."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATES.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
    return value


def _scanned(data: bytes) -> dict[str, msgspec.Raw]:
    """Fields of an object that msgspec refuses, by the places of its outermost signs.

    The values are not parsed, so they may be nested as deeply as they like.
    """
    _check_size(data)
    found: dict[str, msgspec.Raw] = {}
    open_brackets = bytearray()
    name, start, end = b"", 0, 0
    for number, match in enumerate(_TOKEN.finditer(data)):
        if number > _MAX_SIGNS:
            raise ValueError("the JSON is malformed")
        sign = match.group()
        if not open_brackets and (end or sign != b"{"):
            break
        depth = len(open_brackets)
        if sign == b"{" or sign == b"[":
            open_brackets += _CLOSING[sign]
            start = match.end() if depth == 0 else start
        elif depth == 1 and sign == b":":
            if name:
                raise ValueError("the JSON is malformed")
            name, start = data[start : match.start()].strip(), match.end()
        elif depth == 1 and sign in (b",", b"}"):
            value = data[start : match.start()].strip()
            if name and _VALUE.fullmatch(value):
                found[_name(name)] = msgspec.Raw(value)
            elif name or value or (found and sign == b"}") or sign == b",":
                raise ValueError("the JSON is malformed")
            name, start = b"", match.end()
        if sign in (b"}", b"]"):
            if open_brackets[-1:] != sign:
                raise ValueError("the JSON is malformed")
            del open_brackets[-1]
            end = match.end()
    outside = data[: data.find(b"{")] + data[end:] if end else data
    if open_brackets or not end or outside.strip():
        raise ValueError("the JSON is malformed, or no object")
    return found


def _name(data: bytes) -> str:
    value = json.loads(data.decode("utf-8", "replace"))
    if not isinstance(value, str):
        raise ValueError("the JSON is malformed")
    return value
