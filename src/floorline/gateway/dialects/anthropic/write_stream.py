"""Write streamed answers of Anthropic's Messages API."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
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
from floorline.gateway.dialects.anthropic.answer import NO_ID, error_body, stop_reason
from floorline.gateway.dialects.anthropic.foreign_thinking import ENCRYPTED, SIGNATURE
from floorline.gateway.dialects.anthropic.usage import usage_object
from floorline.gateway.dialects.call_ids import call_id
from floorline.gateway.dialects.conversation import Conversation
from floorline.gateway.dialects.json_texts import arguments_object, encode, is_object
from floorline.gateway.dialects.tool_names import client_names
from floorline.gateway.upstreams.usage import Usage

_MAX_CHECKS = 64
"""Times that the arguments of a call are parsed to see whether they are whole; after so many the
block stays open to the end, so that the time does not grow with the square of their length."""


class _Block:
    """A block of the answer that is open or waits for its turn.

    Attributes
    ----------
    start
        The block as its first event has it.
    pieces
        Texts that came, of which ``sent`` have been sent.
    signature
        Signature of thinking; "" before it comes.
    """

    __slots__ = ("_checks", "is_raw", "pieces", "sent", "signature", "start")

    def __init__(self, start: dict[str, Any]) -> None:
        self.start = start
        self.pieces: list[str] = []
        self.sent = 0
        self.signature = ""
        # Arguments that are no JSON object are sent whole, at their end.
        self.is_raw = False
        self._checks = 0

    @property
    def kind(self) -> str:
        kind: str = self.start["type"]
        return kind

    def is_whole(self) -> bool:
        """Whether nothing can follow, so that the next block may begin."""
        if self.kind != "tool_use":
            return True
        if not self.pieces or not self.pieces[-1].rstrip().endswith("}"):
            return False
        self._checks += 1
        return self._checks <= _MAX_CHECKS and is_object("".join(self.pieces))


class AnthropicStreamWriter:
    r"""Writes the events of one streamed answer.

    Blocks follow one another in Anthropic's streams, while the calls of tools may take turns in
    other dialects. So a block stays open until it is whole, and what comes for later ones waits.

    Parameters
    ----------
    model
        Name of the model that the client gets to see.
    id
        Id of the answer; "" for the provider's.
    request
        What the client asked for.

    Examples
    --------
    >>> writer = AnthropicStreamWriter("gold", "msg_1")
    >>> events = writer.write([TextDelta("Hi"), Ended("stop")]) + writer.end()
    >>> [line for line in events.decode().split("\n") if line.startswith("event")]
    ['event: message_start', 'event: content_block_start', 'event: content_block_delta',
     'event: content_block_stop', 'event: message_delta', 'event: message_stop']
    """

    def __init__(self, model: str, id: str, request: Conversation | None = None) -> None:
        self._model = model
        self._id = id
        self._names: Mapping[str, str] = client_names(request)
        self._out: list[bytes] = []
        self._begun = False
        self._over = False
        self._index = -1
        self._blocks: deque[_Block] = deque()
        self._of_call: dict[int, _Block] = {}
        self._usage: Usage | None = None
        self._ended = Ended("stop")
        self._refused = False

    def write(self, parts: Iterable[AnswerPart]) -> bytes:
        """Write the events that these parts make."""
        for part in parts:
            if not self._over:
                self._add(part)
        return self._taken()

    def end(self) -> bytes:
        """Write the events that end the stream, once."""
        if not self._over:
            self._begin()
            self._drain(last=True)
            reason, stop = stop_reason(
                self._ended, calls=bool(self._of_call), refused=self._refused
            )
            self._event(
                {
                    "type": "message_delta",
                    "delta": {"stop_reason": reason, "stop_sequence": stop},
                    "usage": usage_object(self._usage),
                }
            )
            self._event({"type": "message_stop"})
            self._over = True
        return self._taken()

    def _taken(self) -> bytes:
        written = b"".join(self._out)
        self._out.clear()
        return written

    def _add(self, part: AnswerPart) -> None:
        match part:
            case TextDelta() | RefusalDelta():
                self._refused |= type(part) is RefusalDelta
                if part.text:
                    self._extend("text", part.text)
            case ToolCallDelta():
                self._extend_call(part)
            case ThinkingDelta():
                self._think(part)
            case ToolCallStarted():
                name = self._names.get(part.name, part.name)
                start = {"type": "tool_use", "id": call_id(part.id), "name": name, "input": {}}
                self._of_call[part.index] = self._open(start)
            case Started():
                self._id = self._id or part.id
                self._model = self._model or part.model
                self._begin()
            case Used():
                self._usage = part.usage
            case Ended():
                self._ended = part
            case Failed():
                self._fail(part.error)

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        usage = usage_object(self._usage)
        # Counted at the end, like all of the answer's tokens.
        usage["output_tokens"] = 0
        message: dict[str, Any] = {
            "id": self._id or NO_ID,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        self._event({"type": "message_start", "message": message})

    def _think(self, part: ThinkingDelta) -> None:
        if part.encrypted:
            self._open({"type": "redacted_thinking", "data": ENCRYPTED + part.encrypted})
        if part.text:
            self._extend("thinking", part.text)
        if part.signature:
            self._last("thinking").signature = part.signature

    def _last(self, kind: str) -> _Block:
        """Return the last block, which is of this kind and goes on."""
        if self._blocks:
            block = self._blocks[-1]
            if block.kind == kind and not block.signature:
                return block
        start = {"type": kind, kind: ""}
        if kind == "thinking":
            start["signature"] = ""
        return self._open(start)

    def _open(self, start: dict[str, Any]) -> _Block:
        block = _Block(start)
        self._blocks.append(block)
        self._begin()
        if len(self._blocks) == 1:
            self._show(block)
        else:
            self._drain()
        return block

    def _extend(self, kind: str, text: str) -> None:
        block = self._last(kind)
        block.pieces.append(text)
        if block is self._blocks[0]:
            self._send(block)

    def _extend_call(self, part: ToolCallDelta) -> None:
        block = self._of_call.get(part.index)
        if block is None or not part.arguments:
            return
        block.pieces.append(part.arguments)
        if self._blocks and block is self._blocks[0]:
            self._send(block)
            if len(self._blocks) > 1:
                self._drain()

    def _drain(self, *, last: bool = False) -> None:
        """Close the blocks that are whole, and open the ones behind them."""
        while self._blocks and (last or (len(self._blocks) > 1 and self._blocks[0].is_whole())):
            self._close(self._blocks.popleft())
            if self._blocks:
                self._show(self._blocks[0])

    def _show(self, block: _Block) -> None:
        self._index += 1
        self._event(
            {"type": "content_block_start", "index": self._index, "content_block": block.start}
        )
        self._send(block)

    def _send(self, block: _Block) -> None:
        """Send the texts of the open block that have not been sent."""
        if block.is_raw or block.sent == len(block.pieces):
            return
        text = "".join(block.pieces[block.sent :])
        if block.kind == "tool_use":
            if block.sent == 0:
                start = text.lstrip()
                if not start:
                    block.pieces.clear()
                    return
                if start[0] != "{":
                    block.is_raw = True
                    return
            self._delta({"type": "input_json_delta", "partial_json": text})
        elif block.kind == "text":
            self._delta({"type": "text_delta", "text": text})
        else:
            self._delta({"type": "thinking_delta", "thinking": text})
        block.sent = len(block.pieces)

    def _close(self, block: _Block) -> None:
        if block.is_raw:
            text = encode(arguments_object("".join(block.pieces))).decode()
            self._delta({"type": "input_json_delta", "partial_json": text})
        elif block.kind == "thinking":
            signature = block.signature or SIGNATURE
            self._delta({"type": "signature_delta", "signature": signature})
        self._event({"type": "content_block_stop", "index": self._index})

    def _fail(self, error: Mapping[str, Any]) -> None:
        """End the stream with an error, as Anthropic does: nothing follows it."""
        self._out.append(b"event: error\ndata: " + error_body(error) + b"\n\n")
        self._over = True

    def _delta(self, delta: dict[str, str]) -> None:
        self._event({"type": "content_block_delta", "index": self._index, "delta": delta})

    def _event(self, fields: dict[str, Any]) -> None:
        name: str = fields["type"]
        self._out += (b"event: ", name.encode(), b"\ndata: ", encode(fields), b"\n\n")
