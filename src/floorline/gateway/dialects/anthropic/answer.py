"""Read and write whole answers of Anthropic's Messages API, and its errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    failed,
)
from floorline.gateway.dialects.anthropic.foreign_thinking import ENCRYPTED, SIGNATURE
from floorline.gateway.dialects.anthropic.threads import THREAD_NOT_FOUND
from floorline.gateway.dialects.anthropic.usage import usage_object
from floorline.gateway.dialects.call_ids import call_id, new_call_id
from floorline.gateway.dialects.conversation import Conversation
from floorline.gateway.dialects.json_texts import (
    arguments_object,
    arguments_text,
    encode,
    json_object,
    text_in,
)
from floorline.gateway.dialects.tool_names import client_names
from floorline.gateway.upstreams.usage import Usage
from floorline.gateway.upstreams.usage_shapes import read_usage

END_REASONS: Mapping[str, EndReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "content_filter",
}
"""Why an answer ended, by Anthropic's ``stop_reason``; an unknown one is an end like any other."""
_STOP_REASONS: Mapping[EndReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "pause": "pause_turn",
}
NO_ID = "msg_0"
"""Id of an answer whose provider gave none and whose client gets no other."""

_ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Anthropic's error types by HTTP status; the others below 500 are invalid requests."""


def read_answer(body: bytes) -> list[AnswerPart]:
    """Read a whole answer; empty if it is none, ``Failed`` if it is an error."""
    answer = json_object(body)
    if answer is None:
        return []
    if answer.get("type") == "error" or answer.get("error"):
        return [failure(answer)]
    content = answer.get("content")
    if type(content) is not list:
        return []
    parts: list[AnswerPart] = [Started(text_in(answer, "id"), text_in(answer, "model"))]
    calls = 0
    for block in content:
        if type(block) is dict:
            found = read_block(block, calls)
            calls += bool(found and type(found[0]) is ToolCallStarted)
            parts += found
    usage = read_usage(answer.get("usage"))
    if usage is not None:
        parts.append(Used(usage))
    return parts + read_end(answer)


def read_block(block: dict[str, Any], calls: int) -> list[AnswerPart]:
    """Read a block of an answer, or its beginning in a stream; ``calls`` came before it."""
    match block.get("type"):
        case "text":
            text = text_in(block, "text")
            return [TextDelta(text)] if text else []
        case "thinking":
            text, signature = text_in(block, "thinking"), text_in(block, "signature")
            return [ThinkingDelta(text, signature)] if text or signature else []
        case "redacted_thinking":
            data = text_in(block, "data")
            return [ThinkingDelta(encrypted=data)] if data else []
        case "tool_use":
            called = block.get("input")
            parts: list[AnswerPart] = [
                ToolCallStarted(
                    calls, text_in(block, "id") or new_call_id(), text_in(block, "name")
                )
            ]
            if called:
                parts.append(ToolCallDelta(calls, arguments_text(called)))
            return parts
    # What a tool of the provider's own did has no place in other dialects; its text follows.
    return []


def read_end(holder: Mapping[str, Any]) -> list[AnswerPart]:
    """Read why an answer ended, and why the model refused; empty if it has not ended."""
    reason = holder.get("stop_reason")
    if type(reason) is not str or not reason:
        return []
    ended = Ended(END_REASONS.get(reason, "stop"), text_in(holder, "stop_sequence"))
    details = holder.get("stop_details")
    refusal = text_in(details, "explanation") if type(details) is dict else ""
    return [RefusalDelta(refusal), ended] if refusal else [ended]


def failure(answer: Mapping[str, Any]) -> Failed:
    """Return the error in an object that is one."""
    error = answer.get("error")
    if type(error) is not dict:
        text = error if type(error) is str else text_in(answer, "message")
        error = {"message": text}
    return failed(error)


def write_answer(
    parts: Iterable[AnswerPart], model: str, id: str, request: Conversation | None = None
) -> bytes:
    """Write a whole answer; an error if one is among the parts."""
    content = _Content(client_names(request))
    usage: Usage | None = None
    ended = Ended("stop")
    for part in parts:
        match part:
            case Started():
                id = id or part.id
                model = model or part.model
            case Used():
                usage = part.usage
            case Ended():
                ended = part
            case Failed():
                return error_body(part.error)
            case _:
                content.add(part)
    blocks = content.blocks()
    reason, stop = stop_reason(ended, calls=content.calls > 0, refused=content.refused)
    return encode(
        {
            "id": id or NO_ID,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": blocks,
            "stop_reason": reason,
            "stop_sequence": stop,
            "usage": usage_object(usage),
        }
    )


