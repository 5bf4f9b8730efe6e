"""Read the messages of chat completions, and the parts in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from floorline.gateway.dialects.conversation import (
    MediaPart,
    Part,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from floorline.gateway.dialects.custom_tools import (
    custom_arguments,
)
from floorline.gateway.dialects.fields import (
    as_name,
    as_object,
    as_objects,
    as_text,
    invalid,
    optional_text,
    untranslatable,
)
from floorline.gateway.dialects.losses import unknown
from floorline.gateway.dialects.openai.reasoning import reasoning_in

_MESSAGE_FIELDS = frozenset(
    {
        "content",
        "function_call",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "refusal",
        "role",
        "tool_call_id",
        "tool_calls",
    }
)
_AUDIO_TYPES = {"mp3": "audio/mpeg"}
"""MIME types of formats whose name is not that of their type."""


class MessageReader:
    """Reads messages.

    Attributes
    ----------
    turns
        The turns so far.
    """

    def __init__(self, losses: list[str]) -> None:
        self.turns: list[Turn] = []
        self._losses = losses
        self._functions: dict[str, str] = {}
        self._calls = 0

    def message(self, message: Mapping[str, Any], path: str) -> None:
        """Read the next message."""
        for one in message:
            if one not in _MESSAGE_FIELDS and message[one] is not None:
                unknown(self._losses, one, "messages")
        role = message.get("role")
        match role:
            case "system" | "developer":
                self._add("system", self._content(message, path))
            case "user":
                self._add("user", self._content(message, path))
            case "assistant":
                self._add("assistant", self._assistant(message, path))
            case "tool":
                call = as_name(message.get("tool_call_id"), f"{path}.tool_call_id")
                self._add_result(call, message, path)
            case "function":
                name = as_name(message.get("name"), f"{path}.name")
                call = self._functions.get(name) or self._next_id()
                self._add_result(call, message, path)
            case _:
                fix = "give system, developer, user, assistant or tool"
                raise invalid(f"{path}.role", role, fix)

    def _add(self, role: str, parts: list[Part]) -> None:
        if parts:
            self.turns.append(Turn(role, parts))  # type: ignore[arg-type]

    def _add_result(self, call: str, message: Mapping[str, Any], path: str) -> None:
        """Add the result of a call; those that follow one another are of one turn."""
        parts = self._content(message, path)
        result = ToolResultPart(
            call, [part for part in parts if isinstance(part, TextPart | MediaPart)]
        )
        last = self.turns[-1] if self.turns else None
        if last and last.role == "user" and type(last.parts[-1]) is ToolResultPart:
            last.parts.append(result)
        else:
            self.turns.append(Turn("user", [result]))

    def _next_id(self) -> str:
        self._calls += 1
        return f"call_{self._calls - 1}"

    def _content(self, message: Mapping[str, Any], path: str) -> list[Part]:
        content, place = message.get("content"), f"{path}.content"
        if content is None:
            return []
        if type(content) is str:
            return [TextPart(content)] if content else []
        if type(content) is not list:
            raise invalid(place, content, "give a text or a list of parts")
        parts: list[Part] = []
        for item, item_path in as_objects(content, place):
            part = self._part(item, item_path)
            if part is not None:
                parts.append(part)
        return parts

    def _part(self, item: Mapping[str, Any], path: str) -> Part | None:
        kind = as_name(item.get("type"), f"{path}.type")
        cached = any(
            type(item.get(one)) is dict for one in ("cache_control", "prompt_cache_breakpoint")
        )
        match kind:
            case "text" | "refusal":
                text = as_text(item.get(kind), f"{path}.{kind}")
                return TextPart(text, cached) if text else None
            case "image_url" | "video_url":
                held, place = item.get(kind), f"{path}.{kind}"
                # Some clients give the address alone.
                source = {"url": held} if type(held) is str else as_object(held, place)
                url = as_name(source.get("url"), f"{place}.url")
                detail = source.get("detail")
                media = _from_url("image" if kind == "image_url" else "video", url, place)
                if detail is not None and detail != "auto":
                    media.detail = as_text(detail, f"{place}.detail")
                media.cached = cached
                return media
            case "input_audio":
                source = as_object(item.get(kind), f"{path}.{kind}")
                data = as_name(source.get("data"), f"{path}.{kind}.data")
                form = as_name(source.get("format"), f"{path}.{kind}.format")
                media_type = _AUDIO_TYPES.get(form, f"audio/{form}")
                return MediaPart("audio", data=data, media_type=media_type, cached=cached)
            case "file":
                media = self._file(item, path)
                media.cached = cached
                return media
            case "thinking":
                text = reasoning_in({"content": [item]})
                return ThinkingPart(text) if text else None
        unknown(self._losses, kind, "messages.content")
        return None

    def _file(self, item: Mapping[str, Any], path: str) -> MediaPart:
        place = f"{path}.file"
        source = as_object(item.get("file"), place)
        if source.get("file_id") is not None:
            fix = "send the bytes of the file as file_data"
            raise untranslatable(f"{place}.file_id", fix, "openai")
        name = source.get("filename")
        data = as_name(source.get("file_data"), f"{place}.file_data")
        if data.startswith("data:"):
            media = _from_url("file", data, f"{place}.file_data")
        elif data.startswith(("http://", "https://")):
            media = MediaPart("file", url=data)
        else:
            media = MediaPart("file", data=data)
        media.name = optional_text(name, f"{place}.filename")
        if not media.media_type and media.name.lower().endswith(".pdf"):
            media.media_type = "application/pdf"
        return media

    def _assistant(self, message: Mapping[str, Any], path: str) -> list[Part]:
        parts: list[Part] = []
        thought = reasoning_in({**message, "content": None})
        if thought:
            parts.append(ThinkingPart(thought))
        parts += self._content(message, path)
        refusal = message.get("refusal")
        if refusal:
            parts.append(TextPart(as_text(refusal, f"{path}.refusal")))
        calls = message.get("tool_calls")
        for call, place in as_objects(calls or [], f"{path}.tool_calls"):
            parts.append(self._call(call, place))
        function = message.get("function_call")
        if function is not None:
            place = f"{path}.function_call"
            called = self._function(as_object(function, place), place, self._next_id())
            self._functions[called.name] = called.id
            parts.append(called)
        return parts

    def _call(self, call: Mapping[str, Any], path: str) -> ToolCallPart:
        id = as_name(call.get("id"), f"{path}.id")
        if call.get("type") == "custom":
            custom = as_object(call.get("custom"), f"{path}.custom")
            given = as_text(custom.get("input"), f"{path}.custom.input")
            name = as_name(custom.get("name"), f"{path}.custom.name")
            return ToolCallPart(id, name, custom_arguments(given))
        function = as_object(call.get("function"), f"{path}.function")
        return self._function(function, f"{path}.function", id)

    def _function(self, function: Mapping[str, Any], path: str, id: str) -> ToolCallPart:
        arguments = function.get("arguments")
        return ToolCallPart(
            id,
            as_name(function.get("name"), f"{path}.name"),
            optional_text(arguments, f"{path}.arguments"),
        )


def _from_url(kind: Any, url: str, path: str) -> MediaPart:
    """Return the media at an address, or within it."""
    if url[:5].lower() != "data:":
        return MediaPart(kind, url=url)
    head, comma, data = url[5:].partition(",")
    media_type, _, coding = head.rpartition(";")
    if not comma or coding.strip().lower() != "base64" or not data:
        raise invalid(path, url, "give data as data:TYPE;base64,DATA")
    return MediaPart(kind, data=data, media_type=media_type.strip().lower())
