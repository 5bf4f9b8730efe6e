"""Read and write whole chat completions, and their errors."""

from __future__ import annotations

import time
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
from floorline.gateway.dialects.call_ids import call_id, new_call_id
from floorline.gateway.dialects.conversation import Conversation
from floorline.gateway.dialects.custom_tools import (
    custom_arguments,
    custom_input,
    custom_names,
)
from floorline.gateway.dialects.json_texts import arguments_text, encode, json_object, text_in
from floorline.gateway.dialects.openai.reasoning import reasoning_in
from floorline.gateway.dialects.openai.usage import usage_object
from floorline.gateway.dialects.tool_names import client_names
from floorline.gateway.upstreams.completions import fault_of
from floorline.gateway.upstreams.usage import Usage, with_tier
from floorline.gateway.upstreams.usage_shapes import read_timings, read_usage

END_REASONS: Mapping[str, EndReason] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
}
"""Why an answer ended, by ``finish_reason`` in small letters; an unknown one is a usual end."""
_NO_REASONS = frozenset({"", "null", "None"})
"""Reasons of an answer that goes on, as some servers write them."""
FINISH_REASONS: Mapping[EndReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "pause": "stop",
}
"""OpenAI's names of the reasons; a pause for the provider's own tools has none."""
NO_ID = "chatcmpl-0"
"""Id of an answer whose provider gave none and whose client gets no other."""
_FAILED = {"message": "the answer ended with finish_reason 'error'"}


def read_answer(body: bytes) -> list[AnswerPart]:
    """Read a whole answer; empty if it is none, ``Failed`` if it is an error."""
    answer = json_object(body)
    if answer is None:
        return []
    error = fault_of(answer.get("error"))
    if error is None and answer.get("object") == "error":
        error = answer
    if error is not None:
        return [failed(error)]
    choices = answer.get("choices")
    choice = choices[0] if type(choices) is list and choices else None
    if type(choice) is not dict:
        return []
    parts: list[AnswerPart] = [Started(text_in(answer, "id"), text_in(answer, "model"))]
    message = choice.get("message")
    if type(message) is dict:
        parts += _read_message(message)
    error = fault_of(choice.get("error"))
    if error is not None:
        return [failed(error)]
    usage = read_counts(answer, choice)
    if usage is not None:
        parts.append(Used(usage))
    ended = read_end(choice)
    if ended is not None:
        parts.append(ended)
    return parts


def _read_message(message: dict[str, Any]) -> list[AnswerPart]:
    parts: list[AnswerPart] = []
    thought, text, refusal = (
        reasoning_in(message),
        content_text(message.get("content")),
        text_in(message, "refusal"),
    )
    if thought:
        parts.append(ThinkingDelta(thought))
    if text:
        parts.append(TextDelta(text))
    if refusal:
        parts.append(RefusalDelta(refusal))
    calls = message.get("tool_calls")
    found = [call for call in calls if type(call) is dict] if type(calls) is list else []
    function = message.get("function_call")
    if not found and type(function) is dict:
        found = [{"function": function}]
    for number, call in enumerate(found):
        name, arguments = read_call(call)
        parts.append(ToolCallStarted(number, text_in(call, "id") or new_call_id(), name))
        if arguments:
            parts.append(ToolCallDelta(number, arguments))
    return parts


