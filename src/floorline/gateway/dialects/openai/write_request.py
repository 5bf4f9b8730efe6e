"""Write a request of OpenAI's chat completions."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from floorline.gateway.dialects.call_ids import call_id, mistral_call_id
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
from floorline.gateway.dialects.model_limits import ChatLimits, chat_limits
from floorline.gateway.dialects.openai_limits import effort_for, sampling_fields
from floorline.gateway.dialects.tool_names import short_name
from floorline.gateway.dialects.tool_pairs import paired

_MAX_STOPS = 4
"""Texts that end an answer, of which OpenAI takes so many."""
_MAX_USER = 64
"""Characters of the longest name of a user that OpenAI takes."""
_FAILED = "Error: "
"""What the result of a tool that failed begins with, since there is no field that says so."""
_MEDIA_FOLLOWS = "(The media of this result are in the next message of the user.)"
_UNSIGNED = "skip_thought_signature_validator"
"""What Google's documentation says to send for a call whose signature is not known: other dialects
have no place for it. It stands at the first call of a turn."""
_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav"}
"""OpenAI's names of the formats whose MIME type has another name."""


def write_request(request: Conversation, model: str) -> dict[str, Any]:
    """Return the fields of a request; what it cannot say is added to ``request.losses``.

    Parameters
    ----------
    request
        The request.
    model
        The provider's name of the model, which also decides what the model takes.
    """
    limits = chat_limits(model)
    losses = request.losses
    messages = _Writer(losses, limits).turns(paired(request.turns, losses))
    fields: dict[str, Any] = {"model": model, "messages": messages}
    if request.tools:
        fields["tools"] = [_tool(tool) for tool in request.tools]
        kind, _, name = request.tool_choice.partition(":")
        if kind == "tool":
            called = {"name": short_name(name)}
            fields["tool_choice"] = {"type": "function", "function": called}
        elif kind:
            fields["tool_choice"] = kind
        if request.parallel_tools is not None:
            fields["parallel_tool_calls"] = request.parallel_tools
    _write_limits(request, fields, limits)
    if request.output is not None:
        fields["response_format"] = _form(request)
    if request.user:
        user = request.user
        if len(user) > _MAX_USER:
            user = sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
            lose(losses, "user")
        fields["user"] = user
    if request.cache_key:
        if limits.is_openai and len(request.cache_key) <= _MAX_USER:
            fields["prompt_cache_key"] = request.cache_key
        else:
            lose(losses, "cache_key")
    if any(tool.cached for tool in request.tools):
        lose(losses, "cached")
    if request.stream:
        fields["stream"] = True
    return fields


