"""Names of tools that every provider takes, and the way back to the client's own."""

from __future__ import annotations

import re
from hashlib import sha256

from floorline.gateway.dialects.conversation import Conversation

_VALID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_INVALID = re.compile(r"[^a-zA-Z0-9_-]")
_KEPT = 51
"""Characters of a long name that stay: with "_" and 12 digits of its hash it has OpenAI's 64."""
_DIGITS = 12
"""Hexadecimal digits of the hash: two of a thousand tools get the same name once in 10⁸ times."""


def short_name(name: str) -> str:
    """Return the name of a tool as providers take it: up to 64 letters, digits, "_" and "-".

    Anthropic takes 128 characters, OpenAI half of them, and clients build names from those of
    servers and tools. The name follows from the client's alone, so that no state is kept between a
    request and its answer.

    Examples
    --------
    >>> short_name("weather")
    'weather'
    >>> short_name("mcp__calendar.example__events")
    'mcp__calendar_example__events_efecf7098b7f'
    """
    if _VALID.fullmatch(name):
        return name
    digits = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{_INVALID.sub('_', name[:_KEPT])}_{digits}"


def client_names(request: Conversation | None) -> dict[str, str]:
    """Return the client's names of the tools that ``short_name`` renamed, by their new names."""
    if request is None:
        return {}
    return {
        short_name(tool.name): tool.name
        for tool in request.tools
        if short_name(tool.name) != tool.name
    }
