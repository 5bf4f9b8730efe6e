"""The fields of a provider's answer that the gateway reads; it passes on the others unread."""

from __future__ import annotations

from typing import Any

import msgspec

from floorline.core.bounds import canonical_id
from floorline.gateway.upstreams.usage import Usage, read_usage


class Message(msgspec.Struct, frozen=True, gc=False):
    """A whole message, or the part of one that a chunk adds."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None


class ResponseChoice(msgspec.Struct, frozen=True, gc=False):
    """One of the ``n`` choices of an answer."""

    index: int | str | None = 0
    delta: Message | None = None
    message: Message | None = None
    finish_reason: Any = None


class Completion(msgspec.Struct, frozen=True, gc=False):
    """A chat completion or a chunk of one."""

    # Any JSON value, which must not make the rest unreadable.
    id: msgspec.Raw = msgspec.Raw()
    choices: list[ResponseChoice] | None = None
    usage: Any = None
    error: Any = None

    @property
    def fault(self) -> dict[str, Any] | None:
        """The provider's error, as an object with ``message``; None if there is none."""
        if self.error is None:
            return None
        return self.error if isinstance(self.error, dict) else {"message": str(self.error)}


class Findings:
    """What the gateway read from an answer so far.

    Attributes
    ----------
    completion_id
        The provider's id of the completion as ``read_id`` gives it; None before it arrives.
    usage
        Tokens as the provider counted them; None before the count arrives.
    output_characters
        Number of characters that the model wrote, over all choices.
    finish_reasons
        Why the choices ended, in the order of their ends.
    error
        Error object that the provider sent in place of a completion.
    """

    __slots__ = (
        "_ended",
        "_seen",
        "completion_id",
        "error",
        "finish_reasons",
        "output_characters",
        "usage",
    )

    def __init__(self) -> None:
        self.completion_id: str | None = None
        self.usage: Usage | None = None
        self.output_characters = 0
        self.finish_reasons: list[str] = []
        self.error: dict[str, Any] | None = None
        self._seen: set[int | str | None] = set()
        self._ended: set[int | str | None] = set()

    @property
    def complete(self) -> bool:
        """Whether all choices that began have ended, and at least one has."""
        return bool(self._ended) and self._seen == self._ended

    def add(self, completion: Completion) -> None:
        """Add a completion or the next chunk of one."""
        if completion.error is not None:
            self.error = completion.fault
            return
        if self.completion_id is None:
            self.completion_id = read_id(completion.id)
        for choice in completion.choices or ():
            message = choice.delta or choice.message
            if message is not None:
                self.output_characters += output_characters(message)
            self._seen.add(choice.index)
            if choice.finish_reason is not None:
                self._ended.add(choice.index)
                self.finish_reasons.append(str(choice.finish_reason))
        if completion.usage is not None:
            # Some servers send the usage so far with every chunk; the last one counts.
            self.usage = read_usage(completion.usage) or self.usage


_decoder = msgspec.json.Decoder(Completion)


def read_completion(body: bytes) -> Completion | None:
    """Decode a completion or a chunk; None if it is neither.

    Examples
    --------
    >>> read_completion(b'{"id": "c-1", "choices": []}').choices
    []
    >>> read_completion(b'{"id": "c-')
    """
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_id(value: msgspec.Raw) -> str | None:
    """Read a provider's id of a completion, in the form in which ids are kept and looked up.

    Returns
    -------
    str or None
        Itself if it is a text of at most 256 characters without control characters, its digits
        if it is a number, the digest of a longer or odder one, None if there is none.

    Examples
    --------
    >>> read_id(msgspec.Raw(b'"c-1"')), read_id(msgspec.Raw(b"17")), read_id(msgspec.Raw(b"null"))
    ('c-1', '17', None)
    """
    text = bytes(value)
    if text[:1] == b'"':
        id = msgspec.json.decode(text, type=str)
    elif text[:1].isdigit() or text[:1] == b"-":
        id = number_id(text.decode())
    else:
        return None
    return canonical_id(id) if id else None


def number_id(text: str) -> str:
    """Id of a number in JSON: its digits, or the shortest form of a fraction.

    Examples
    --------
    >>> number_id("12345678901234567890123"), number_id("1.50"), number_id("15e-1")
    ('12345678901234567890123', '1.5', '1.5')
    """
    return text if text.removeprefix("-").isdigit() else repr(float(text))


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def with_id(completion: bytes, id: str) -> bytes:
    """Replace the id of a completion or a chunk; all its other fields keep their bytes.

    Parameters
    ----------
    completion
        JSON that ``read_completion`` can read.
    id
        The new id; it is added if there is none.

    Examples
    --------
    >>> with_id(b'{"id": 7, "choices": [{"id": 7, "x": 1.50}]}', "d-1")
    b'{"id":"d-1","choices":[{"id": 7, "x": 1.50}]}'
    """
    fields = {"id": msgspec.Raw(), **_fields.decode(completion)}
    fields["id"] = msgspec.Raw(msgspec.json.encode(id))
    return msgspec.json.encode(fields)


def is_json_object(body: bytes) -> bool:
    """Whether bytes are one JSON object.

    Examples
    --------
    >>> is_json_object(b'{"detail": "no"}'), is_json_object(b"<html>"), is_json_object(b"[]")
    (True, False, False)
    """
    try:
        _fields.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def output_characters(message: Message) -> int:
    """Number of characters that the model wrote: text, reasoning, refusals and tool calls."""
    count = 0
    for text in (message.content, message.reasoning_content, message.reasoning, message.refusal):
        if text is not None:
            count += len(text) if isinstance(text, str) else _parts(text)
    if message.function_call is not None:
        count += _call(message.function_call)
    if isinstance(message.tool_calls, list):
        for call in message.tool_calls:
            count += _call(call.get("function")) if isinstance(call, dict) else 0
    return count


def _parts(content: Any) -> int:
    return sum(_length(part, "text") for part in content) if isinstance(content, list) else 0


def _call(function: Any) -> int:
    return _length(function, "name") + _length(function, "arguments")


def _length(value: Any, field: str) -> int:
    text = value.get(field) if isinstance(value, dict) else None
    return len(text) if isinstance(text, str) else 0
