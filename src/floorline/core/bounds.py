"""Bounds of the values in events: what every store, table and sum of Floorline can hold.

A value that a caller gives is refused if it breaks its bound. A value that a provider sends is cut
to its bound, because a provider must not make a request fail.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from floorline.errors import InvalidInput, check_number

MAX_NAME = 256
"""Most characters of an id or a name. In UTF-8 they take at most 1,024 bytes, and a key of an index
in PostgreSQL at most 2,704."""
MAX_TENANT = 128
"""Most characters of a tenant. ``SLA@TENANT`` is the name of an SLA and must fit ``MAX_NAME``."""
MAX_SOURCE = 512
"""Most characters of the source of a warm start: a file name of 255 and a digest of 71."""
MAX_ERROR = 1_000
"""Most characters of the error in an outcome; a longer text is cut."""
MAX_URL = 2_048
"""Most characters of an endpoint."""
MAX_TOKENS = 2**53 - 1
"""Most tokens of a request or an answer: the largest count up to which floats and the 64-bit
integers of SQLite, PostgreSQL and Parquet are exact."""
MAX_COST = 1e15
"""Highest cost of one event, in the zoo's unit: sums of many stay exact to a millionth of one."""
MAX_PRICE = 1e9
"""Highest price of a model per million tokens, in the zoo's unit."""
MAX_LATENCY = 1e6
"""Longest latency in seconds, about 11 days."""
MIN_TIME, MAX_TIME = -62_135_596_800.0, 253_402_300_799.0
"""Range of times in seconds: the years 1 to 9999, which calendars of Python and SQL can show."""

_ODD = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Characters that names cannot have: control characters (PostgreSQL stores no NUL), line separators
and lone surrogates, which UTF-8 cannot encode. ``str.isprintable`` alone will not do, because its
answer depends on the version of Unicode."""
_DIGEST = "sha256-"

_NAME_FIX = "give a text of at most {most} characters without control characters"
_COUNT_FIX = f"give a whole number from 0 to {MAX_TOKENS:,}"
_TIME_FIX = "give seconds (not milliseconds) from year 1 to year 9999 in Unix time"


def is_name(value: object, most: int = MAX_NAME) -> bool:
    r"""Whether a value is a text of at most ``most`` characters without control characters.

    Examples
    --------
    >>> is_name("acme"), is_name("a\0b"), is_name("x" * 257), is_name(7)
    (True, False, False, False)
    """
    return (
        isinstance(value, str)
        and len(value) <= most
        and ((value.isascii() and value.isprintable()) or _ODD.search(value) is None)
    )


def check_name(field: str, value: object, most: int = MAX_NAME, *, empty: bool = True) -> None:
    """Check that a value is a name; see ``is_name``.

    Parameters
    ----------
    field
        Name of the field for the message.
    value
        Value to check.
    most
        Most characters.
    empty
        Whether the empty text, or one of spaces only, is a name.

    Raises
    ------
    InvalidInput
        If it is none.
    """
    if not is_name(value, most):
        raise InvalidInput(field, value, _NAME_FIX.format(most=most))
    if not empty and not str(value).strip():
        raise InvalidInput(field, value, "give a name that is not empty")


def check_count(field: str, value: Any, fix: str = _COUNT_FIX) -> int:
    """Return a number of tokens as an int.

    Raises
    ------
    InvalidInput
        If it is no whole number from 0 to ``MAX_TOKENS``.

    Examples
    --------
    >>> check_count("tokens", 12.0)
    12
    >>> check_count("tokens", 2**64)
    Traceback (most recent call last):
    ...
    floorline.errors.InvalidInput: tokens is 18446744073709551616: give a whole number from 0 to ...
    """
    if type(value) is int and 0 <= value <= MAX_TOKENS:
        return value
    number = check_number(field, value, low=0.0, high=float(MAX_TOKENS), fix=fix)
    if number % 1:
        raise InvalidInput(field, value, fix)
    return int(value)


def check_time(field: str, value: Any) -> float:
    """Return a time in seconds as a float.

    Raises
    ------
    InvalidInput
        If it is no number from ``MIN_TIME`` to ``MAX_TIME``.
    """
    if type(value) is float and MIN_TIME <= value <= MAX_TIME:
        return value
    return check_number(field, value, low=MIN_TIME, high=MAX_TIME, fix=_TIME_FIX)


def clean_text(text: str, most: int = MAX_ERROR) -> str:
    r"""Cut a text for people to its bound and replace characters that no store can hold.

    Examples
    --------
    >>> clean_text("no\0 way", most=5)
    'no\ufffd …'
    >>> clean_text("fine")
    'fine'
    """
    if len(text) > most:
        text = text[: most - 1] + "…"
    return text if text.isascii() and text.isprintable() else _ODD.sub("\ufffd", text)


def canonical_id(id: str) -> str:
    """Form in which a provider's id is kept: itself if it is a name, else its digest.

    Examples
    --------
    >>> canonical_id("chatcmpl-1"), canonical_id("x" * 9000)[:14]
    ('chatcmpl-1', 'sha256-e797e2a')
    """
    if is_name(id):
        return id
    return _DIGEST + hashlib.sha256(id.encode("utf-8", "surrogatepass")).hexdigest()
