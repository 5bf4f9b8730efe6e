"""What the gateway reads from an answer: id, usage, ends of choices, error, length of the text."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from floorline.core.bounds import canonical_id
from floorline.gateway.dialects.answer_parts import (
    AnswerPart,
    Ended,
    Failed,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Used,
)
from floorline.gateway.lenient_json import read_value
from floorline.gateway.upstreams.completions import (
    Completion,
    Message,
    ResponseChoice,
    fault_of,
)
from floorline.gateway.upstreams.usage import Usage, with_tier
from floorline.gateway.upstreams.usage_shapes import later_usage, read_timings, read_usage

_NO_REASONS = ("null", "None")
"""Finish reasons of a choice that goes on, as some servers write them beside "" and null."""
_MAX_CHOICES = 1_000
"""Most choices of which each has a usage of its own; OpenAI's API allows 128."""


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
        "_has_parts",
        "_seen",
        "_tier",
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
        self._has_parts = False
        self._seen: set[int | str | None] = set()
        self._ended: set[int | str | None] = set()
        self._tier: Any = None
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
        return self.output_characters > 0 or bool(self.finish_reasons) or self._has_parts

    def add_parts(self, parts: Iterable[AnswerPart]) -> None:
        """Add parts of an answer of any dialect; it has one choice."""
        for part in parts:
            match part:
                case TextDelta() | RefusalDelta():
                    self.output_characters += len(part.text)
                case ToolCallDelta():
                    self.output_characters += len(part.arguments)
                case ThinkingDelta():
                    self.output_characters += len(part.text)
                    self._has_parts = True
                case ToolCallStarted():
                    self.output_characters += len(part.name)
                    self._has_parts = True
                case Started():
                    if self.completion_id is None and part.id:
                        self.completion_id = canonical_id(part.id)
                    self._seen.add(0)
                case Used():
                    self.usage = part.usage
                case Ended():
                    self._seen.add(0)
                    self._ended.add(0)
                    self.finish_reasons.append(part.reason)
                case Failed():
                    self.error = part.error or self.error or {"message": "the provider failed"}

    def add(self, completion: Completion) -> None:
        """Add a completion or the next chunk of one."""
        if completion.error:
            self.error = fault_of(completion.error) or self.error
        if self.completion_id is None:
            self.completion_id = read_id(completion.id)
        choices = completion.choices
        last = not choices
        for choice in choices or ():
            message = choice.delta or choice.message
            if message is not None:
                self.output_characters += output_characters(message)
            elif type(choice.text) is str:
                self.output_characters += len(choice.text)
            self._seen.add(choice.index)
            reason = choice.finish_reason
            if reason and reason not in _NO_REASONS:
                last = True
                self._ended.add(choice.index)
                self.finish_reasons.append(str(reason))
                if reason == "error":
                    self.error = self.error or completion.fault
            if choice.error:
                self.error = self.error or fault_of(choice.error)
            if choice.usage is not None and completion.usage is None:
                self._add_usage_of_choice(choice)
        if completion.service_tier is not None:
            self._tier = completion.service_tier
        if completion.usage is not None:
            self._add_usage(completion.usage)
        elif last:
            if completion.x_groq is not None:
                self._add_usage(completion.x_groq.usage)
            if completion.timings is not None and self._usage_fields is None:
                # llama.cpp sends these without being asked, and both if asked.
                self.usage = read_timings(completion.timings) or self.usage
        if self._tier is not None and self.usage is not None:
            self.usage = with_tier(self.usage, self._tier)

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
            longest = max(every, key=lambda one: one.prompt_tokens)
            self.usage = msgspec.structs.replace(
                longest,
                completion_tokens=sum(one.completion_tokens for one in every),
                reasoning_tokens=sum(one.reasoning_tokens for one in every),
                audio_output_tokens=sum(one.audio_output_tokens for one in every),
                bill=None,
            )


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
