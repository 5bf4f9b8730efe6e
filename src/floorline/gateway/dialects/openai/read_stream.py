"""Read streamed chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from floorline.gateway.dialects.answer_parts import (
    AnswerPart,
    Failed,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Used,
    failed,
)
from floorline.gateway.dialects.call_ids import new_call_id
from floorline.gateway.dialects.json_texts import json_object, text_in
from floorline.gateway.dialects.openai.answer import (
    content_text,
    read_call,
    read_end,
)
from floorline.gateway.dialects.openai.reasoning import reasoning_in
from floorline.gateway.upstreams.completions import fault_of
from floorline.gateway.upstreams.usage import with_tier
from floorline.gateway.upstreams.usage_shapes import later_usage, read_timings

_DONE = b"[DONE]"


class _Call:
    """A call of a tool; ``waiting`` came before its name."""

    __slots__ = ("id", "name", "number", "waiting")

    def __init__(self, number: int) -> None:
        self.number = number
        self.id = ""
        self.name = ""
        self.waiting: list[str] = []


class OpenAIStreamReader:
    """Reads the chunks of one streamed answer.

    Attributes
    ----------
    done
        Whether ``[DONE]`` or an error came.

    Examples
    --------
    >>> reader = OpenAIStreamReader()
    >>> reader.read("", b'{"choices": [{"delta": {"content": "Hi"}}]}')
    [Started(id='', model=''), TextDelta(text='Hi')]
    """

    def __init__(self) -> None:
        self.done = False
        self._started = False
        self._ended = False
        self._calls: dict[Any, _Call] = {}
        self._number = 0
        self._usage: Mapping[str, Any] | None = None

    def read(self, event: str, data: bytes) -> list[AnswerPart]:
        """Read one chunk; no parts if it is unknown or cannot be read."""
        if data.strip() == _DONE:
            self.done = True
            return self._unnamed()
        chunk = json_object(data)
        if chunk is None:
            return []
        choices = chunk.get("choices")
        choice = choices[0] if type(choices) is list and choices else None
        if type(choice) is not dict:
            choice = {}
        error = fault_of(chunk.get("error")) or fault_of(choice.get("error"))
        if error is None and (event == "error" or chunk.get("object") == "error"):
            error = chunk
        if error is not None:
            self.done = True
            return [failed(error)]
        parts: list[AnswerPart] = []
        if not self._started and choice:
            self._started = True
            parts.append(Started(text_in(chunk, "id"), text_in(chunk, "model")))
        delta = choice.get("delta") or choice.get("message")
        if type(delta) is dict:
            self._read_delta(delta, parts)
        self._read_usage(chunk, choice, parts)
        ended = read_end(choice)
        if ended is not None and not self._ended:
            self._ended = True
            parts += self._unnamed()
            parts.append(ended)
            self.done |= type(ended) is Failed
        return parts

    def _read_delta(self, delta: dict[str, Any], parts: list[AnswerPart]) -> None:
        content = delta.get("content")
        if content and len(delta) == 1 and type(content) is str:
            # Almost all chunks.
            parts.append(TextDelta(content))
            return
        thought = reasoning_in(delta)
        if thought:
            parts.append(ThinkingDelta(thought))
        text = content_text(content)
        if text:
            parts.append(TextDelta(text))
        refusal = text_in(delta, "refusal")
        if refusal:
            parts.append(RefusalDelta(refusal))
        calls = delta.get("tool_calls")
        if type(calls) is list:
            for position, call in enumerate(calls):
                if type(call) is dict:
                    index = call.get("index")
                    self._read_call(call, index if type(index) is int else position, parts)
        function = delta.get("function_call")
        if type(function) is dict:
            self._read_call({"function": function}, "function", parts)

    def _read_call(self, call: dict[str, Any], key: int | str, parts: list[AnswerPart]) -> None:
        id = text_in(call, "id")
        name, arguments = read_call(call)
        known = self._calls.get(key)
        # Some servers give all calls the same index, or none.
        if known is None or (id and known.id and id != known.id and name):
            known = self._calls[key] = _Call(self._number)
            self._number += 1
        known.id = known.id or id
        if known.name:
            if arguments:
                parts.append(ToolCallDelta(known.number, arguments))
            return
        if arguments:
            known.waiting.append(arguments)
        if name:
            known.name = name
            self._begin(known, parts)

    def _begin(self, call: _Call, parts: list[AnswerPart]) -> None:
        parts.append(ToolCallStarted(call.number, call.id or new_call_id(), call.name))
        if call.waiting:
            parts.append(ToolCallDelta(call.number, "".join(call.waiting)))
            call.waiting = []

    def _unnamed(self) -> list[AnswerPart]:
        """Begin the calls whose name never came, so that nothing is lost."""
        parts: list[AnswerPart] = []
        for call in self._calls.values():
            if not call.name and call.waiting:
                call.name = "unknown"
                self._begin(call, parts)
        return parts

    def _read_usage(
        self, chunk: dict[str, Any], choice: dict[str, Any], parts: list[AnswerPart]
    ) -> None:
        value = chunk.get("usage") or choice.get("usage")
        if value is None:
            groq = chunk.get("x_groq")
            value = groq.get("usage") if type(groq) is dict else None
        usage = None
        if type(value) is dict:
            usage, self._usage = later_usage(self._usage, value)
        elif self._usage is None and type(chunk.get("timings")) is dict:
            usage = read_timings(chunk["timings"])
        if usage is not None:
            parts.append(Used(with_tier(usage, chunk.get("service_tier"))))
