"""Read what an error of a provider means: its reason, and the sizes that it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from floorline.core.bounds import MAX_TOKENS
from floorline.gateway.lenient_json import read_value
from floorline.gateway.upstreams.error_signs import (
    REQUESTED,
    SIGNS,
    WINDOWS,
    ErrorReason,
    Sign,
    normalised,
)

_CODES = frozenset(
    {
        "__type",
        "code",
        "error_code",
        "error_type",
        "errorcode",
        "errortype",
        "reason",
        "status",
        "type",
    }
)
_TEXTS = frozenset(
    {
        "detail",
        "error",
        "error_message",
        "error_msg",
        "errormessage",
        "message",
        "msg",
        "raw",
        "title",
    }
)
_GROUPS = frozenset(
    {
        "detail",
        "details",
        "error",
        "errors",
        "inner_error",
        "innererror",
        "message",
        "metadata",
    }
)
"""Fields of errors that are read, in lower case. Others, such as pydantic's ``input``, repeat the
request."""
_WINDOW_FIELDS = ("n_ctx", "context_length", "max_context_length")
_REQUESTED_FIELDS = ("n_prompt_tokens",)
_GUESSED_STATUSES = (400, 404)
"""Statuses with which words count that came without any status."""
_MAX_DEPTH = 8
_MAX_VALUES = 300
"""Values of an error that are read; real ones have about ten."""
_MAX_CODE = 200
"""Characters of a code that are compared."""
_MAX_TEXT = 4_000
"""Characters of a message that are searched."""


class ErrorFields(NamedTuple):
    """What an error's body holds, wherever the provider puts it.

    Attributes
    ----------
    codes
        Codes and types, as ``normalised`` returns them. Each has the text that it was found as in
        a message, "" if it was in a field of the error itself.
    texts
        Messages.
    params
        Fields of the request that it names.
    window, requested
        Size of the context window and of the request in tokens, from fields of their own.
    """

    codes: Mapping[str, str]
    texts: tuple[str, ...]
    params: frozenset[str]
    window: int | None = None
    requested: int | None = None


class ProviderError(NamedTuple):
    """The meaning of an error.

    Attributes
    ----------
    reason
        What is wrong.
    certain
        Whether later requests may be treated by it. Words that the request contains itself prove
        nothing, because providers quote requests in their messages: a client could open a circuit
        breaker by them.
    window, requested
        Size of the model's context window and of the request in tokens, if the error has them.
    """

    reason: ErrorReason
    certain: bool = True
    window: int | None = None
    requested: int | None = None

    @property
    def teaches_window(self) -> bool:
        """Whether it proves that the model's context window is smaller than the request."""
        return self.certain and self.reason == "context_length_exceeded"


def read_fields_of(body: bytes | dict[str, Any]) -> ErrorFields:
    """Find codes, messages and named fields in an error.

    Parameters
    ----------
    body
        The answer's body, or an error object of a stream; what is no JSON counts as a message.

    Examples
    --------
    >>> read_fields_of(b'{"detail": [{"type": "extra_forbidden", "loc": ["body", "n"]}]}').params
    frozenset({'n'})
    """
    reader = _Reader()
    if isinstance(body, dict):
        reader.read(body, 0)
    else:
        try:
            reader.read(read_value(body), 0)
        except ValueError:
            reader.texts.append(body.decode("utf-8", "replace"))
    texts = tuple(text[:_MAX_TEXT] for text in reader.texts)
    sizes = reader.sizes
    window = next((sizes[name] for name in _WINDOW_FIELDS if name in sizes), None)
    requested = next((sizes[name] for name in _REQUESTED_FIELDS if name in sizes), None)
    return ErrorFields(reader.codes, texts, frozenset(reader.params), window, requested)


class _Reader:
    """Walks through an error, within bounds."""

    def __init__(self) -> None:
        self.codes: dict[str, str] = {}
        self.texts: list[str] = []
        self.params: set[str] = set()
        self.sizes: dict[str, int] = {}
        self._left = _MAX_VALUES
        self._in_message = False

    def read(self, value: Any, depth: int) -> None:
        self._left -= 1
        if depth > _MAX_DEPTH or self._left < 0:
            return
        if isinstance(value, list):
            for item in value:
                self.read(item, depth + 1)
        elif isinstance(value, dict):
            for name, item in value.items():
                self._field(name.casefold(), item, depth)

    def _field(self, name: str, value: Any, depth: int) -> None:
        if isinstance(value, str) and name in _TEXTS:
            self.texts.append(value)
            if not self._in_message:
                self._nested(value, depth)
        if isinstance(value, str | int) and name in _CODES:
            text = str(value)[:_MAX_CODE]
            self.codes.setdefault(normalised(text), text if self._in_message else "")
        if name == "param" and isinstance(value, str) and value:
            self.params.add(value)
        elif name == "loc" and isinstance(value, list):
            self.params.add(".".join(str(part) for part in value[:8] if part != "body"))
        elif type(value) is int and 0 < value <= MAX_TOKENS:
            self.sizes.setdefault(name, value)
        elif isinstance(value, list | dict) and name in _GROUPS:
            self.read(value, depth + 1)

    def _nested(self, text: str, depth: int) -> None:
        """Read the error of another server that a gateway wrote into its own message."""
        start, end = text.find("{"), text.rfind("}") + 1
        if not 0 <= start < end:
            return
        try:
            value = read_value(text[start:end].encode("utf-8", "replace"))
        except ValueError:
            return
        self._in_message = True
        self.read(value, depth + 1)
        self._in_message = False


