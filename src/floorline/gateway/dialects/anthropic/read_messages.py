"""Read the messages of Anthropic's dialect, and the blocks in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from floorline.gateway.dialects.anthropic.foreign_thinking import read_thinking
from floorline.gateway.dialects.conversation import (
    MediaPart,
    Part,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from floorline.gateway.dialects.fields import (
    as_name,
    as_object,
    as_objects,
    as_text,
    invalid,
    optional_flag,
    optional_text,
    untranslatable,
)
from floorline.gateway.dialects.json_texts import arguments_text
from floorline.gateway.dialects.losses import lose, unknown

_TOOL_FIELDS = frozenset({"cache_control", "description", "input_schema", "name", "strict", "type"})
_PDF = "application/pdf"
SUMMARY = "Summary of the conversation so far:\n\n"
"""What a summary begins with that stands for the conversation before it."""


class MessageReader:
    """Reads messages and their blocks; adds to the losses.

    Attributes
    ----------
    compacted
        Summary of all that stands before the message that was read last; empty if it has none.
    changes
        Tools that messages add, and names of those that they remove, in their order.
    """

    def __init__(self, losses: list[str]) -> None:
        self.compacted: list[Part] = []
        self.changes: list[Tool | str] = []
        self._losses = losses

    def message(self, message: Mapping[str, Any], path: str) -> Turn | None:
        """Read a message; None if nothing is in it."""
        role = message.get("role")
        if role not in ("user", "assistant", "system"):
            raise invalid(f"{path}.role", role, "give user or assistant")
        for one in message:
            if one not in ("content", "role"):
                unknown(self._losses, one, "messages")
        parts = self.content(message.get("content"), f"{path}.content")
        return Turn(role, parts) if parts else None

    def content(self, content: Any, path: str) -> list[Part]:
        """Read a text, or a list of blocks."""
        if type(content) is str:
            return [TextPart(content)] if content else []
        if type(content) is not list:
            raise invalid(path, content, "give a text or a list of blocks")
        parts: list[Part] = []
        for block, place in as_objects(content, path):
            if block.get("type") == "compaction" and block.get("content") is not None:
                summary = as_text(block.get("content"), f"{place}.content")
                self.compacted = [TextPart(SUMMARY + summary, self.cached(block))]
                parts.clear()
            else:
                parts += self._block(block, place)
        return parts

    def cached(self, block: Mapping[str, Any]) -> bool:
        """Whether the prompt is to be cached up to the end of a block."""
        control = block.get("cache_control")
        if type(control) is not dict:
            return False
        if control.get("ttl") not in (None, "5m"):
            lose(self._losses, "cache_control.ttl")
        return True

    def _block(self, block: Mapping[str, Any], path: str) -> list[Part]:
        kind = as_name(block.get("type"), f"{path}.type")
        match kind:
            case "text":
                return list(self._text(block, path))
            case "image":
                return [self._media(block, path, "image")]
            case "document":
                return list(self._document(block, path))
            case "search_result":
                return [self._search_result(block, path)]
            case "tool_use":
                return [self._tool_use(block, path)]
            case "tool_result":
                return [self._tool_result(block, path)]
            case "thinking" | "redacted_thinking":
                part = read_thinking(block, path)
                return [] if part is None else [part]
            case "compaction":
                # One that failed says nothing.
                return []
            case "tool_addition" | "tool_removal":
                self._change_tools(block, path)
                return []
        unknown(self._losses, kind, "messages.content")
        return []

    def _change_tools(self, block: Mapping[str, Any], path: str) -> None:
        """Read which tools there are from here on; a translation has them from the beginning."""
        place = f"{path}.tool"
        tool = as_object(block.get("tool"), place)
        definition = tool.get("definition")
        if block.get("type") == "tool_removal":
            self.changes.append(str(tool.get("name")))
        elif type(definition) is dict and definition.get("type") in (None, "custom"):
            change = read_tool(definition, f"{place}.definition", self._losses, cached=False)
            self.changes.append(change)

    def _text(self, block: Mapping[str, Any], path: str) -> list[TextPart]:
        if block.get("citations"):
            lose(self._losses, "messages.content.citations")
        text = as_text(block.get("text"), f"{path}.text")
        return [TextPart(text, self.cached(block))] if text else []

    def _media(
        self, block: Mapping[str, Any], path: str, kind: Literal["image", "file"]
    ) -> MediaPart:
        place = f"{path}.source"
        source = as_object(block.get("source"), place)
        if block.get("transformations"):
            lose(self._losses, "messages.content.transformations")
        cached = self.cached(block)
        match source.get("type"):
            case "base64":
                data = as_name(source.get("data"), f"{place}.data")
                media = as_name(source.get("media_type"), f"{place}.media_type")
                return MediaPart(kind, data=data, media_type=media, cached=cached)
            case "url":
                url = as_name(source.get("url"), f"{place}.url")
                return MediaPart(kind, url=url, cached=cached)
            case "file":
                raise untranslatable(place, "send the bytes of the file as base64", "anthropic")
        raise invalid(f"{place}.type", source.get("type"), "give base64 or url")

    def _document(self, block: Mapping[str, Any], path: str) -> list[TextPart | MediaPart]:
        """Read a document; a plain text becomes a text, which every provider takes."""
        place = f"{path}.source"
        source = as_object(block.get("source"), place)
        for one in ("citations", "context"):
            if block.get(one):
                lose(self._losses, f"messages.content.{one}")
        title = block.get("title")
        title = optional_text(title, f"{path}.title")
        found: list[TextPart | MediaPart]
        if source.get("type") == "text":
            data = as_text(source.get("data"), f"{place}.data")
            found = [TextPart(_titled(title, data), self.cached(block))]
        elif source.get("type") == "content":
            inner = self._results(source.get("content"), f"{place}.content")
            found = [TextPart(_titled(title, ""))] if title else []
            found += inner
            if found and self.cached(block):
                found[-1].cached = True
        else:
            media = self._media(block, path, "file")
            media.name = title
            if media.url and not media.media_type:
                # Documents by address are always of this type.
                media.media_type = _PDF
            found = [media]
        return found

    def _search_result(self, block: Mapping[str, Any], path: str) -> TextPart:
        """Read a result of a search of the client's own: its texts, under title and source."""
        texts = [
            as_text(one.get("text"), f"{place}.text")
            for one, place in as_objects(block.get("content"), f"{path}.content")
        ]
        heads = [as_text(block.get(one), f"{path}.{one}") for one in ("title", "source")]
        if block.get("citations"):
            lose(self._losses, "messages.content.citations")
        return TextPart("\n".join([*heads, "", *texts]), self.cached(block))

    def _tool_use(self, block: Mapping[str, Any], path: str) -> ToolCallPart:
        called = as_object(block.get("input"), f"{path}.input")
        return ToolCallPart(
            as_name(block.get("id"), f"{path}.id"),
            as_name(block.get("name"), f"{path}.name"),
            "" if not called else arguments_text(called),
            self.cached(block),
        )

    def _tool_result(self, block: Mapping[str, Any], path: str) -> ToolResultPart:
        content = block.get("content")
        return ToolResultPart(
            as_name(block.get("tool_use_id"), f"{path}.tool_use_id"),
            [] if content is None else self._results(content, f"{path}.content"),
            failed=block.get("is_error") is True,
            cached=self.cached(block),
        )

    def _results(self, content: Any, path: str) -> list[TextPart | MediaPart]:
        """Read the texts and media that a tool may answer."""
        parts: list[TextPart | MediaPart] = []
        for part in self.content(content, path):
            if isinstance(part, TextPart | MediaPart):
                parts.append(part)
            else:
                raise invalid(path, content, "give texts, images and documents only")
        return parts


def _titled(title: str, text: str) -> str:
    """Put a document's title before its text."""
    return f"{title}\n\n{text}" if title else text


def read_tool(tool: Mapping[str, Any], path: str, losses: list[str], *, cached: bool) -> Tool:
    """Read a tool that the client describes."""
    for one, value in tool.items():
        if one not in _TOOL_FIELDS and value is not None:
            unknown(losses, one, "tools")
    description, strict = tool.get("description"), tool.get("strict")
    return Tool(
        as_name(tool.get("name"), f"{path}.name"),
        optional_text(description, f"{path}.description"),
        as_object(tool.get("input_schema"), f"{path}.input_schema"),
        optional_flag(strict, f"{path}.strict"),
        cached=cached,
    )
