"""Remove a model's secrets from what its provider sends, such as an error that repeats a header."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

_MASK = "***"
_MIN_CHARACTERS = 6
"""Shortest text that is masked: a shorter one is no secret, and is part of ordinary words."""
_KNOWN_PREFIX = 12
"""Characters of a secret from which on a cut copy of it is masked, too; providers quote keys as
``sk-proj-ab12****``. A common prefix such as ``sk-proj-`` is shorter."""

_REST = r"""(?:\\+[^\s"']|&\#?\w+;|[^\s"'\\<>(){}\[\],;])*"""
"""What follows the beginning of a secret, whole or cut, up to the end of the word."""


class Redactor:
    r"""Masks secrets in any encoding that an error message can have them in.

    A secret is found as it is, escaped as in JSON or HTML at any depth, percent-encoded, in
    Base64, and when only its beginning is repeated.

    Parameters
    ----------
    secrets
        Keys, values of headers and of the query. Each part of a value such as ``Bearer KEY`` is a
        secret of its own.

    Examples
    --------
    >>> redactor = Redactor(["Bearer sk-a/b+c9"])
    >>> redactor.text("no access for sk-a/b+c9"), redactor.body(rb'{"key": "sk-a\/b\u002bc9"}')
    ('no access for ***', b'{"key": "***"}')
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        parts = {part for secret in secrets for part in (secret, *secret.split())}
        # The longest first, so that a part does not hide the rest of the whole.
        hidden = sorted((p for p in parts if len(p) >= _MIN_CHARACTERS), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_pattern_of, hidden))) if hidden else None
        self._bytes = re.compile(self._pattern.pattern.encode()) if self._pattern else None

    def text(self, text: str) -> str:
        """Return a text without the secrets."""
        return text if self._pattern is None else self._pattern.sub(_MASK, text)

    def body(self, body: bytes) -> bytes:
        """Return the bytes of a body without the secrets."""
        return body if self._bytes is None else self._bytes.sub(_MASK.encode(), body)


def _pattern_of(secret: str) -> str:
    start = "".join(_encodings_of(character) for character in secret[:_KNOWN_PREFIX])
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return f"{start}{_REST if len(secret) > _KNOWN_PREFIX else ''}|{re.escape(encoded)}=*"


def _encodings_of(character: str) -> str:
    """Pattern of one ASCII character, as it is or escaped."""
    code = ord(character)
    escapes = (
        rf"\\*{re.escape(character)}",
        rf"\\+u(?i:{code:04x})",
        rf"\\+x(?i:{code:02x})",
        rf"%(?:25)*(?i:{code:02x})",
        rf"&#0*{code};",
        rf"&#[xX]0*(?i:{code:x});",
    )
    return f"(?:{'|'.join(escapes)})"