class _Writer:
    """Writes turns as messages."""

    def __init__(self, losses: list[str], limits: ChatLimits) -> None:
        self._losses = losses
        self._limits = limits
        self._messages: list[dict[str, Any]] = []
        # Media of results wait for the last result of their turn, because results come together.
        self._media: list[dict[str, Any]] = []
        self._keeps_thinking = False
        self._id = mistral_call_id if limits.has_short_ids else call_id

    def turns(self, turns: list[Turn]) -> list[dict[str, Any]]:
        """Return the messages."""
        question = _last_question(turns) if self._limits.wants_reasoning else len(turns)
        for position, turn in enumerate(turns):
            self._keeps_thinking = position > question
            if turn.role == "assistant":
                self._flush()
                self._assistant(turn)
            elif turn.role == "system":
                self._flush()
                texts = [part.text for part in self._texts(turn) if part.text]
                if texts:
                    # Several parts are one text there: many servers take no list.
                    self._add("system", "\n\n".join(texts))
            else:
                self._user(turn)
        self._flush()
        return self._messages

    def _add(self, role: str, content: Any, **more: Any) -> None:
        self._messages.append({"role": role, "content": content, **more})

    def _flush(self) -> None:
        if self._media:
            self._add("user", self._media)
            self._media = []

    def _texts(self, turn: Turn) -> list[TextPart]:
        """Return the texts of a turn that has nothing else, and lose what it has."""
        texts = []
        for part in turn.parts:
            if type(part) is TextPart:
                self._note_mark(part)
                texts.append(part)
            elif type(part) is MediaPart:
                lose(self._losses, "media")
        return texts

    def _note_mark(self, part: Any) -> None:
        if part.cached:
            lose(self._losses, "cached")

    def _assistant(self, turn: Turn) -> None:
        calls: list[dict[str, Any]] = []
        thoughts: list[str] = []
        for part in turn.parts:
            if type(part) is ToolCallPart:
                self._note_mark(part)
                function = {"name": short_name(part.name), "arguments": part.arguments or "{}"}
                calls.append({"id": self._id(part.id), "type": "function", "function": function})
            elif type(part) is ThinkingPart:
                if self._keeps_thinking and part.text:
                    thoughts.append(part.text)
                else:
                    lose(self._losses, "thinking")
        text = "".join(part.text for part in self._texts(turn))
        if not text and not calls:
            return
        more: dict[str, Any] = {}
        if thoughts:
            more["reasoning_content"] = "".join(thoughts)
        if calls:
            if self._limits.wants_signatures:
                calls[0]["extra_content"] = {"google": {"thought_signature": _UNSIGNED}}
            more["tool_calls"] = calls
        self._add("assistant", text or None, **more)

    def _user(self, turn: Turn) -> None:
        content: list[dict[str, Any]] = []
        for part in turn.parts:
            match part:
                case ToolResultPart():
                    self._result(part)
                case TextPart():
                    self._note_mark(part)
                    if part.text:
                        content.append({"type": "text", "text": part.text})
                case MediaPart():
                    block = self._medium(part)
                    if block is not None:
                        content.append(block)
        if not content:
            return
        self._flush()
        plain = len(content) == 1 and content[0]["type"] == "text"
        self._add("user", content[0]["text"] if plain else content)

    def _result(self, part: ToolResultPart) -> None:
        """Write the result of a tool: a text, and its media in the message after the results."""
        self._note_mark(part)
        texts, media = [], []
        for one in part.parts:
            self._note_mark(one)
            if type(one) is TextPart:
                texts.append(one.text)
            elif type(one) is MediaPart:
                block = self._medium(one)
                if block is not None:
                    media.append(block)
        text = "\n\n".join(texts)
        if part.failed and not text.lower().startswith("error"):
            text = _FAILED + text
        if media:
            head = {"type": "text", "text": f"Media of the result of the tool call {part.call}:"}
            self._media += [head, *media]
            text = text or _MEDIA_FOLLOWS
        self._messages.append(
            {"role": "tool", "tool_call_id": self._id(part.call), "content": text}
        )

    def _medium(self, part: MediaPart) -> dict[str, Any] | None:
        self._note_mark(part)
        url = part.url or f"data:{part.media_type};base64,{part.data}"
        kind = part.kind
        if kind == "file" and part.media_type.startswith("image/"):
            kind = "image"
        match kind:
            case "image":
                source = {"url": url}
                if part.detail:
                    source["detail"] = part.detail
                return {"type": "image_url", "image_url": source}
            case "video" if not self._limits.is_openai:
                return {"type": "video_url", "video_url": {"url": url}}
            case "audio" if part.data and part.media_type.startswith("audio/"):
                form = part.media_type.partition(";")[0].partition("/")[2]
                audio = {"data": part.data, "format": _AUDIO_FORMATS.get(form, form)}
                return {"type": "input_audio", "input_audio": audio}
            case "file" if part.data:
                if not part.media_type:
                    url = part.data
                file = {"filename": part.name or "document", "file_data": url}
                return {"type": "file", "file": file}
        # Recordings and files are taken only with their bytes.
        lose(self._losses, "media")
        return None


def _last_question(turns: list[Turn]) -> int:
    """Return the place of the last turn in which the user says something; -1 if there is none."""
    for position in range(len(turns) - 1, -1, -1):
        turn = turns[position]
        if turn.role == "user" and any(type(part) is not ToolResultPart for part in turn.parts):
            return position
    return -1


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": short_name(tool.name)}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _form(request: Conversation) -> dict[str, Any]:
    """Write the form of the answer."""
    output = request.output
    assert output is not None
    if output.schema is None:
        return {"type": "json_object"}
    about: dict[str, Any] = {"name": output.name, "schema": output.schema}
    if output.strict is not None:
        about["strict"] = output.strict
    return {"type": "json_schema", "json_schema": about}


def _write_limits(request: Conversation, fields: dict[str, Any], limits: ChatLimits) -> None:
    """Write the limit of the answer, how it is sampled and how much is thought."""
    losses = request.losses
    if request.max_output_tokens is not None:
        name = "max_completion_tokens" if limits.reasons else "max_tokens"
        fields[name] = request.max_output_tokens
    fields |= sampling_fields(request, limits)
    if request.stop:
        if limits.reasons:
            lose(losses, "stop")
        else:
            fields["stop"] = request.stop[:_MAX_STOPS]
            if len(request.stop) > _MAX_STOPS:
                lose(losses, "stop")
    effort = effort_for(request, limits.efforts)
    if effort:
        fields["reasoning_effort"] = effort