def read_call(call: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name and the arguments in a call, or in the part of one that a chunk adds."""
    custom = call.get("custom")
    if type(custom) is dict:
        return text_in(custom, "name"), custom_arguments(text_in(custom, "input"))
    function = call.get("function")
    if type(function) is not dict:
        return "", ""
    arguments = function.get("arguments")
    if type(arguments) is not str:
        # Some servers send the object itself.
        arguments = "" if arguments is None else arguments_text(arguments)
    return text_in(function, "name"), arguments


def read_counts(answer: Mapping[str, Any], choice: Mapping[str, Any]) -> Usage | None:
    """Read the tokens of a whole answer, from wherever its server writes them."""
    usage = read_usage(answer.get("usage")) or read_usage(choice.get("usage"))
    usage = usage or read_timings(answer.get("timings"))
    return None if usage is None else with_tier(usage, answer.get("service_tier"))


def read_end(choice: Mapping[str, Any]) -> Ended | Failed | None:
    """Read why an answer ended; None if it has not."""
    reason = choice.get("finish_reason")
    if type(reason) is not str or reason in _NO_REASONS:
        return None
    if reason == "error":
        return Failed(dict(_FAILED))
    # vLLM tells the text that ended the answer, or the number of a token.
    return Ended(END_REASONS.get(reason.lower(), "stop"), text_in(choice, "stop_reason"))


def content_text(content: Any) -> str:
    """Return the text of a message's content, which may be a list of parts."""
    if type(content) is str:
        return content
    if type(content) is not list:
        return ""
    return "".join(text_in(part, "text") for part in content if type(part) is dict)


class CompletionHead:
    """The fields that a completion and all its chunks have."""

    def __init__(self, model: str, id: str) -> None:
        self._model = model
        self._id = id
        # In seconds since 1970, and the same in all chunks.
        self._created = int(time.time())

    def learn(self, started: Started) -> None:
        """Take the provider's id and model if there are no others."""
        self._id = self._id or started.id
        self._model = self._model or started.model

    def fields(self, kind: str) -> dict[str, Any]:
        """Return the fields of an object of this kind."""
        return {
            "id": self._id or NO_ID,
            "object": kind,
            "created": self._created,
            "model": self._model,
        }


def write_answer(
    parts: Iterable[AnswerPart], model: str, id: str, request: Conversation | None = None
) -> bytes:
    """Write a whole answer; an error if one is among the parts."""
    head = CompletionHead(model, id)
    texts: dict[str, list[str]] = {"content": [], "refusal": [], "reasoning_content": []}
    calls: dict[int, tuple[ToolCallStarted, list[str]]] = {}
    usage: Usage | None = None
    ended = Ended("stop")
    for part in parts:
        match part:
            case TextDelta():
                texts["content"].append(part.text)
            case RefusalDelta():
                texts["refusal"].append(part.text)
            case ThinkingDelta():
                texts["reasoning_content"].append(part.text)
            case ToolCallStarted():
                calls[part.index] = (part, [])
            case ToolCallDelta():
                if part.index in calls:
                    calls[part.index][1].append(part.arguments)
            case Started():
                head.learn(part)
            case Used():
                usage = part.usage
            case Ended():
                ended = part
            case Failed():
                return error_body(part.error)
    message: dict[str, Any] = {"role": "assistant"}
    content, refusal, thought = ("".join(pieces) for pieces in texts.values())
    message["content"] = content if content or not (calls or refusal) else None
    message["refusal"] = refusal or None
    if thought:
        message["reasoning_content"] = thought
    if calls:
        names, custom = client_names(request), custom_names(request)
        message["tool_calls"] = [
            _call(
                call_id(started.id), names.get(started.name, started.name), "".join(pieces), custom
            )
            for started, pieces in calls.values()
        ]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": finish_reason(ended, calls=bool(calls)),
    }
    answer = {**head.fields("chat.completion"), "choices": [choice]}
    if usage is not None:
        answer["usage"] = usage_object(usage)
    return encode(answer)


def finish_reason(ended: Ended, *, calls: bool) -> str:
    """Return OpenAI's reason of an end."""
    if calls and ended.reason == "stop":
        return "tool_calls"
    if ended.reason == "tool_calls" and not calls:
        # Clients would wait for a call that they do not have.
        return "stop"
    return FINISH_REASONS[ended.reason]


def _call(id: str, name: str, arguments: str, custom: frozenset[str]) -> dict[str, Any]:
    if name in custom:
        return {
            "id": id,
            "type": "custom",
            "custom": {"name": name, "input": custom_input(arguments)},
        }
    function = {"name": name, "arguments": arguments or "{}"}
    return {"id": id, "type": "function", "function": function}


def error_body(error: Mapping[str, Any]) -> bytes:
    """Write the body of an error of a provider."""
    code = error.get("code")
    about = {
        "message": text_in(error, "message") or "the provider failed",
        "type": text_in(error, "type") or "api_error",
        "param": text_in(error, "param") or None,
        "code": str(code) if type(code) in (int, str) and code != "" else None,
    }
    return encode({"error": about})
