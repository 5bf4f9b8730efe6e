"""Reasoning of other providers within the reasoning items of the Responses dialect.

A provider proves by a signature, or encrypts, what it wants back in the next turn. It travels in
``encrypted_content``, behind a mark, since only the provider that wrote it can read it: a provider
that speaks Responses refuses items that are not its own, so ``without_translated`` takes them out.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from floorline.gateway.dialects.conversation import ThinkingPart

MARK = "floorline:"
"""Begin of an ``encrypted_content`` that a translation wrote."""


class _Proof(msgspec.Struct, omit_defaults=True):
    signature: str = ""
    encrypted: str = ""


def pack_proof(signature: str, encrypted: str) -> str:
    """Return the ``encrypted_content`` of an item that a translation writes.

    Examples
    --------
    >>> unpack_proof(pack_proof("EqQB", ""))
    ('EqQB', '')
    """
    proof = msgspec.json.encode(_Proof(signature, encrypted))
    return MARK + base64.urlsafe_b64encode(proof).decode()


def unpack_proof(content: str) -> tuple[str, str] | None:
    """Return the signature and the encrypted reasoning; None if no translation wrote them."""
    if not content.startswith(MARK):
        return None
    try:
        proof = msgspec.json.decode(
            base64.b64decode(content[len(MARK) :], altchars=b"-_", validate=True), type=_Proof
        )
    except (msgspec.DecodeError, binascii.Error, UnicodeError, ValueError):
        return "", ""
    return proof.signature, proof.encrypted


def read_item(item: Any) -> ThinkingPart:
    """Read a reasoning item without a look at what is wrong with it.

    Examples
    --------
    >>> read_item({"type": "reasoning", "summary": [{"type": "summary_text", "text": "Because"}]})
    ThinkingPart(text='Because', signature='', encrypted='')
    """
    text = joined(item.get("content")) or joined(item.get("summary"))
    content = item.get("encrypted_content")
    if not isinstance(content, str):
        return ThinkingPart(text)
    signature, encrypted = unpack_proof(content) or ("", content)
    return ThinkingPart(text, signature, encrypted)


def joined(parts: Any) -> str:
    """Return the texts of an array of parts, a blank line between them."""
    if not isinstance(parts, list):
        return ""
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "\n\n".join(text for text in texts if isinstance(text, str) and text)


def without_translated(body_input: Any) -> Any:
    """Return the ``input`` of a request without the reasoning that translations wrote.

    For a provider that gets the client's request untouched; look for ``MARK`` in the bytes first.

    Examples
    --------
    >>> item = {"type": "reasoning", "summary": [], "encrypted_content": pack_proof("EqQB", "")}
    >>> without_translated([{"role": "user", "content": "Why?"}, item])
    [{'role': 'user', 'content': 'Why?'}]
    """
    if not isinstance(body_input, list):
        return body_input
    return [item for item in body_input if not _is_translated(item)]


def _is_translated(item: Any) -> bool:
    if not isinstance(item, dict) or item.get("type") != "reasoning":
        return False
    content = item.get("encrypted_content")
    return isinstance(content, str) and content.startswith(MARK)
