"""The fields of a provider's answer that the gateway reads; it passes on the others unread."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import msgspec

from floorline.core.bounds import canonical_id
from floorline.gateway.lenient_json import (
    UNREADABLE,
    read_fields,
    read_items,
    read_value,
    repaired,
    write_fields,
)
from floorline.gateway.upstreams.usage import Usage
from floorline.gateway.upstreams.usage_shapes import later_usage, read_timings, read_usage

_EMPTY = frozenset({b"", b"null", b'""', b"[]", b"{}"})
"""JSON values without content."""
_NO_REASONS = ("null", "None")
"""Finish reasons of a choice that goes on, as some servers write them beside "" and null."""
_MAX_CHOICES = 1_000
"""Most choices of which each has a usage of its own; OpenAI's API allows 128."""


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
    error: Any = None
    usage: Any = None


class Groq(msgspec.Struct, frozen=True, gc=False):
    """Groq's own part of a chunk."""

    usage: Any = None


class Completion(msgspec.Struct, frozen=True, gc=False):
    """A chat completion or a chunk of one."""

    # Any JSON value, which must not make the rest unreadable.
    id: msgspec.Raw = msgspec.Raw()
    choices: list[ResponseChoice] | None = None
    usage: Any = None
    error: Any = None
    x_groq: Groq | None = None
    timings: Any = None

    @property
    def fault(self) -> dict[str, Any] | None:
        """The provider's error, as an object with ``message``; None if there is none."""
        found = _fault(self.error)
        for choice in self.choices or ():
            found = found or _fault(choice.error)
        for choice in self.choices or ():
            if found is None and choice.finish_reason == "error":
                found = {"message": "the answer ended with finish_reason 'error'"}
        return found


def _fault(error: Any) -> dict[str, Any] | None:
    """Return an error as an object; None if it is empty, as beside a sound completion."""
    if isinstance(error, dict):
        return error if any(error.values()) else None
    return {"message": str(error)} if error else None


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
        Error object that the provider sent in place of a completion, or of one of its choices.
    """

    __slots__ = (
        "_ended",
        "_seen",
        "_usage_fields",
        "_usage_of_choices",
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
        self._usage_fields: Mapping[str, Any] | None = None
        self._usage_of_choices: dict[int | str | None, Usage] = {}

    @property
    def complete(self) -> bool:
        """Whether all choices that began have ended, and at least one has."""
        return bool(self._ended) and self._seen == self._ended

    @property
    def ended(self) -> int:
        """Number of choices that have ended."""
        return len(self._ended)

    @property
    def begun(self) -> bool:
        """Whether the model wrote something that the gateway reads, or ended a choice."""
        return self.output_characters > 0 or bool(self.finish_reasons)

    def add(self, completion: Completion) -> None:
        """Add a completion or the next chunk of one."""
        if completion.error:
            self.error = _fault(completion.error) or self.error
        if self.completion_id is None:
            self.completion_id = read_id(completion.id)
        choices = completion.choices
        last = not choices
        for choice in choices or ():
            message = choice.delta or choice.message
            if message is not None:
                self.output_characters += output_characters(message)
            self._seen.add(choice.index)
            reason = choice.finish_reason
            if reason and reason not in _NO_REASONS:
                last = True
                self._ended.add(choice.index)
                self.finish_reasons.append(str(reason))
                if reason == "error":
                    self.error = self.error or completion.fault
            if choice.error:
                self.error = self.error or _fault(choice.error)
            if choice.usage is not None and completion.usage is None:
                self._add_usage_of_choice(choice)
        if completion.usage is not None:
            self._add_usage(completion.usage)
        elif last:
            if completion.x_groq is not None:
                self._add_usage(completion.x_groq.usage)
            if completion.timings is not None and self._usage_fields is None:
                # llama.cpp sends these without being asked, and both if asked.
                self.usage = read_timings(completion.timings) or self.usage

    def _add_usage(self, value: Any) -> None:
        if isinstance(value, dict):
            usage, self._usage_fields = later_usage(self._usage_fields, value)
            self.usage = usage or self.usage

    def _add_usage_of_choice(self, choice: ResponseChoice) -> None:
        """Add the usage of one choice; each has the same prompt, and an answer of its own."""
        usage = read_usage(choice.usage)
        if usage is not None and len(self._usage_of_choices) < _MAX_CHOICES:
            self._usage_of_choices[choice.index] = usage
            every = self._usage_of_choices.values()
            prompt = max(one.prompt_tokens for one in every)
            output = sum(one.completion_tokens for one in every)
            self.usage = Usage(prompt, output, max(one.cached_tokens for one in every))


_decoder = msgspec.json.Decoder(Completion)
_choice_decoder = msgspec.json.Decoder(ResponseChoice)


def read_completion(body: bytes) -> Completion | None:
    """Decode a completion or a chunk; None if it is neither.

    A value that the gateway does not need, or that has an odd type, makes nothing else unreadable.

    Examples
    --------
    >>> read_completion(b'{"id": "c-1", "choices": []}').choices
    []
    >>> read_completion(b'{"choices": [{"index": 1, "logprobs": NaN}, 7]}').choices[0].index
    1
    >>> read_completion(b'{"id": "c-')
    """
    try:
        return _decoder.decode(body)
    except UNREADABLE:
        pass
    try:
        sound = repaired(body)
    except ValueError:
        return None
    try:
        return _decoder.decode(sound)
    except UNREADABLE:
        return _read_loosely(sound)


def _read_loosely(body: bytes) -> Completion | None:
    """Read a completion field by field, without those that cannot be read."""
    fields = _fields(body)
    if fields is None:
        return None
    choices: list[ResponseChoice] | None = None
    with contextlib.suppress(ValueError):
        items = read_items(fields.get("choices", msgspec.Raw()))
        choices = [_choice(item) for item in items if _is_object(item)]
    groq = _value(fields, "x_groq")
    return Completion(
        id=fields.get("id", msgspec.Raw()),
        choices=choices,
        usage=_value(fields, "usage"),
        error=_value(fields, "error"),
        x_groq=Groq(groq.get("usage")) if isinstance(groq, dict) else None,
        timings=_value(fields, "timings"),
    )


def _choice(item: msgspec.Raw) -> ResponseChoice:
    try:
        return _choice_decoder.decode(item)
    except UNREADABLE:
        pass
    fields = _fields(item) or {}
    index = _value(fields, "index")
    return ResponseChoice(
        index=index if isinstance(index, int | str) else int(index) if _is_whole(index) else 0,
        delta=_message(fields.get("delta")),
        message=_message(fields.get("message")),
        finish_reason=_value(fields, "finish_reason"),
        error=_value(fields, "error"),
        usage=_value(fields, "usage"),
    )


def _message(value: msgspec.Raw | None) -> Message | None:
    fields = None if value is None else _fields(value)
    if fields is None:
        return None
    return Message(**{name: _value(fields, name) for name in Message.__struct_fields__})


def _is_object(value: msgspec.Raw) -> bool:
    return bytes(value)[:1] == b"{"


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _fields(value: bytes | msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    try:
        return read_fields(bytes(value))
    except ValueError:
        return None


def _value(fields: Mapping[str, msgspec.Raw], name: str) -> Any:
    """Return a field; None if it is absent or cannot be read."""
    try:
        return read_value(fields[name]) if name in fields else None
    except ValueError:
        return None


def has_content(body: bytes) -> bool:
    """Whether a completion or a chunk of one has more than roles, in whatever field it is.

    Examples
    --------
    >>> has_content(b'{"choices": [{"delta": {"role": "assistant", "content": ""}}]}')
    False
    >>> has_content(b'{"choices": [{"delta": {"audio": {"id": "a-1"}}}]}')
    True
    """
    try:
        value = read_value(body)
    except ValueError:
        # Too deep or too large to be only a role.
        return True
    choices = value.get("choices") if isinstance(value, dict) else None
    for choice in choices if isinstance(choices, list) else ():
        for name in ("delta", "message", "text") if isinstance(choice, dict) else ():
            part = choice.get(name)
            if isinstance(part, dict):
                if any(one for key, one in part.items() if key != "role"):
                    return True
            elif part:
                return True
    return False


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
    id = ""
    # What is no JSON is no id either.
    with contextlib.suppress(ValueError):
        if text[:1] == b'"':
            id = read_value(text)
        elif text[:1].isdigit() or text[:1] == b"-":
            id = number_id(text.decode())
    return canonical_id(id) if id else None


def number_id(text: str) -> str:
    """Id of a number in JSON: its digits, or the shortest form of a fraction.

    Examples
    --------
    >>> number_id("12345678901234567890123"), number_id("1.50"), number_id("15e-1")
    ('12345678901234567890123', '1.5', '1.5')
    """
    return text if text.removeprefix("-").isdigit() else repr(float(text))


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
    new = msgspec.json.encode(id)
    try:
        fields = {"id": msgspec.Raw(), **read_fields(completion)}
    except ValueError:
        # Too large for the slower parser: of two fields of a name, parsers take the last one.
        start, _, end = completion.rpartition(b"}")
        return start + b',"id":' + new + b"}" + end
    fields["id"] = msgspec.Raw(new)
    return write_fields(fields)


_USAGE_FIELDS = frozenset(
    {
        "choices",
        "created",
        "id",
        "model",
        "object",
        "obfuscation",
        "service_tier",
        "system_fingerprint",
        "usage",
    }
)
"""Fields of OpenAI's chunk that carries the usage."""


