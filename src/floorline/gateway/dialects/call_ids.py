"""Ids of tool calls that every provider takes.

A conversation moves between providers, and each has its own form of ids: OpenAI's have up to 40
characters, Anthropic's only letters, digits, "_" and "-", and Mistral's nine letters and digits. An
id is the same in a call and in its result, so it follows from the old one alone.
"""

from __future__ import annotations

import re
from hashlib import sha256
from uuid import uuid4

_VALID = re.compile(r"[a-zA-Z0-9_-]{1,40}")
_MISTRAL = re.compile(r"[a-zA-Z0-9]{9}")
_DIGITS = 24
"""Hexadecimal digits of a new id: no two of all the world's calls get the same."""
_MISTRAL_DIGITS = 9


def call_id(id: str) -> str:
    """Return the id of a call as OpenAI and Anthropic take it.

    Examples
    --------
    >>> call_id("toolu_01D7FLrfh4GYq7yT1ULFeyMV"), call_id("functions.weather:0")
    ('toolu_01D7FLrfh4GYq7yT1ULFeyMV', 'call_c8cf447133ca3362a9892ed9')
    """
    return id if _VALID.fullmatch(id) else f"call_{_digest(id)[:_DIGITS]}"


def mistral_call_id(id: str) -> str:
    """Return the id of a call as Mistral takes it.

    Examples
    --------
    >>> mistral_call_id("aBc123XyZ"), len(mistral_call_id("call_1"))
    ('aBc123XyZ', 9)
    """
    return id if _MISTRAL.fullmatch(id) else _digest(id)[:_MISTRAL_DIGITS]


def new_call_id() -> str:
    """Return an id for a call that its provider gave none: no other call has it."""
    return f"call_{uuid4().hex[:_DIGITS]}"


def _digest(id: str) -> str:
    return sha256(id.encode("utf-8", "surrogatepass")).hexdigest()
