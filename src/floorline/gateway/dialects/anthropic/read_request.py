"""Read a request of Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from floorline.gateway.dialects.anthropic.client_tools import as_function
from floorline.gateway.dialects.anthropic.foreign_thinking import read_thinking
from floorline.gateway.dialects.anthropic.threads import refused_thread
from floorline.gateway.dialects.conversation import (
    Conversation,
    MediaPart,
    OutputSchema,
    Part,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from floorline.gateway.dialects.fields import (
    as_list,
    as_name,
    as_object,
    as_objects,
    as_text,
    invalid,
    optional_count,
    optional_flag,
    optional_number,
    optional_text,
    untranslatable,
)
from floorline.gateway.dialects.json_texts import arguments_text
from floorline.gateway.dialects.losses import lose, unknown

_READ = frozenset(
    {
        "cache_control",
        "floorline",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "output_format",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "thread",
        "tool_choice",
        "tools",
        "top_p",
    }
)
_TOOL_FIELDS = frozenset({"cache_control", "description", "input_schema", "name", "strict", "type"})
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_PDF = "application/pdf"
SUMMARY = "Summary of the conversation so far:\n\n"
"""What a summary begins with that stands for the conversation before it."""


def read_request(fields: Mapping[str, Any], *, counted: bool = False) -> Conversation:
    """Read the fields of a request.

    Parameters
    ----------
    fields
        The decoded fields.
    counted
        Whether its tokens are only to be counted: then it needs no ``max_tokens``.

    Raises
    ------
    ApiError
        400 that names the field which is malformed, or which no other provider can serve.
    """
    losses: list[str] = []
    read = _Reader(losses)
    for one in fields:
        if one not in _READ and fields[one] is not None:
            unknown(losses, one)
    request = Conversation(turns=[], losses=losses)
    refusal = refused_thread(fields)
    if refusal is not None:
        raise refusal
    if fields.get("thread") is not None:
        lose(losses, "thread")
    system = fields.get("system")
    if system is not None:
        parts = read.content(system, "system")
        if parts:
            request.turns.append(Turn("system", parts))
    messages = fields.get("messages")
    for message, path in as_objects(messages, "messages"):
        turn = read.message(message, path)
        if read.compacted:
            # Anthropic's models do not see what stands before a summary.
            request.turns = [one for one in request.turns if one.role == "system"]
            request.turns.append(Turn("user", read.compacted))
            read.compacted = []
        if turn is not None:
            request.turns.append(turn)
    request.stream = fields.get("stream") is True
    _read_limits(fields, request, counted)
    _read_thinking(fields, request)
    _read_output(fields, request)
    _read_tools(fields, request, read)
    metadata = fields.get("metadata")
    if metadata is not None:
        for one, value in as_object(metadata, "metadata").items():
            if one != "user_id":
                unknown(losses, one, "metadata")
            else:
                request.user = optional_text(value, "metadata.user_id")
    if fields.get("cache_control") is not None:
        read.cached(fields)
        _mark_last(request)
    return request


class _Reader:
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
            change = _tool(definition, f"{place}.definition", self._losses, cached=False)
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


def _read_limits(fields: Mapping[str, Any], request: Conversation, counted: bool) -> None:
    """Read the limit of the answer and how it is sampled."""
    if not counted:
        limit = fields.get("max_tokens")
        if limit is None:
            raise invalid("max_tokens", None, "give the largest number of tokens of the answer")
        if limit == 0 and type(limit) is int:
            fix = "give a number from 1, because others do not fill a cache without an answer"
            raise untranslatable("max_tokens", fix, "anthropic")
        request.max_output_tokens = optional_count(limit, "max_tokens")
    for one in ("temperature", "top_p"):
        setattr(request, one, optional_number(fields.get(one), one, 0, 1))
    stops = fields.get("stop_sequences")
    if stops is not None:
        request.stop = [
            as_text(stop, f"stop_sequences[{position}]")
            for position, stop in enumerate(as_list(stops, "stop_sequences"))
        ]


def _read_thinking(fields: Mapping[str, Any], request: Conversation) -> None:
    """Read how much the model is to think."""
    config = fields.get("output_config")
    if config is not None:
        effort = as_object(config, "output_config").get("effort")
        if effort is not None:
            if effort not in _EFFORTS:
                fix = f"give {', '.join(_EFFORTS[:-1])} or {_EFFORTS[-1]}"
                raise invalid("output_config.effort", effort, fix)
            request.effort = effort
        for one in config:
            if one not in ("effort", "format"):
                unknown(request.losses, one, "output_config")
    thinking = fields.get("thinking")
    if thinking is None:
        return
    kind = as_object(thinking, "thinking").get("type")
    match kind:
        case "enabled":
            tokens = thinking.get("budget_tokens")
            if tokens is None:
                raise invalid("thinking.budget_tokens", None, "give a number of tokens")
            request.thinking_tokens = optional_count(tokens, "thinking.budget_tokens")
        case "disabled" | "between_tools":
            if request.effort:
                # The effort is of the whole answer there, and of the thinking elsewhere.
                lose(request.losses, "output_config.effort")
            request.effort = "none"
        case "adaptive":
            pass
        case _:
            fix = "give enabled, adaptive or disabled"
            raise invalid("thinking.type", kind, fix)
    if thinking.get("display") is not None:
        lose(request.losses, "thinking.display")


def _read_output(fields: Mapping[str, Any], request: Conversation) -> None:
    """Read the form of the answer, from either of the two fields that it may stand in."""
    config = fields.get("output_config")
    found, path = fields.get("output_format"), "output_format"
    if found is None and config is not None:
        found, path = config.get("format"), "output_config.format"
    if found is None:
        return
    kind = as_object(found, path).get("type")
    if kind != "json_schema":
        raise invalid(f"{path}.type", found.get("type"), "give json_schema")
    schema = as_object(found.get("schema"), f"{path}.schema")
    request.output = OutputSchema(schema)


def _read_tools(fields: Mapping[str, Any], request: Conversation, read: _Reader) -> None:
    """Read the tools, and which of them the model may or must call."""
    tools = fields.get("tools")
    lost: set[str] = set()
    found: list[Tool] = []
    for tool, path in as_objects([] if tools is None else tools, "tools"):
        kind = tool.get("type")
        known = as_function(kind) if type(kind) is str else None
        if known is not None:
            name = as_name(tool.get("name"), f"{path}.name")
            found.append(Tool(name, *known, cached=read.cached(tool)))
            continue
        if kind not in (None, "custom"):
            unknown(request.losses, as_text(kind, f"{path}.type"), "tools")
            lost.add(str(tool.get("name")))
            continue
        found.append(_tool(tool, path, request.losses, cached=read.cached(tool)))
    for change in read.changes:
        changed = change if isinstance(change, str) else change.name
        found = [tool for tool in found if tool.name != changed]
        if isinstance(change, Tool):
            found.append(change)
    request.tools = found
    choice = fields.get("tool_choice")
    if choice is None:
        return
    kind = as_object(choice, "tool_choice").get("type")
    if kind == "tool":
        called = as_name(choice.get("name"), "tool_choice.name")
        if called in lost:
            fix = "no other provider has this tool, so demand another one"
            raise untranslatable("tool_choice.name", fix, "anthropic")
        request.tool_choice = f"tool:{called}"
    elif kind in _CHOICES:
        request.tool_choice = _CHOICES[kind]
    else:
        raise invalid("tool_choice.type", kind, "give auto, any, tool or none")
    serial = optional_flag(
        choice.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use"
    )
    if serial is not None:
        request.parallel_tools = not serial


def _tool(tool: Mapping[str, Any], path: str, losses: list[str], *, cached: bool) -> Tool:
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


def _mark_last(request: Conversation) -> None:
    """Mark the end of the prompt for the cache, as the field of the whole request asks."""
    for turn in reversed(request.turns):
        for part in reversed(turn.parts):
            if hasattr(part, "cached"):
                part.cached = True
                return
