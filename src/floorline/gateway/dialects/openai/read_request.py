"""Read a request of OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from floorline.gateway.dialects.conversation import (
    Conversation,
    MediaPart,
    OutputSchema,
    Part,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from floorline.gateway.dialects.custom_tools import (
    CUSTOM_PARAMETERS,
    CUSTOM_TOOLS,
    custom_arguments,
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
from floorline.gateway.dialects.losses import lose, unknown
from floorline.gateway.dialects.openai.reasoning import reasoning_in

_READ = frozenset(
    {
        "floorline",
        "function_call",
        "functions",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "model",
        "n",
        "parallel_tool_calls",
        "prompt_cache_key",
        "reasoning",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_p",
        "user",
    }
)
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
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_AUDIO_TYPES = {"mp3": "audio/mpeg"}
"""MIME types of formats whose name is not that of their type."""


def read_request(fields: Mapping[str, Any]) -> Conversation:
    """Read the fields of a request.

    Raises
    ------
    ApiError
        400 that names the field which is malformed, or which no other provider can serve.
    """
    request = Conversation(turns=[])
    for one in fields:
        if one not in _READ and fields[one] is not None:
            unknown(request.losses, one)
    read = _Reader(request.losses)
    messages = fields.get("messages")
    for message, path in as_objects(messages, "messages"):
        read.message(message, path)
    request.turns = read.turns
    request.stream = fields.get("stream") is True
    options = fields.get("stream_options")
    if options is not None:
        request.echo = {"stream_options": options}
    number = fields.get("n")
    if number not in (None, 1):
        raise untranslatable("n", "ask for one answer", "openai")
    _read_limits(fields, request)
    _read_output(fields, request)
    _read_tools(fields, request)
    for one in ("safety_identifier", "user"):
        value = fields.get(one)
        if value is not None and not request.user:
            request.user = as_text(value, one)
    key = fields.get("prompt_cache_key")
    if key is not None:
        request.cache_key = as_text(key, "prompt_cache_key")
    return request


class _Reader:
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


def _read_limits(fields: Mapping[str, Any], request: Conversation) -> None:
    """Read the limit of the answer, how it is sampled and how much is thought."""
    for one in ("max_completion_tokens", "max_tokens"):
        if request.max_output_tokens is None:
            request.max_output_tokens = optional_count(fields.get(one), one)
    request.temperature = optional_number(fields.get("temperature"), "temperature", 0, 2)
    request.top_p = optional_number(fields.get("top_p"), "top_p", 0, 1)
    stop = fields.get("stop")
    if type(stop) is str:
        request.stop = [stop]
    elif stop is not None:
        request.stop = [
            as_text(item, f"stop[{position}]")
            for position, item in enumerate(as_list(stop, "stop"))
        ]
    effort, path = fields.get("reasoning_effort"), "reasoning_effort"
    reasoning = fields.get("reasoning")
    if type(reasoning) is dict:
        # OpenRouter's field, which has either of the two.
        if effort is None:
            effort, path = reasoning.get("effort"), "reasoning.effort"
        tokens = reasoning.get("max_tokens")
        request.thinking_tokens = optional_count(tokens, "reasoning.max_tokens")
        if reasoning.get("enabled") is False and effort is None:
            effort = "none"
    if effort is not None:
        if effort not in _EFFORTS:
            fix = f"give {', '.join(_EFFORTS[:-1])} or {_EFFORTS[-1]}"
            raise invalid(path, effort, fix)
        request.effort = effort


def _read_output(fields: Mapping[str, Any], request: Conversation) -> None:
    """Read the form of the answer."""
    form = fields.get("response_format")
    if form is None:
        return
    kind = as_object(form, "response_format").get("type")
    if kind == "json_object":
        request.output = OutputSchema()
    elif kind == "json_schema":
        path = "response_format.json_schema"
        about = as_object(form.get("json_schema"), path)
        name, strict = about.get("name"), about.get("strict")
        if about.get("description"):
            lose(request.losses, "response_format.json_schema.description")
        schema = about.get("schema")
        request.output = OutputSchema(
            {} if schema is None else as_object(schema, f"{path}.schema"),
            "answer" if name is None else as_name(name, f"{path}.name"),
            optional_flag(strict, f"{path}.strict"),
        )
    elif kind != "text":
        fix = "give text, json_object or json_schema"
        raise invalid("response_format.type", kind, fix)


def _read_tools(fields: Mapping[str, Any], request: Conversation) -> None:
    """Read the tools, and which of them the model may or must call."""
    tools = fields.get("tools")
    custom: list[str] = []
    for tool, path in as_objects([] if tools is None else tools, "tools"):
        kind = as_name(tool.get("type"), f"{path}.type")
        cached = type(tool.get("cache_control")) is dict
        if kind == "function":
            about = as_object(tool.get("function"), f"{path}.function")
            request.tools.append(_function(about, f"{path}.function", cached=cached))
        elif kind == "custom":
            about = as_object(tool.get("custom"), f"{path}.custom")
            name = as_name(about.get("name"), f"{path}.custom.name")
            description = about.get("description") or ""
            form = about.get("format")
            if type(form) is dict and form.get("type") == "grammar":
                lose(request.losses, "tools.custom.format")
            request.tools.append(
                Tool(
                    name,
                    as_text(description, f"{path}.custom.description"),
                    CUSTOM_PARAMETERS,
                    cached=cached,
                )
            )
            custom.append(name)
        else:
            unknown(request.losses, kind, "tools")
    if custom:
        request.echo = {**request.echo, CUSTOM_TOOLS: custom}
    functions = fields.get("functions")
    for about, path in as_objects([] if functions is None else functions, "functions"):
        request.tools.append(_function(about, path, cached=False))
    request.parallel_tools = optional_flag(fields.get("parallel_tool_calls"), "parallel_tool_calls")
    choice, path = fields.get("tool_choice"), "tool_choice"
    if choice is None:
        choice, path = fields.get("function_call"), "function_call"
        if type(choice) is dict:
            choice = {"type": "function", "function": choice}
    if choice is not None:
        _read_choice(choice, path, request)


def _function(about: Mapping[str, Any], path: str, *, cached: bool) -> Tool:
    description, strict = about.get("description"), about.get("strict")
    parameters = about.get("parameters")
    return Tool(
        as_name(about.get("name"), f"{path}.name"),
        optional_text(description, f"{path}.description"),
        None if parameters is None else as_object(parameters, f"{path}.parameters"),
        optional_flag(strict, f"{path}.strict"),
        cached=cached,
    )


def _read_choice(choice: Any, path: str, request: Conversation) -> None:
    if choice in ("none", "auto", "required"):
        request.tool_choice = choice
        return
    kind = as_object(choice, path).get("type")
    match kind:
        case "function" | "custom":
            about = as_object(choice.get(kind), f"{path}.{kind}")
            name = as_name(about.get("name"), f"{path}.{kind}.name")
            request.tool_choice = f"tool:{name}"
        case "allowed_tools":
            # The others are left out, so that the model cannot call them.
            place = f"{path}.{kind}"
            about = as_object(choice.get(kind), place)
            mode = about.get("mode")
            if mode not in ("auto", "required"):
                raise invalid(f"{place}.mode", mode, "give auto or required")
            allowed = set()
            for tool, tool_path in as_objects(about.get("tools"), f"{place}.tools"):
                inner = tool.get(str(tool.get("type")))
                held = inner if type(inner) is dict else tool
                allowed.add(as_name(held.get("name"), f"{tool_path}.name"))
            request.tools = [tool for tool in request.tools if tool.name in allowed]
            request.tool_choice = mode
        case _:
            fix = "give none, auto, required or the function to call"
            raise invalid(path, choice, fix)
