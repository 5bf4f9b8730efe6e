"""Read streamed answers of Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from floorline.gateway.dialects.answer_parts import (
    AnswerPart,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Used,
)
from floorline.gateway.dialects.anthropic.answer import failure, read_block, read_end
from floorline.gateway.dialects.json_texts import json_object, text_in
from floorline.gateway.upstreams.usage_shapes import later_usage


class AnthropicStreamReader:
    """Reads the events of one streamed answer.

    Attributes
    ----------
    done
        Whether ``message_stop`` or an error came.

    Examples
    --------
    >>> reader = AnthropicStreamReader()
    >>> reader.read("content_block_delta", b'{"type":"content_block_delta","index":0,'
    ...             b'"delta":{"type":"text_delta","text":"Hi"}}')
    [TextDelta(text='Hi')]
    """

    def __init__(self) -> None:
        self.done = False
        self._calls: dict[Any, int] = {}
        self._usage: Mapping[str, Any] | None = None

    def read(self, event: str, data: bytes) -> list[AnswerPart]:
        """Read one event; no parts if it is unknown or cannot be read."""
        fields = json_object(data)
        if fields is None:
            return []
        match fields.get("type") or event:
            case "content_block_delta":
                return self._delta(fields)
            case "content_block_start":
                return self._start(fields)
            case "message_start":
                return self._message(fields.get("message"))
            case "message_delta":
                return self._end(fields)
            case "message_stop":
                self.done = True
            case "error":
                self.done = True
                return [failure(fields)]
        return []

    def _message(self, message: Any) -> list[AnswerPart]:
        if type(message) is not dict:
            return []
        started = Started(text_in(message, "id"), text_in(message, "model"))
        return [started, *self._used(message.get("usage"))]

    def _start(self, fields: dict[str, Any]) -> list[AnswerPart]:
        block = fields.get("content_block")
        if type(block) is not dict:
            return []
        number = len(self._calls)
        parts = read_block(block, number)
        if parts and type(parts[0]) is ToolCallStarted:
            self._calls[_key(fields)] = number
        return parts

    def _delta(self, fields: dict[str, Any]) -> list[AnswerPart]:
        delta = fields.get("delta")
        if type(delta) is not dict:
            return []
        match delta.get("type"):
            case "text_delta":
                text = text_in(delta, "text")
                return [TextDelta(text)] if text else []
            case "input_json_delta":
                text = text_in(delta, "partial_json")
                # Other blocks have such deltas as well: calls that the provider makes itself.
                number = self._calls.get(_key(fields))
                return [ToolCallDelta(number, text)] if text and number is not None else []
            case "thinking_delta":
                text = text_in(delta, "thinking")
                return [ThinkingDelta(text)] if text else []
            case "signature_delta":
                text = text_in(delta, "signature")
                return [ThinkingDelta(signature=text)] if text else []
        return []

    def _end(self, fields: dict[str, Any]) -> list[AnswerPart]:
        parts = self._used(fields.get("usage"))
        delta = fields.get("delta")
        return parts + (read_end(delta) if type(delta) is dict else [])

    def _used(self, value: Any) -> list[AnswerPart]:
        """Read the tokens so far: those of the prompt come at the start, the others at the end."""
        if type(value) is not dict:
            return []
        usage, self._usage = later_usage(self._usage, value)
        return [] if usage is None else [Used(usage)]


def _key(fields: dict[str, Any]) -> int | str:
    """Return the number of an event's block, of any type that can be looked up."""
    index = fields.get("index")
    return index if type(index) is int else str(index)
