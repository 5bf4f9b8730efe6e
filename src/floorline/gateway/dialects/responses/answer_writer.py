"""Write answers of the Responses dialect, whole and streamed, by the same steps."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from typing import Any

import msgspec

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
from floorline.gateway.dialects.conversation import Conversation
from floorline.gateway.dialects.json_texts import encode
from floorline.gateway.dialects.responses.output_items import (
    CallItem,
    Emit,
    ItemStatus,
    MessageItem,
    ReasoningItem,
    call_item,
)
from floorline.gateway.dialects.responses.request_reader import MORE_TOOLS
from floorline.gateway.dialects.responses.tools import call_forms
from floorline.gateway.dialects.tool_names import client_names
from floorline.gateway.upstreams.usage import Usage

_ECHO_DEFAULTS: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": False,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""Fields of the request that an answer repeats, and what OpenAI writes where it has none."""
_INCOMPLETE: dict[EndReason, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}


class ResponsesWriter:
    """Writes one answer from its parts; see ``StreamWriter``.

    Parameters
    ----------
    model
        Name that the client gets to see.
    id
        Id of the answer; "" for the provider's.
    request
        What the client asked; None if unknown.
    streams
        Whether the events of a stream are written.
    """

    def __init__(
        self, model: str, id: str, request: Conversation | None = None, *, streams: bool = True
    ) -> None:
        echo = request.echo if request is not None else {}
        self._names = client_names(request)
        self._forms = call_forms(echo.get("tools"), echo.get(MORE_TOOLS))
        self._echo = {
            name: msgspec.Raw(encode(echo.get(name, default)))
            for name, default in _ECHO_DEFAULTS.items()
        }
        self._model = model
        self._id = id
        self._created = 0
        self._emit: Emit = self._write_event if streams else _no_event
        self._events: list[bytes] = []
        self._sequence = 0
        self._digits = ""
        self._started = False
        self._ended = False
        self._items: list[MessageItem | ReasoningItem | CallItem] = []
        self._open: MessageItem | ReasoningItem | None = None
        self._calls: dict[int, CallItem] = {}
        self._usage: Usage | None = None
        self._reason: EndReason | None = None
        self.response: dict[str, Any] = {}

    def write(self, parts: Iterable[AnswerPart]) -> bytes:
        """Write the events that these parts make."""
        for part in parts:
            if not self._ended:
                self._add(part)
        return self._taken()

    def end(self) -> bytes:
        """Write the events that end the answer."""
        if not self._ended:
            self._start("")
            self._finish(_INCOMPLETE.get(self._reason or "stop"), None)
        return self._taken()

    def _add(self, part: AnswerPart) -> None:
        if isinstance(part, Started):
            self._start(part.id)
            return
        self._start("")
        if isinstance(part, TextDelta):
            if part.text:
                self._message().add("output_text", part.text, self._emit)
        elif isinstance(part, RefusalDelta):
            if part.text:
                self._message().add("refusal", part.text, self._emit)
        elif isinstance(part, ThinkingDelta):
            self._think(part)
        elif isinstance(part, ToolCallStarted):
            self._start_call(part.index, part.id, part.name)
        elif isinstance(part, ToolCallDelta):
            call = self._calls.get(part.index) or self._start_call(part.index, "", "")
            call.add(part.arguments, self._emit)
        elif isinstance(part, Used):
            self._usage = part.usage
        elif isinstance(part, Ended):
            self._reason = part.reason
        elif isinstance(part, Failed):
            self._finish(None, part.error)

    def _start(self, id: str) -> None:
        if self._started:
            return
        self._started = True
        self._id = self._id or id or f"resp_{uuid.uuid4().hex}"
        # Not made from the answer's id: some servers give all their answers the same one.
        self._digits = uuid.uuid4().hex
        self._created = int(time.time())
        response = self._response("in_progress", [])
        self._emit("response.created", response=response)
        self._emit("response.in_progress", response=response)

    def _next(self, kind: str = "") -> tuple[int, str]:
        """Return the place and the id of the next item; the id without its begin for no kind."""
        index = len(self._items)
        digits = f"{self._digits}{index:04x}"
        return index, f"{kind}_{digits}" if kind else digits

    def _message(self) -> MessageItem:
        if isinstance(self._open, MessageItem):
            return self._open
        self._close_open()
        item = MessageItem(*self._next("msg"), self._emit)
        self._items.append(item)
        self._open = item
        return item

    def _think(self, part: ThinkingDelta) -> None:
        if not (part.text or part.signature or part.encrypted):
            return
        item = self._open
        if not isinstance(item, ReasoningItem) or not item.takes(part):
            self._close_open()
            item = ReasoningItem(*self._next("rs"), self._emit)
            self._items.append(item)
            self._open = item
        item.add(part, self._emit)

    def _start_call(self, index: int, id: str, name: str) -> CallItem:
        self._close_open()
        # Calls stay open until the end, because their arguments may come in turns.
        call = id or f"call_{self._digits[:24]}{index}"
        item = call_item(*self._next(), call, self._names.get(name, name), self._forms)
        item.begin(self._emit)
        self._items.append(item)
        self._calls[index] = item
        return item

    def _close_open(self) -> None:
        if self._open is not None:
            self._open.close("completed", self._emit)
            self._open = None

    def _finish(self, incomplete: str | None, error: dict[str, Any] | None) -> None:
        self._ended = True
        status = "failed" if error is not None else "incomplete" if incomplete else "completed"
        item_status: ItemStatus = "completed" if status == "completed" else "incomplete"
        for item in self._items:
            item.close(item_status, self._emit)
        output = [item.written for item in self._items]
        response = self._response(status, output)
        response["completed_at"] = int(time.time()) if status == "completed" else None
        if incomplete:
            response["incomplete_details"] = {"reason": incomplete}
        if error is not None:
            response["error"] = _error(error)
        if self._usage is not None:
            response["usage"] = write_usage(self._usage)
        self.response = response
        self._emit(f"response.{status}", response=response)

    def _response(self, status: str, output: list[Any]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self._model,
            "output": output,
            "usage": None,
            **self._echo,
        }

    def _write_event(self, kind: str, **fields: Any) -> None:
        data = encode({"type": kind, "sequence_number": self._sequence, **fields})
        self._sequence += 1
        self._events += (b"event: ", kind.encode(), b"\ndata: ", data, b"\n\n")

    def _taken(self) -> bytes:
        taken = b"".join(self._events)
        self._events.clear()
        return taken


def write_answer(
    parts: Iterable[AnswerPart], model: str, id: str, request: Conversation | None = None
) -> bytes:
    """Write a whole answer; see ``Dialect.write_answer``."""
    writer = ResponsesWriter(model, id, request, streams=False)
    writer.write(parts)
    writer.end()
    return encode(writer.response)


def write_usage(usage: Usage) -> dict[str, Any]:
    """Return the ``usage`` of an answer.

    Examples
    --------
    >>> write_usage(Usage(9, 3, cached_tokens=8))["input_tokens_details"]
    {'cached_tokens': 8, 'cache_write_tokens': 0}
    """
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _error(error: dict[str, Any]) -> dict[str, Any]:
    code, message = error.get("code"), error.get("message")
    if not isinstance(code, str) or not code:
        kind = error.get("type")
        code = kind if isinstance(kind, str) and kind else "server_error"
    return {"code": code, "message": message if isinstance(message, str) else str(message)}


def _no_event(kind: str, **fields: Any) -> None:
    pass
