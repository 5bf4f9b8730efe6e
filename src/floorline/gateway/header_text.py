r"""Names and texts in headers: one rule for what clients send and for what they get back.

A header is a text in UTF-8 in which ``%`` and two hexadecimal digits stand for a byte of UTF-8, for
clients that send ASCII only. A list has commas between its names; a name in double quotes is taken
as it is, with ``\`` before a quote or a backslash in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from floorline.errors import InvalidInput

_ITEM = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^",]*))\s*(?:,|$)')
_SAFE = "!#$&'()*+/:;<=>?@[]^`{|}"
"""Signs that a name keeps in a header; a comma, a quote and a percent sign are encoded."""


def header_text(value: str) -> str:
    r"""Return the text of a header, which the server hands over as Latin-1.

    Examples
    --------
    >>> header_text("caf\xc3\xa9"), header_text("caf%C3%A9"), header_text("50%")
    ('café', 'café', '50%')
    """
    return _percent_decoded(_utf8(value))


def header_names(field: str, values: Iterable[str]) -> tuple[str, ...]:
    r"""Return the names of a list; a header that is sent twice is one list.

    Parameters
    ----------
    field
        Name of the header, for the message.
    values
        Value of each of its lines.

    Raises
    ------
    InvalidInput
        If a quote is not closed, or stands inside a name.

    Examples
    --------
    >>> header_names("X", ['small, "a,b"', "%C3%BC-1b,"])
    ('small', 'a,b', 'ü-1b')
    """
    found: list[str] = []
    for value in values:
        text = _utf8(value)
        at = 0
        while at < len(text):
            match = _ITEM.match(text, at)
            if match is None:
                fix = 'close the quotes, and write a quote that is part of a name as \\" in quotes'
                raise InvalidInput(field, text, fix)
            at = match.end()
            if match["quoted"] is not None:
                name = re.sub(r"\\(.)", r"\1", match["quoted"])
            else:
                name = _percent_decoded(match["plain"].strip())
            if name:
                found.append(name)
    return tuple(found)


def header_lines(headers: Mapping[str, str], name: str) -> list[str]:
    """Return the values of all lines of a header."""
    # Starlette's headers are a mapping to the first line of each.
    lines = getattr(headers, "getlist", None)
    return list(lines(name)) if lines is not None else [headers[name]]


@lru_cache(maxsize=4096)
def as_header(name: str) -> bytes:
    """Write a name so that it can be sent back, also as part of a list.

    Examples
    --------
    >>> as_header("openai/gpt-4o"), as_header("a,b"), as_header("ü")
    (b'openai/gpt-4o', b'a%2Cb', b'%C3%BC')
    """
    return quote(name, safe=_SAFE, errors="replace").encode("ascii")


def _utf8(value: str) -> str:
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _percent_decoded(text: str) -> str:
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return text
