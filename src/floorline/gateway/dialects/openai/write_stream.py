"""Write streamed chat completions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
from floorline.gateway.dialects.call_ids import call_id
from floorline.gateway.dialects.conversation import Conversation
from floorline.gateway.dialects.custom_tools import custom_input, custom_names
from floorline.gateway.dialects.json_texts import encode
from floorline.gateway.dialects.openai.answer import CompletionHead, error_body, finish_reason
from floorline.gateway.dialects.openai.usage import usage_object
from floorline.gateway.dialects.tool_names import client_names
from floorline.gateway.upstreams.usage import Usage

_DONE = b"data: [DONE]\n\n"


def wants_usage(request: Conversation | None) -> bool:
    """Whether a request in this dialect asks for the usage at the end of its stream."""
    options = None if request is None else request.echo.get("stream_options")
    return type(options) is dict and options.get("include_usage") is True


class OpenAIStreamWriter:
    r"""Writes the chunks of one streamed answer.

    Parameters
    ----------
    model
        Name of the model that the client gets to see.
    id
        Id of the answer; "" for the provider's.
    request
        What the client asked for.

    Attributes
    ----------
    includes_usage
        Whether the usage is sent, in a last chunk without choices: if the request asks for it.

    Examples
    --------
    >>> writer = OpenAIStreamWriter("gold", "chatcmpl-1")
    >>> events = writer.write([TextDelta("Hi"), Ended("stop")]) + writer.end()
    >>> events.count(b"data: "), events.endswith(b"data: [DONE]\n\n")
    (4, True)
    """

    def __init__(self, model: str, id: str, request: Conversation | None = None) -> None:
        self.includes_usage = wants_usage(request)
        self._head = CompletionHead(model, id)
        self._names = client_names(request)
        self._custom = custom_names(request)
        self._out: list[bytes] = []
        self._begun = False
        self._over = False
        self._numbers: dict[int, int] = {}
        # Calls of custom tools, whose input is known when their arguments are whole.
        self._waiting: dict[int, tuple[str, str, list[str]]] = {}
        self._usage: Usage | None = None
        self._ended = Ended("stop")

    def write(self, parts: Iterable[AnswerPart]) -> bytes:
        """Write the chunks that these parts make."""
        for part in parts:
            if not self._over:
                self._add(part)
        return self._taken()

    def end(self) -> bytes:
        """Write the chunks that end the stream, once."""
        if not self._over:
            self._begin()
            self._send_custom()
            reason = finish_reason(self._ended, calls=bool(self._numbers))
            self._chunk({}, reason)
            if self.includes_usage and self._usage is not None:
                last = self._head.fields("chat.completion.chunk")
                self._event({**last, "choices": [], "usage": usage_object(self._usage)})
            self._out.append(_DONE)
            self._over = True
        return self._taken()

    def _taken(self) -> bytes:
        written = b"".join(self._out)
        self._out.clear()
        return written

    def _add(self, part: AnswerPart) -> None:
        match part:
            case TextDelta():
                self._text("content", part.text)
            case ToolCallDelta():
                self._arguments(part)
            case ThinkingDelta():
                self._text("reasoning_content", part.text)
            case RefusalDelta():
                self._text("refusal", part.text)
            case ToolCallStarted():
                self._call(part)
            case Started():
                self._head.learn(part)
                self._begin()
            case Used():
                self._usage = part.usage
            case Ended():
                self._ended = part
            case Failed():
                # Nothing follows an error: clients stop there.
                self._out += (b"data: ", error_body(part.error), b"\n\n")
                self._over = True

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._chunk({"role": "assistant", "content": ""})

    def _text(self, name: str, text: str) -> None:
        if text:
            self._begin()
            self._chunk({name: text})

    def _call(self, part: ToolCallStarted) -> None:
        self._begin()
        number = self._numbers[part.index] = len(self._numbers)
        name = self._names.get(part.name, part.name)
        if name in self._custom:
            self._waiting[number] = (call_id(part.id), name, [])
            return
        function = {"name": name, "arguments": ""}
        call = {"index": number, "id": call_id(part.id), "type": "function", "function": function}
        self._chunk({"tool_calls": [call]})

    def _arguments(self, part: ToolCallDelta) -> None:
        number = self._numbers.get(part.index)
        if number is None or not part.arguments:
            return
        if number in self._waiting:
            self._waiting[number][2].append(part.arguments)
            return
        self._chunk({"tool_calls": [{"index": number, "function": {"arguments": part.arguments}}]})

    def _send_custom(self) -> None:
        for number, (id, name, pieces) in self._waiting.items():
            custom = {"name": name, "input": custom_input("".join(pieces))}
            call = {"index": number, "id": id, "type": "custom", "custom": custom}
            self._chunk({"tool_calls": [call]})

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> None:
        fields = self._head.fields("chat.completion.chunk")
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        fields["choices"] = [choice]
        self._event(fields)

    def _event(self, fields: dict[str, Any]) -> None:
        self._out += (b"data: ", encode(fields), b"\n\n")
