"""What the gateway reads of a provider's answer; everything else passes unseen."""

from __future__ import annotations

from typing import Any

import msgspec

from floorline.gateway.upstreams.usage import Usage, read_usage


class Message(msgspec.Struct, frozen=True, gc=False):
    """A whole message, or what a chunk of a stream adds to one."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None


class ResponseChoice(msgspec.Struct, frozen=True, gc=False):
    """One of the ``n`` answers."""

    index: int | str | None = 0
    delta: Message | None = None
    message: Message | None = None
    finish_reason: Any = None


class Completion(msgspec.Struct, frozen=True, gc=False):
    """A chat completion or a chunk of one."""

    id: Any = None
    choices: list[ResponseChoice] | None = None
    usage: Any = None
    error: Any = None

    @property
    def fault(self) -> dict[str, Any] | None:
        """What the provider says went wrong, as an object with ``message``."""
        if self.error is None:
            return None
        return self.error if isinstance(self.error, dict) else {"message": str(self.error)}


class Findings:
    """What was seen of an answer so far.

    Attributes
    ----------
    completion_id
        The provider's name of the completion, None until it came.
    usage
        Tokens as the provider counted them, None until it did.
    output_characters
        Of all choices.
    finish_reasons
        In the order in which the choices ended.
    error
        Error object that came in place of a completion.
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
        """Whether all choices that began have ended."""
        return bool(self._ended) and self._seen == self._ended

    def add(self, completion: Completion) -> None:
        """Take in a completion or the next chunk of one."""
        if completion.error is not None:
            self.error = completion.fault
            return
        if self.completion_id is None and isinstance(completion.id, str) and completion.id:
            self.completion_id = completion.id
        for choice in completion.choices or ():
            message = choice.delta or choice.message
            if message is not None:
                self.output_characters += output_characters(message)
            self._seen.add(choice.index)
            if choice.finish_reason is not None:
                self._ended.add(choice.index)
                self.finish_reasons.append(str(choice.finish_reason))
        if completion.usage is not None:
            # Servers that report as they go send one with every chunk; the last one holds.
            self.usage = read_usage(completion.usage) or self.usage


_decoder = msgspec.json.Decoder(Completion)


def read_completion(body: bytes) -> Completion | None:
    """Read a completion or a chunk; None for what is neither.

    Examples
    --------
    >>> read_completion(b'{"id": "c-1", "choices": []}').id
    'c-1'
    >>> read_completion(b'{"id": "c-')
    """
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def output_characters(message: Message) -> int:
    """Characters that the model wrote: text, reasoning, refusals and calls of tools."""
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
