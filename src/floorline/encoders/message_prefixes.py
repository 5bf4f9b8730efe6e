"""Hashes of the prefixes of a request's messages, by which conversations are recognised.

A provider caches prompts by their prefixes, and a conversation's next request begins with the
messages of its last one. So each request gets a chain of hashes, one per message: each is the hash
of the one before and of the message.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from floorline.encoders.prompt_size import CHARACTERS_PER_TOKEN

_DIGEST_BYTES = 12
"""Length of a hash. Among the 100,000 prefixes that are remembered, two of 96 bits are equal with
probability 10⁻¹⁹."""
_MAX_PREFIXES = 512
"""Most prefixes of a request, the longest ones. A conversation that gets more messages than this
from one request to the next is not recognised."""
_SYSTEM_ROLES = frozenset({"system", "developer"})
_CACHE_MARK = "cache_control"
"""Field by which Anthropic's clients mark where the provider is to cache. The marks move on with
each request, and are no part of the text."""
_CACHE_MARK_BYTES = _CACHE_MARK.encode()
_BILLING = re.compile(rb'x-anthropic-billing-header:[^"\\\\]*')
"""Line that Claude Code puts before its system prompt, with a number of its own in each request."""
_MAX_DEPTH = 32
"""Levels of a message in which marks are looked for; deeper ones are hashed as they are."""

_encoder = msgspec.json.Encoder()


class MessagePrefixes(NamedTuple):
    """Prefixes of one request.

    Attributes
    ----------
    hashes : tuple of str
        Hash of what comes before the first turn (the tools and the system prompt), and of each
        longer prefix up to all messages.
    head_tokens : int
        Estimated tokens of what comes before the first turn.
    """

    hashes: tuple[str, ...]
    head_tokens: int


def message_prefixes(messages: Any, head: Iterable[bytes] = ()) -> MessagePrefixes:
    """Hash the prefixes of the messages of any dialect.

    Parameters
    ----------
    messages
        The messages; a text is one message.
    head
        What the provider puts before the messages, as the bytes that arrived, such as the tools.

    Examples
    --------
    >>> first = message_prefixes([{"role": "user", "content": "hi"}])
    >>> more = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    >>> second = message_prefixes(more)
    >>> len(second.hashes), second.hashes[:2] == first.hashes
    (3, True)
    """
    turns = messages if isinstance(messages, list | tuple) else [messages]
    digest, size, first = b"", 0, 0
    for part in head:
        data = _BILLING.sub(b"", _without_marks(part))
        digest = _hash(digest, data)
        size += len(data)
    for first, message in enumerate(turns):  # noqa: B007
        if not (isinstance(message, dict) and _is_one_of(message.get("role"), _SYSTEM_ROLES)):
            break
        data = _message(message)
        digest = _hash(digest, data)
        size += len(data)
    else:
        first = len(turns)
    hashes = [digest.hex() or "0"]
    for message in turns[first:]:
        digest = _hash(digest, _message(message))
        hashes.append(digest.hex())
    if len(hashes) > _MAX_PREFIXES:
        hashes[1:-_MAX_PREFIXES] = []
    return MessagePrefixes(tuple(hashes), size // CHARACTERS_PER_TOKEN)


def _hash(before: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(before + data, digest_size=_DIGEST_BYTES).digest()


def _is_one_of(value: Any, names: frozenset[str]) -> bool:
    """Whether a value of any type, also one without a hash, is one of some names."""
    return type(value) is str and value in names


def _message(message: Any) -> bytes:
    """Bytes of a message, the same for the forms that clients write one and the same text in."""
    if type(message) is dict:
        content = message.get("content")
        if type(content) is list and len(content) == 1:
            part = content[0]
            # A lone text is written as a text, or as a list, which has room for a mark.
            if type(part) is dict and _is_one_of(part.get("type"), _TEXT_TYPES) and "text" in part:
                kept = part.keys() <= _PLAIN_KEYS
                message = {**message, "content": part["text"]} if kept else message
    try:
        data = _encoder.encode(message)
    except (TypeError, ValueError, RecursionError):
        return repr(type(message)).encode()
    return _without_marks(data)


_TEXT_TYPES = frozenset({"text", "input_text", "output_text"})
_PLAIN_KEYS = frozenset({"type", "text", _CACHE_MARK})


def _without_marks(data: bytes) -> bytes:
    """Encoded JSON without the marks of caches."""
    if _CACHE_MARK_BYTES not in data:
        return data
    try:
        return _encoder.encode(_strip(msgspec.json.decode(data), 0))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return data


def _strip(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        return value
    if type(value) is dict:
        return {k: _strip(v, depth + 1) for k, v in value.items() if k != _CACHE_MARK}
    if type(value) is list:
        return [_strip(v, depth + 1) for v in value]
    return value
