"""Thinking that other providers wrote, in the form of Anthropic's blocks.

A client of Anthropic's dialect sends the thinking of earlier turns back, with signatures that
Anthropic checks. Thinking from elsewhere has none, so its blocks carry marks by which they are
recognised: Anthropic must not get them, and the provider that encrypted its reasoning may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from floorline.gateway.dialects.conversation import ThinkingPart
from floorline.gateway.dialects.fields import as_text, optional_text
from floorline.gateway.dialects.json_texts import encode, json_object

SIGNATURE = "floorline-unsigned"
"""Signature of a block whose text is not Anthropic's."""
ENCRYPTED = "floorline-encrypted:"
"""What the data of a block begins with whose content another provider encrypted."""

_MARKS = (SIGNATURE.encode(), ENCRYPTED.encode())


def read_thinking(block: Mapping[str, Any], path: str) -> ThinkingPart | None:
    """Read a block of thinking; None if it is empty."""
    if block.get("type") == "redacted_thinking":
        data = as_text(block.get("data"), f"{path}.data")
        return ThinkingPart(encrypted=data.removeprefix(ENCRYPTED)) if data else None
    text = as_text(block.get("thinking"), f"{path}.thinking")
    signature = block.get("signature")
    signature = optional_text(signature, f"{path}.signature")
    if signature == SIGNATURE:
        signature = ""
    return ThinkingPart(text, signature) if text or signature else None


def is_foreign(block: Any) -> bool:
    """Whether a block is thinking that another provider wrote."""
    if type(block) is not dict:
        return False
    if block.get("type") == "thinking":
        return block.get("signature") in (SIGNATURE, "", None)
    data = block.get("data") if block.get("type") == "redacted_thinking" else None
    return type(data) is str and data.startswith(ENCRYPTED)


def without_foreign_thinking(body: bytes) -> bytes:
    """Return a request for Anthropic without the thinking that others wrote.

    A request without a mark, which nearly all are, is returned as the object that was given.

    Examples
    --------
    >>> body = (b'{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"Hm",'
    ...         b'"signature":"floorline-unsigned"},{"type":"text","text":"Hi"}]}]}')
    >>> without_foreign_thinking(body)
    b'{"messages":[{"role":"assistant","content":[{"type":"text","text":"Hi"}]}]}'
    """
    if not any(mark in body for mark in _MARKS):
        return body
    fields = json_object(body)
    messages = None if fields is None else fields.get("messages")
    if type(messages) is not list:
        return body
    kept = []
    for message in messages:
        content = message.get("content") if type(message) is dict else None
        if type(content) is list:
            blocks = [block for block in content if not is_foreign(block)]
            if not blocks and content:
                # A message without content is refused; it had nothing that this model can read.
                continue
            message["content"] = blocks
        kept.append(message)
    assert fields is not None
    fields["messages"] = kept
    return encode(fields)
