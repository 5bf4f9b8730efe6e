"""Read answers of the Responses dialect, whole and streamed."""

from __future__ import annotations

from typing import Any

from floorline.gateway.dialects.answer_parts import (
    AnswerPart,
    Ended,
    EndReason,
    Failed,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Used,
)
from floorline.gateway.dialects.custom_tools import custom_arguments
from floorline.gateway.dialects.responses.reasoning import read_item
from floorline.gateway.dialects.responses.tools import function_name
from floorline.gateway.lenient_json import read_value
from floorline.gateway.upstreams.usage import with_tier
from floorline.gateway.upstreams.usage_shapes import read_usage

_DONE_OF_OTHERS = "response.done"
"""Last event of some servers, whose response says by its status how it ended."""
_LAST = ("response.completed", "response.incomplete", "response.failed", _DONE_OF_OTHERS)
_MAX_INDEX = 100_000
"""Largest index of an item that is followed; none of an answer in earnest is above it."""
_NO_MESSAGE = "the provider ended its answer with an error and did not say which"


def read_answer(body: bytes) -> list[AnswerPart]:
    """Read a whole answer; see ``Dialect.read_answer``.

    Examples
    --------
    >>> read_answer(b'{"object": "response", "id": "resp_1", "status": "completed", "output": []}')
    [Started(id='resp_1', model=''), Ended(reason='stop', stop='')]
    >>> read_answer(b"<html>")
    []
    """
    try:
        answer = read_value(body)
    except ValueError:
        return []
    if not isinstance(answer, dict):
        return []
    if answer.get("object") != "response" and not isinstance(answer.get("output"), list):
        return [_failed(answer["error"])] if answer.get("error") else []
    parts: list[AnswerPart] = [_started(answer)]
    items = _Items()
    output = answer.get("output")
    for index, item in enumerate(output if isinstance(output, list) else []):
        if isinstance(item, dict):
            parts += items.whole(index, item)
    return parts + _end(answer, items)


class ResponsesStreamReader:
    """Reads the events of one streamed answer; see ``StreamReader``.

    Texts come as deltas, or only with the events that end an item, or only with the whole answer at
    the end; each is read once.

    Attributes
    ----------
    done
        Whether the answer has ended.
    """

    def __init__(self) -> None:
        self.done = False
        self._items = _Items()
        self._started = False

    def read(self, event: str, data: bytes) -> list[AnswerPart]:
        """Read one event by its name and its data."""
        if self.done:
            return []
        try:
            fields = read_value(data)
        except ValueError:
            return []
        if not isinstance(fields, dict):
            return []
        kind = fields.get("type")
        if not isinstance(kind, str):
            kind = event
        if kind == "error" or (fields.get("error") and "response" not in fields):
            self.done = True
            return [_failed(fields.get("error") or fields)]
        response = fields.get("response")
        if isinstance(response, dict):
            return self._read_response(kind, response)
        index = fields.get("output_index", 0)
        if type(index) is not int or not 0 <= index <= _MAX_INDEX:
            return []
        item = fields.get("item")
        if isinstance(item, dict):
            if kind == "response.output_item.added":
                return self._items.begin(index, item)
            if kind == "response.output_item.done":
                return self._items.whole(index, item)
        return self._items.event(kind, index, fields)

    def _read_response(self, kind: str, response: dict[str, Any]) -> list[AnswerPart]:
        parts: list[AnswerPart] = []
        if not self._started:
            self._started = True
            parts.append(_started(response))
        if kind not in _LAST:
            return parts
        self.done = True
        output = response.get("output")
        for index, item in enumerate(output if isinstance(output, list) else []):
            if isinstance(item, dict):
                parts += self._items.whole(index, item)
        if kind != _DONE_OF_OTHERS:
            response = {**response, "status": kind.removeprefix("response.")}
        return parts + _end(response, self._items)


class _Item:
    """What has been read of one item."""

    __slots__ = ("call", "closed", "parts", "read")

    def __init__(self) -> None:
        self.call = -1
        self.closed = False
        self.read: dict[tuple[str, int], int] = {}
        self.parts: set[int] = set()


