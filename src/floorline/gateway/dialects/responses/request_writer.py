"""Write a request for a provider that speaks Responses."""

from __future__ import annotations

import hashlib
from typing import Any

from floorline.gateway.dialects.conversation import (
    Conversation,
    MediaPart,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from floorline.gateway.dialects.losses import lose
from floorline.gateway.dialects.model_limits import chat_limits
from floorline.gateway.dialects.openai_limits import effort_for, sampling_fields
from floorline.gateway.dialects.tool_names import short_name
from floorline.gateway.dialects.tool_pairs import paired

_MIN_OUTPUT_TOKENS = 16
"""Least ``max_output_tokens`` that OpenAI takes."""
_MAX_ID = 64
"""Characters of the longest id that OpenAI takes: of calls, of users and of cached prompts."""
_COMMON_EFFORTS = ("low", "medium", "high")
"""Efforts that every reasoning model takes; for models whose names are not known."""
_FAILED = "Error: "
"""What the result of a tool that failed begins with, since there is no field that says so."""
_AUDIO = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/x-wav": "wav", "audio/wave": "wav"}
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


def write_request(request: Conversation, model: str) -> dict[str, Any]:
    """Write a request; see ``Dialect.write_request``.

    Examples
    --------
    >>> turns = [Turn("user", [TextPart("Why?")])]
    >>> fields = write_request(Conversation(turns, max_output_tokens=5), "gpt-5")
    >>> fields["max_output_tokens"], fields["input"][0]["content"]
    (16, [{'type': 'input_text', 'text': 'Why?'}])
    """
    losses = request.losses
    fields: dict[str, Any] = {
        "model": model,
        "input": [item for turn in paired(request.turns, losses) for item in _items(turn, losses)],
        # As with chat completions and messages: the provider keeps nothing for later requests.
        "store": False,
    }
    if request.stream:
        fields["stream"] = True
    if request.tools:
        fields["tools"] = [_tool(tool, losses) for tool in request.tools]
        kind, _, name = request.tool_choice.partition(":")
        if name:
            fields["tool_choice"] = {"type": "function", "name": short_name(name)}
        elif kind:
            fields["tool_choice"] = kind
        if request.parallel_tools is not None:
            fields["parallel_tool_calls"] = request.parallel_tools
    if request.max_output_tokens is not None:
        fields["max_output_tokens"] = max(request.max_output_tokens, _MIN_OUTPUT_TOKENS)
        if request.max_output_tokens < _MIN_OUTPUT_TOKENS:
            lose(losses, "max_output_tokens")
    limits = chat_limits(model)
    fields |= sampling_fields(request, limits)
    if request.stop:
        lose(losses, "stop")
    known = limits.is_openai or limits.efforts
    effort = effort_for(request, limits.efforts if known else _COMMON_EFFORTS)
    if effort and (known or request.effort != "none"):
        fields["reasoning"] = {"effort": effort}
    if request.output is not None:
        fields["text"] = {"format": _format(request)}
    if request.user:
        # The newer name is one of OpenAI's own models.
        fields["safety_identifier" if limits.is_openai else "user"] = _short(request.user)
        if len(request.user) > _MAX_ID:
            lose(losses, "user")
    if request.cache_key:
        fields["prompt_cache_key"] = _short(request.cache_key)
    return fields


def _items(turn: Turn, losses: list[str]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    content: list[dict[str, Any]] = []

    def message() -> None:
        if content:
            items.append({"type": "message", "role": turn.role, "content": list(content)})
            content.clear()

    said = "output_text" if turn.role == "assistant" else "input_text"
    for part in turn.parts:
        if not isinstance(part, ThinkingPart) and part.cached:
            lose(losses, "cached")
        if isinstance(part, TextPart):
            content.append({"type": said, "text": part.text})
        elif isinstance(part, MediaPart):
            written = None if turn.role == "assistant" else _media(part)
            if written is None:
                lose(losses, "media")
            else:
                content.append(written)
        elif isinstance(part, ThinkingPart):
            # OpenAI takes back only reasoning that it has encrypted itself.
            lose(losses, "thinking")
        else:
            message()
            items.append(_call(part) if isinstance(part, ToolCallPart) else _result(part, losses))
    message()
    return items


def _call(part: ToolCallPart) -> dict[str, Any]:
    return {
        "type": "function_call",
        "call_id": _short(part.id),
        "name": short_name(part.name),
        # Providers parse the arguments as JSON, and some write none for no arguments.
        "arguments": part.arguments or "{}",
    }


def _result(part: ToolResultPart, losses: list[str]) -> dict[str, Any]:
    output: list[dict[str, Any]] = []
    for one in part.parts:
        if one.cached:
            lose(losses, "cached")
        written = (
            {"type": "input_text", "text": one.text} if isinstance(one, TextPart) else _media(one)
        )
        if written is None or written["type"] == "input_audio":
            lose(losses, "media")
        else:
            output.append(written)
    if part.failed and not (output and output[0].get("text", "").lower().startswith("error")):
        output.insert(0, {"type": "input_text", "text": _FAILED})
    if all(one["type"] == "input_text" for one in output) and len(output) <= 1:
        # The form that every server of the dialect takes.
        return _output(part.call, output[0]["text"] if output else "")
    return _output(part.call, output)


def _output(call: str, output: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": _short(call), "output": output}


def _media(part: MediaPart) -> dict[str, Any] | None:
    """Return the part of a message; None if the dialect has none for it."""
    if part.kind == "image":
        url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
        return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
    if part.kind == "audio" and part.data:
        form = _AUDIO.get(part.media_type) or part.media_type.rpartition("/")[2] or "wav"
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": form}}
    if part.kind != "file":
        return None
    file: dict[str, Any] = {"type": "input_file"}
    if part.name or part.data:
        file["filename"] = part.name or "file"
    if part.data:
        media_type = part.media_type or "application/pdf"
        return {**file, "file_data": f"data:{media_type};base64,{part.data}"}
    return {**file, "file_url": part.url}


def _tool(tool: Tool, losses: list[str]) -> dict[str, Any]:
    if tool.cached:
        lose(losses, "cached")
    function: dict[str, Any] = {
        "type": "function",
        "name": short_name(tool.name),
        "parameters": tool.parameters if tool.parameters is not None else _NO_PARAMETERS,
        # Without it, OpenAI makes schemas strict where it can, as no other dialect does.
        "strict": bool(tool.strict),
    }
    if tool.description:
        function["description"] = tool.description
    return function


def _format(request: Conversation) -> dict[str, Any]:
    output = request.output
    assert output is not None
    if output.schema is None:
        return {"type": "json_object"}
    form = {"type": "json_schema", "name": output.name, "schema": output.schema}
    return form if output.strict is None else {**form, "strict": output.strict}


def _short(text: str) -> str:
    """Return a text that OpenAI takes as an id: its SHA-256, as 64 digits, if it is longer."""
    if len(text) <= _MAX_ID:
        return text
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
