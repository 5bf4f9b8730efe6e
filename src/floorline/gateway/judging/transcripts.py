"""A request and its response as judges and rules read them, whatever their dialect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from floorline.events import Decision
from floorline.gateway.chat_request import ChatBody
from floorline.gateway.dialects.answer_parts import (
    AnswerPart,
    Ended,
    Failed,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from floorline.gateway.dialects.conversation import (
    Conversation,
    MediaPart,
    Part,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)
from floorline.gateway.dialects.registry import dialect_named
from floorline.gateway.errors import ApiError


class SeenAnswer(NamedTuple):
    """A response as the client got it.

    Attributes
    ----------
    decision, chat
        The decision and its request.
    body
        The bytes of the response's body.
    streamed
        Whether they are a stream of events.
    drawn
        Names of the judges that see it in any case.
    too_large
        Whether the body is larger than ``judging.max_response``, and left out here.
    """

    decision: Decision
    chat: ChatBody
    body: bytes
    streamed: bool = False
    drawn: frozenset[str] = frozenset()
    too_large: bool = False

    @property
    def size(self) -> int:
        """Bytes of request and response."""
        return len(self.body) + sum(len(bytes(raw)) for raw in self.chat.fields.values())


class ToolCall(NamedTuple):
    """A tool call of a response: name and arguments as they came."""

    name: str
    arguments: str


class Transcript(NamedTuple):
    """What was asked and answered, as texts.

    Attributes
    ----------
    request
        The request; None if it cannot be read.
    asked
        The messages so far, each with its role.
    question
        The last text of the user.
    text, refusal
        The response, and what it says where the provider tells a refusal apart.
    calls
        Tool calls of the response.
    reason
        Why it ended, as ``Ended.reason``; "" if unknown.
    """

    request: Conversation | None
    asked: str
    question: str
    text: str
    refusal: str
    calls: tuple[ToolCall, ...]
    reason: str

    @property
    def tools(self) -> Sequence[Tool]:
        """Tools that the request offers."""
        return [] if self.request is None else self.request.tools

    @property
    def answer(self) -> str:
        """The whole response as a text, with its tool calls."""
        calls = "".join(f"\n[calls {call.name}({call.arguments})]" for call in self.calls)
        return (self.text or self.refusal) + calls


def read_transcript(seen: SeenAnswer) -> Transcript:
    """Read a request and its response."""
    dialect = dialect_named(seen.chat.dialect)
    request: Conversation | None
    try:
        request = dialect.read_request(seen.chat.values())
    except ApiError:
        request = None
    asked, question = _asked(request)
    if not seen.streamed:
        return _transcript(request, asked, question, dialect.read_answer(seen.body))
    reader, parts = dialect.stream_reader(), list[AnswerPart]()
    for name, data in events_in(seen.body):
        parts += reader.read(name, data)
    return _transcript(request, asked, question, parts)


def events_in(body: bytes) -> Iterator[tuple[str, bytes]]:
    r"""Yield name and data of the server-sent events of a whole stream.

    Examples
    --------
    >>> list(events_in(b': hi\n\nevent: a\ndata: {}\n\ndata: [DONE]\n\n'))
    [('a', b'{}'), ('', b'[DONE]')]
    """
    for block in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        name, data = "", list[bytes]()
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            if field == b"event":
                name = value.strip().decode(errors="replace")
            elif field == b"data":
                data.append(value.removeprefix(b" "))
        if data:
            yield name, b"\n".join(data)


def _transcript(
    request: Conversation | None, asked: str, question: str, parts: Iterable[AnswerPart]
) -> Transcript:
    text, refusal, reason = list[str](), list[str](), ""
    names, arguments = dict[int, str](), dict[int, list[str]]()
    for part in parts:
        if isinstance(part, TextDelta):
            text.append(part.text)
        elif isinstance(part, RefusalDelta):
            refusal.append(part.text)
        elif isinstance(part, ToolCallStarted):
            names[part.index] = part.name
        elif isinstance(part, ToolCallDelta):
            arguments.setdefault(part.index, []).append(part.arguments)
        elif isinstance(part, Ended):
            reason = part.reason
        elif isinstance(part, Failed):
            reason = "failed"
    calls = tuple(
        ToolCall(name, "".join(arguments.get(index, ()))) for index, name in sorted(names.items())
    )
    return Transcript(request, asked, question, "".join(text), "".join(refusal), calls, reason)


def _asked(request: Conversation | None) -> tuple[str, str]:
    """The messages of a request as one text, and the last text of the user."""
    if request is None:
        return "", ""
    lines, question = list[str](), ""
    for turn in request.turns:
        said = "\n".join(filter(None, map(_shown, turn.parts)))
        lines.append(f"{turn.role}: {said}")
        own = "\n".join(part.text for part in turn.parts if isinstance(part, TextPart))
        if turn.role == "user" and own:
            question = own
    return "\n\n".join(lines), question


def _shown(part: Part) -> str:
    if isinstance(part, TextPart):
        return part.text
    if isinstance(part, MediaPart):
        return f"[{part.kind}]"
    if isinstance(part, ToolCallPart):
        return f"[calls {part.name}({_text(part.arguments)})]"
    if isinstance(part, ToolResultPart):
        shown = [inner.text for inner in part.parts if isinstance(inner, TextPart)]
        return f"[result: {' '.join(shown)}]"
    # Reasoning is the model's own.
    return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