class _Items:
    """The items of an answer, and what has been read of each: never a text twice."""

    def __init__(self) -> None:
        self._items: dict[int, _Item] = {}
        self.calls = 0

    def begin(self, index: int, item: dict[str, Any]) -> list[AnswerPart]:
        """Read the begin of an item."""
        known = self._item(index)
        kind = item.get("type")
        if known.call >= 0 or kind not in ("function_call", "custom_tool_call"):
            return []
        known.call, self.calls = self.calls, self.calls + 1
        call = item.get("call_id") or item.get("id") or f"call_{known.call}"
        name = function_name(_text(item.get("name")), _text(item.get("namespace")))
        return [ToolCallStarted(known.call, _text(call), name)]

    def whole(self, index: int, item: dict[str, Any]) -> list[AnswerPart]:
        """Read what an item has beyond what has been read of it."""
        known = self._item(index)
        if known.closed:
            return []
        known.closed = True
        kind = item.get("type")
        if kind == "message":
            return self._message(index, item.get("content"))
        if kind == "reasoning":
            return self._reasoning(index, item)
        parts = self.begin(index, item)
        if kind == "function_call":
            parts += self._rest("arguments", index, 0, item.get("arguments"))
        elif kind == "custom_tool_call":
            text = item.get("input")
            arguments = custom_arguments(text) if isinstance(text, str) else "{}"
            parts += self._rest("arguments", index, 0, arguments)
        return parts

    def event(self, kind: str, index: int, fields: dict[str, Any]) -> list[AnswerPart]:
        """Read an event within an item."""
        known = self._item(index)
        if known.closed:
            return []
        name = kind.removeprefix("response.")
        place = fields.get("content_index", fields.get("summary_index", 0))
        place = place if type(place) is int else 0
        delta = fields.get("delta")
        if name.endswith(".delta"):
            field = _DELTAS.get(name)
            if field is None or not isinstance(delta, str) or not delta:
                return []
            key = (field, place)
            parts = self._gap(known, field, place)
            known.read[key] = known.read.get(key, 0) + len(delta)
            return parts + self._delta(field, known, delta)
        if name in _DONE:
            field, source = _DONE[name]
            return self._rest(field, index, place, fields.get(source))
        return []

    def _item(self, index: int) -> _Item:
        known = self._items.get(index)
        if known is None:
            known = self._items[index] = _Item()
        return known

    def _message(self, index: int, content: Any) -> list[AnswerPart]:
        parts: list[AnswerPart] = []
        for place, part in enumerate(content if isinstance(content, list) else []):
            if isinstance(part, dict):
                if part.get("type") == "refusal":
                    parts += self._rest("refusal", index, place, part.get("refusal"))
                else:
                    parts += self._rest("text", index, place, part.get("text"))
        return parts

    def _reasoning(self, index: int, item: dict[str, Any]) -> list[AnswerPart]:
        parts: list[AnswerPart] = []
        # Of servers that send both, the reasoning itself or its summary, whichever came first.
        seen = {field for field, _ in self._item(index).read}
        for field in ("content", "summary"):
            held = item.get(field)
            other = {"content": "summary", "summary": "content"}[field]
            if not isinstance(held, list) or other in seen:
                continue
            for place, part in enumerate(held):
                if isinstance(part, dict):
                    parts += self._rest(field, index, place, part.get("text"))
            seen = {name for name, _ in self._item(index).read}
        proof = read_item(item)
        if proof.signature or proof.encrypted:
            parts.append(ThinkingDelta("", proof.signature, proof.encrypted))
        return parts

    def _rest(self, field: str, index: int, place: int, text: Any) -> list[AnswerPart]:
        """Read what a whole text has beyond its deltas."""
        known = self._item(index)
        key = (field, place)
        if not isinstance(text, str) or len(text) <= known.read.get(key, 0):
            return []
        rest = text[known.read.get(key, 0) :]
        parts = self._gap(known, field, place)
        known.read[key] = len(text)
        return parts + self._delta(field, known, rest)

    @staticmethod
    def _gap(known: _Item, field: str, place: int) -> list[AnswerPart]:
        """Return the blank line between two parts of reasoning."""
        if field not in ("summary", "content") or place in known.parts:
            return []
        known.parts.add(place)
        return [ThinkingDelta("\n\n")] if len(known.parts) > 1 else []

    @staticmethod
    def _delta(field: str, known: _Item, text: str) -> list[AnswerPart]:
        if field == "text":
            return [TextDelta(text)]
        if field == "refusal":
            return [RefusalDelta(text)]
        if field == "arguments":
            return [ToolCallDelta(known.call, text)] if known.call >= 0 else []
        return [ThinkingDelta(text)]


_DELTAS = {
    "output_text.delta": "text",
    "refusal.delta": "refusal",
    "function_call_arguments.delta": "arguments",
    "reasoning_summary_text.delta": "summary",
    "reasoning_text.delta": "content",
}
"""Fields of items by the events that bring more of them; custom tools' inputs come as a whole."""
_DONE = {
    "output_text.done": ("text", "text"),
    "refusal.done": ("refusal", "refusal"),
    "function_call_arguments.done": ("arguments", "arguments"),
    "reasoning_summary_text.done": ("summary", "text"),
    "reasoning_text.done": ("content", "text"),
}
"""The same by the events that bring the whole, and the field of the event."""


def _started(answer: dict[str, Any]) -> Started:
    return Started(_text(answer.get("id")), _text(answer.get("model")))


def _end(answer: dict[str, Any], items: _Items) -> list[AnswerPart]:
    """Read the usage of an answer and how it ended."""
    usage = read_usage(answer.get("usage"))
    parts: list[AnswerPart] = []
    if usage is not None:
        parts.append(Used(with_tier(usage, answer.get("service_tier"))))
    status = answer.get("status")
    if status in ("failed", "cancelled") or answer.get("error"):
        return [*parts, _failed(answer.get("error") or {})]
    reason: EndReason = "tool_calls" if items.calls else "stop"
    if status == "incomplete":
        details = answer.get("incomplete_details")
        why = details.get("reason") if isinstance(details, dict) else None
        reason = "content_filter" if why == "content_filter" else "length"
    return [*parts, Ended(reason)]


def _failed(error: Any) -> Failed:
    found = dict(error) if isinstance(error, dict) else {"message": error}
    if not isinstance(found.get("message"), str) or not found["message"]:
        found["message"] = _NO_MESSAGE
    return Failed(found)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