def read_error(status: int, fields: ErrorFields, request: bytes = b"") -> ProviderError:
    """Find the first sign of the table that an error has.

    Parameters
    ----------
    status
        HTTP status.
    fields
        Contents of the error.
    request
        Body of the request, whose own words are told from the provider's.

    Examples
    --------
    >>> body = b'{"error": {"message": "maximum context length is 8192 tokens", "code": 400}}'
    >>> found = read_error(400, read_fields_of(body))
    >>> found.reason, found.window
    ('context_length_exceeded', 8192)
    """
    found = next((p for sign in SIGNS if (p := _evidence(sign, status, fields)) is not None), None)
    if found is None:
        return ProviderError("server_error")
    reason, words = found
    own = _Echo(request)
    if any(map(own.has, words)):
        return ProviderError(reason, certain=False)
    if reason != "context_length_exceeded":
        return ProviderError(reason)
    window = fields.window or _size(WINDOWS, fields.texts, own)
    requested = fields.requested or _size(REQUESTED, fields.texts, own)
    return ProviderError(reason, True, window, requested)


def read_object(error: dict[str, Any], request: bytes = b"") -> ProviderError:
    """Find the meaning of an error object that came without an error status.

    Parameters
    ----------
    error
        The object; its ``code`` may be a status.
    request
        As for ``read_error``.

    Examples
    --------
    >>> read_object({"message": "Overloaded", "type": "overloaded_error"}).reason
    'overloaded'
    """
    fields = read_fields_of(error)
    status = status_in(error)
    if status is not None:
        return read_error(status, fields, request)
    found = read_error(0, fields, request)
    for guess in _GUESSED_STATUSES:
        if found.reason != "server_error":
            break
        # The words of most signs count with some statuses only.
        guessed = read_error(guess, fields, request)
        if guessed.reason != "client_error":
            found = guessed
    return found


def status_in(error: dict[str, Any]) -> int | None:
    """HTTP status that an error object has as its code; None if it has none."""
    code = str(error.get("code"))
    return int(code) if re.fullmatch("[45][0-9][0-9]", code) else None


def names_field(fields: ErrorFields, name: str) -> bool | None:
    """Whether an error is about a field of the request; None if it names no field at all.

    Examples
    --------
    >>> fields = read_fields_of(b'{"error": {"message": "Unknown parameter: stream_options"}}')
    >>> names_field(fields, "stream_options")
    True
    """
    if any(name in text for text in (*fields.params, *fields.texts)):
        return True
    return False if fields.params else None


class _Echo:
    """The request, to tell its own words from the provider's."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._text: str | None = None

    def has(self, words: str) -> bool:
        if self._text is None:
            # Without escapes that the client chose, such as \u006d.
            try:
                plain = msgspec.json.encode(read_value(self._request))
            except ValueError:
                plain = self._request
            self._text = plain.decode("utf-8", "replace").casefold()
        return msgspec.json.encode(words)[1:-1].decode().casefold() in self._text


def _evidence(sign: Sign, status: int, fields: ErrorFields) -> tuple[ErrorReason, list[str]] | None:
    """Return the reason of a sign that is present, and the words of messages that prove it."""
    words = []
    if sign.statuses and status not in sign.statuses:
        return None
    if sign.params and fields.params.isdisjoint(sign.params):
        return None
    if sign.codes:
        code = next((code for code in _codes(sign) if code in fields.codes), None)
        if code is None:
            return None
        words += [fields.codes[code]] if fields.codes[code] else []
    if sign.words:
        match = _search(sign.words, fields.texts)
        if match is None:
            return None
        if not sign.codes and sign.reason == "model_not_found" and fields.params - {"model"}:
            # It is about another field, which may have any text.
            return None
        words.append(next(filter(None, match.groupdict().values()), match.group()))
    return sign.reason, words


@cache
def _codes(sign: Sign) -> tuple[str, ...]:
    return tuple(map(normalised, sign.codes))


@cache
def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(words, re.IGNORECASE | re.DOTALL)


def _search(words: str, texts: Iterable[str]) -> re.Match[str] | None:
    return next((found for text in texts if (found := _pattern(words).search(text))), None)


def _size(patterns: Sequence[str], texts: Iterable[str], own: _Echo) -> int | None:
    """Return the first number of tokens that is found; None if there is none."""
    for words in patterns:
        match = _search(words, texts)
        if match is not None and not own.has(match.group()):
            size = int(match[1].replace(",", "")[:20])
            return size if 0 < size <= MAX_TOKENS else None
    return None
