"""Write the messages of Anthropic's dialect, and the blocks in them."""

from __future__ import annotations

import base64
from typing import Any

from floorline.gateway.dialects.call_ids import call_id
from floorline.gateway.dialects.conversation import (
    MediaPart,
    Part,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from floorline.gateway.dialects.json_texts import arguments_object, is_object
from floorline.gateway.dialects.losses import lose
from floorline.gateway.dialects.model_limits import ClaudeLimits
from floorline.gateway.dialects.tool_names import short_name

OPENING = "Continue."
"""What the user says where Anthropic demands a turn of the user and the request has none: before
the assistant's first turn, and after its last one for models that do not continue it."""
_IMAGES = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})
_PDF = "application/pdf"
THOUGHTS = ("thinking", "redacted_thinking")
"""Types of blocks with reasoning."""

Block = dict[str, Any]


class MessageWriter:
    """Writes turns as messages."""

    def __init__(self, losses: list[str], limits: ClaudeLimits) -> None:
        self._losses = losses
        self._limits = limits
        self._messages: list[dict[str, Any]] = []

    def turns(self, turns: list[Turn]) -> tuple[list[Block], list[dict[str, Any]]]:
        """Return the blocks of the system, and the messages."""
        system: list[Block] = []
        for turn in turns:
            blocks = [block for part in turn.parts for block in self._part(part, turn.role)]
            if not blocks:
                continue
            if turn.role == "system" and not self._messages:
                system += blocks
            else:
                self._add(turn.role, blocks)
        self._place_system()
        self._finish()
        return system, self._messages

    def _add(self, role: str, blocks: list[Block]) -> None:
        """Add blocks to the last message if it is of the same role, since roles alternate."""
        if self._messages and self._messages[-1]["role"] == role:
            content = self._messages[-1]["content"]
            content += blocks
        else:
            if not self._messages and role == "assistant":
                self._messages.append(_says("user", OPENING))
            self._messages.append({"role": role, "content": blocks})

    def _place_system(self) -> None:
        """Turn messages of the system into texts of the user where the model refuses them."""
        messages, self._messages = self._messages, []
        for position, message in enumerate(messages):
            role = message["role"]
            if role == "system":
                ends = position + 1 == len(messages)
                answered = ends or messages[position + 1]["role"] == "assistant"
                before = self._messages[-1]["role"]
                if not (self._limits.takes_later_system and before == "user" and answered):
                    lose(self._losses, "system")
                    role = "user"
                    for block in message["content"]:
                        block["text"] = f"<system>\n{block['text']}\n</system>"
            self._add(role, message["content"])

    def _finish(self) -> None:
        """Bring the messages into the form that Anthropic demands."""
        if not self._messages:
            self._messages.append(_says("user", OPENING))
        for message in self._messages:
            content = message["content"]
            if message["role"] == "user":
                # The results of all calls of a turn come first in the next one.
                content.sort(key=lambda block: block["type"] != "tool_result")
            if len(content) == 1 and len(content[0]) == 2 and content[0]["type"] == "text":
                message["content"] = content[0]["text"]
        last = self._messages[-1]
        if last["role"] != "assistant":
            return
        if not self._limits.takes_prefill:
            self._messages.append(_says("user", OPENING))
        elif type(last["content"]) is str:
            last["content"] = last["content"].rstrip()
        elif last["content"][-1]["type"] == "text":
            last["content"][-1]["text"] = last["content"][-1]["text"].rstrip()

    def _part(self, part: Part, role: str) -> list[Block]:
        match part:
            case TextPart():
                # A text of spaces alone is refused as well.
                if not part.text.strip():
                    return []
                return [marked({"type": "text", "text": part.text}, part.cached)]
            case MediaPart():
                if role != "user":
                    lose(self._losses, "media")
                    return []
                block = self._media(part)
                return [] if block is None else [block]
            case ThinkingPart():
                # Clients of responses send back the proofs of a provider that speaks this dialect.
                if role == "assistant" and part.signature:
                    signed = {"thinking": part.text, "signature": part.signature}
                    return [{"type": "thinking", **signed}]
                if role == "assistant" and part.encrypted and not part.text:
                    return [{"type": "redacted_thinking", "data": part.encrypted}]
                lose(self._losses, "thinking")
                return []
            case ToolCallPart():
                return [self._call(part)] if role == "assistant" else []
            case ToolResultPart():
                return [self._result(part)] if role == "user" else []

    def _call(self, part: ToolCallPart) -> Block:
        if part.arguments.strip() and not is_object(part.arguments):
            lose(self._losses, "tool_call.arguments")
        block = {
            "type": "tool_use",
            "id": call_id(part.id),
            "name": short_name(part.name),
            "input": arguments_object(part.arguments),
        }
        return marked(block, part.cached)

    def _result(self, part: ToolResultPart) -> Block:
        content = [block for one in part.parts for block in self._part(one, "user")]
        block: Block = {"type": "tool_result", "tool_use_id": call_id(part.call)}
        if len(content) == 1 and len(content[0]) == 2 and content[0]["type"] == "text":
            block["content"] = content[0]["text"]
        elif content:
            block["content"] = content
        if part.failed:
            block["is_error"] = True
        return marked(block, part.cached)

    def _media(self, part: MediaPart) -> Block | None:
        """Write an image or a document; other media have no block."""
        if part.detail:
            lose(self._losses, "media.detail")
        media = part.media_type.partition(";")[0].strip().lower()
        kind = part.kind
        if kind == "file" and media.startswith("image/"):
            kind = "image"
        source: Block
        if kind == "image" and (part.url or media in _IMAGES):
            source = {"type": "base64", "media_type": media, "data": part.data}
        elif kind == "file" and (media == _PDF or (part.url and not media)):
            source = {"type": "base64", "media_type": _PDF, "data": part.data}
        elif kind == "file" and media.startswith("text/") and (text := _decoded(part.data)):
            source = {"type": "text", "media_type": "text/plain", "data": text}
        else:
            lose(self._losses, "media")
            return None
        if part.url:
            source = {"type": "url", "url": part.url}
        block = {"type": "image" if kind == "image" else "document", "source": source}
        if kind == "file" and part.name:
            block["title"] = part.name
        elif part.name:
            lose(self._losses, "media.name")
        return marked(block, part.cached)


def _decoded(data: str) -> str:
    """Return the text in base64; "" if it is none."""
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:
        return ""


def _says(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def marked(block: Block, cached: bool) -> Block:
    """Mark the end of a block for the cache."""
    if cached:
        block["cache_control"] = {"type": "ephemeral"}
    return block