def stop_reason(ended: Ended, *, calls: bool, refused: bool) -> tuple[str, str | None]:
    """Return Anthropic's reason of an end, and the text that ended the answer."""
    if ended.reason == "stop":
        if calls:
            # Some servers end an answer that calls tools like any other; clients of Anthropic
            # look here whether they have to call them.
            return "tool_use", None
        if refused:
            return "refusal", None
        if ended.stop:
            return "stop_sequence", ended.stop
    if ended.reason == "tool_calls" and not calls:
        # Clients would wait for a call that they do not have.
        return "end_turn", None
    return _STOP_REASONS[ended.reason], None


class _Content:
    """Puts the blocks of a whole answer together.

    Attributes
    ----------
    calls
        Number of calls of tools.
    refused
        Whether the model refused.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.calls = 0
        self.refused = False
        self._names = names
        self._blocks: list[tuple[dict[str, Any], list[str]]] = []
        self._of_call: dict[int, list[str]] = {}

    def add(self, part: AnswerPart) -> None:
        """Add the next part."""
        match part:
            case TextDelta():
                self._texts("text").append(part.text)
            case RefusalDelta():
                self.refused = True
                self._texts("text").append(part.text)
            case ThinkingDelta():
                self._think(part)
            case ToolCallStarted():
                name = self._names.get(part.name, part.name)
                block = {"type": "tool_use", "id": call_id(part.id), "name": name, "input": {}}
                self._of_call[part.index] = self._open(block)
                self.calls += 1
            case ToolCallDelta():
                self._of_call.setdefault(part.index, []).append(part.arguments)

    def blocks(self) -> list[dict[str, Any]]:
        """Return the blocks."""
        found = []
        for block, pieces in self._blocks:
            text = "".join(pieces)
            kind = block["type"]
            if kind == "tool_use":
                block["input"] = arguments_object(text)
            elif kind != "redacted_thinking":
                block[kind] = text
            if kind == "thinking":
                # The signature is a block's last field, as Anthropic has it.
                block["signature"] = block.pop("signature", "") or SIGNATURE
            if kind != "text" or text:
                found.append(block)
        return found

    def _think(self, part: ThinkingDelta) -> None:
        if part.encrypted:
            data = ENCRYPTED + part.encrypted
            self._open({"type": "redacted_thinking", "data": data})
        if part.text:
            self._texts("thinking").append(part.text)
        if part.signature:
            self._texts("thinking")
            self._blocks[-1][0]["signature"] = part.signature

    def _texts(self, kind: str) -> list[str]:
        """Return the pieces of the last block, which is of this kind and goes on."""
        if self._blocks:
            block, pieces = self._blocks[-1]
            if block["type"] == kind and "signature" not in block:
                return pieces
        return self._open({"type": kind})

    def _open(self, block: dict[str, Any]) -> list[str]:
        pieces: list[str] = []
        self._blocks.append((block, pieces))
        return pieces


def error_type(status: int) -> str:
    """Return Anthropic's type of an error with an HTTP status."""
    return _ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


def error_body(error: Mapping[str, Any]) -> bytes:
    """Write the body of an error of a provider, whose type need not be one of Anthropic's."""
    kind = text_in(error, "type")
    if kind not in _ERROR_TYPES.values():
        kind = "api_error"
    about = {"type": kind, "message": text_in(error, "message") or "the provider failed"}
    return encode({"type": "error", "error": about})


def write_error(status: int, message: str, code: str | None, param: str | None) -> bytes:
    """Write the body of an error, with OpenAI's code and field beside Anthropic's own fields."""
    about: dict[str, Any] = {"type": error_type(status), "message": message}
    about |= {name: value for name, value in (("code", code), ("param", param)) if value}
    if code == THREAD_NOT_FOUND:
        # Clients look here whether they have to send the whole conversation.
        about["details"] = {"error_code": code}
    return encode({"type": "error", "error": about})