def carries_usage_alone(chunk: bytes) -> bool:
    """Whether a chunk without choices has nothing but the usage and what every chunk has.

    Examples
    --------
    >>> carries_usage_alone(b'{"id": "c-1", "choices": [], "usage": {}, "prompt_ids": null}')
    True
    >>> carries_usage_alone(b'{"id": "c-1", "choices": [], "usage": {}, "timings": {"n": 1}}')
    False
    """
    fields = _fields(chunk) or {}
    return all(name in _USAGE_FIELDS or bytes(raw) in _EMPTY for name, raw in fields.items())


def is_json_object(body: bytes) -> bool:
    """Whether bytes are one JSON object.

    Examples
    --------
    >>> is_json_object(b'{"detail": "no"}'), is_json_object(b"<html>"), is_json_object(b"[]")
    (True, False, False)
    """
    return _fields(body) is not None


def output_characters(message: Message) -> int:
    """Number of characters that the model wrote: text, reasoning, refusals and tool calls."""
    content = message.content
    count = len(content) if type(content) is str else _parts(content)
    if message.reasoning_content is not None:
        count += _parts(message.reasoning_content)
    if message.reasoning is not None:
        count += _parts(message.reasoning)
    if message.refusal is not None:
        count += _parts(message.refusal)
    if message.function_call is not None:
        count += _call(message.function_call)
    if isinstance(message.tool_calls, list):
        for call in message.tool_calls:
            count += _call(call.get("function")) if isinstance(call, dict) else 0
    return count


def _parts(content: Any) -> int:
    if isinstance(content, str):
        return len(content)
    return sum(_length(part, "text") for part in content) if isinstance(content, list) else 0


def _call(function: Any) -> int:
    return _length(function, "name") + _length(function, "arguments")


def _length(value: Any, field: str) -> int:
    text = value.get(field) if isinstance(value, dict) else None
    return len(text) if isinstance(text, str) else 0
