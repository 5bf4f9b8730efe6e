"""Read the ``input`` of a request into the turns of a conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from floorline.gateway.dialects.conversation import (
    MediaPart,
    Part,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from floorline.gateway.dialects.custom_tools import custom_arguments
from floorline.gateway.dialects.fields import (
    as_list,
    as_name,
    as_object,
    as_text,
    invalid,
    optional_text,
    untranslatable,
)
from floorline.gateway.dialects.json_texts import encode
from floorline.gateway.dialects.losses import READ, lose, unknown
from floorline.gateway.dialects.responses.reasoning import read_item, unpack_proof
from floorline.gateway.dialects.responses.tools import function_name

_ROLES: dict[Any, Literal["system", "user", "assistant"]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}
_AUDIO = {"mp3": "audio/mpeg", "wav": "audio/wav"}
_WHOLE = "send the items themselves, as with store: false"

_Item = Mapping[str, Any]


class InputReader:
    """Reads items one by one; ``turns`` has what they say.

    Parameters
    ----------
    losses
        Names of what is left out; the reader adds to them.

    Attributes
    ----------
    turns
        The turns so far.
    more_tools
        Tools that the items add to those of the request.
    settings
        Values of ``reasoning`` and ``text`` that items set in place of the request's.
    """

    def __init__(self, losses: list[str]) -> None:
        self.turns: list[Turn] = []
        self.more_tools: list[Any] = []
        self.settings: dict[str, dict[str, Any]] = {}
        self._losses = losses
        self._calls: set[str] = set()
        self._readers: dict[str, Callable[[_Item, str], None]] = {
            "message": self._message,
            "reasoning": self._reasoning,
            "function_call": self._function_call,
            "function_call_output": self._output,
            "custom_tool_call": self._custom_call,
            "custom_tool_call_output": self._output,
            "local_shell_call": self._local_shell_call,
            "local_shell_call_output": self._output,
            "shell_call": self._shell_call,
            "shell_call_output": self._shell_output,
            "apply_patch_call": self._patch_call,
            "apply_patch_call_output": self._patch_output,
            "item_reference": self._reference,
            "compaction": self._compaction,
            "compaction_trigger": self._compaction,
            "additional_tools": self._additional_tools,
            "configuration_update": self._configuration_update,
        }

    def read(self, value: Any) -> None:
        """Read the whole ``input``: a text or an array of items."""
        if isinstance(value, str):
            self.turns.append(Turn("user", [TextPart(value)]))
            return
        for number, one in enumerate(as_list(value, "input", "give a text or an array of items")):
            at = f"input[{number}]"
            item = as_object(one, at, "give an object with a type")
            kind = item.get("type")
            if kind is None:
                kind = "item_reference" if "role" not in item and "id" in item else "message"
            read = self._readers.get(as_name(kind, f"{at}.type", "give the type of the item"))
            if read is not None:
                read(item, at)
            elif f"input.{kind}" in READ["responses"]:
                lose(self._losses, f"input.{kind}")
            else:
                unknown(self._losses, kind, "input")

    def _add(self, part: Part, role: Literal["user", "assistant"]) -> None:
        """Add a part to the turn that has begun, if it goes on: one of tool results or the model's.

        Providers want all results of parallel calls in the turn after the calls.
        """
        last = self.turns[-1] if self.turns else None
        # A turn of the user that begins with a result has nothing else.
        if last is None or last.role != role:
            self.turns.append(Turn(role, [part]))
        elif role == "assistant" or isinstance(last.parts[0], ToolResultPart):
            last.parts.append(part)
        else:
            self.turns.append(Turn(role, [part]))

    def _message(self, item: _Item, at: str) -> None:
        role = item.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise invalid(f"{at}.role", role, "give user, assistant, system or developer")
        speaker = _ROLES[role]
        if item.get("phase") is not None:
            lose(self._losses, "input.phase")
        content = item.get("content")
        if content is None and speaker == "assistant":
            return
        parts = self._content(content, f"{at}.content")
        if speaker == "assistant":
            for part in parts:
                self._add(part, "assistant")
        elif parts:
            self.turns.append(Turn(speaker, list(parts)))

    def _content(self, content: Any, at: str) -> list[TextPart | MediaPart]:
        if isinstance(content, str):
            return [TextPart(content)]
        parts: list[TextPart | MediaPart] = []
        for number, one in enumerate(as_list(content, at, "give a text or an array of parts")):
            place = f"{at}[{number}]"
            part = as_object(one, place, "give an object with a type")
            kind = as_name(part.get("type"), f"{place}.type", "give the type of the part")
            cached = part.get("prompt_cache_breakpoint") is not None
            if kind in ("input_text", "output_text", "text"):
                if part.get("annotations"):
                    lose(self._losses, "input.content.annotations")
                parts.append(TextPart(as_text(part.get("text"), f"{place}.text"), cached))
            elif kind == "refusal":
                parts.append(TextPart(as_text(part.get("refusal"), f"{place}.refusal")))
            elif kind == "input_image":
                parts.append(_image(part, place, cached))
            elif kind == "input_file":
                parts.append(_file(part, place, cached))
            elif kind == "input_audio":
                parts.append(_audio(part, place))
            else:
                unknown(self._losses, kind, "input.content")
        return parts

    def _reasoning(self, item: _Item, at: str) -> None:
        part = read_item(item)
        if part.encrypted and not _is_ours(item):
            # OpenAI's own, or that of another provider which speaks Responses.
            lose(self._losses, "input.reasoning.encrypted_content")
            part.encrypted = ""
        if part.text or part.signature or part.encrypted:
            self._add(part, "assistant")

    def _call(self, item: _Item, at: str, name: str, arguments: str) -> None:
        call = as_name(item.get("call_id"), f"{at}.call_id")
        self._calls.add(call)
        self._add(ToolCallPart(call, name, arguments), "assistant")

    def _function_call(self, item: _Item, at: str) -> None:
        arguments = as_text(item.get("arguments"), f"{at}.arguments", "give the JSON as a text")
        self._call(item, at, _tool_name(item, at), arguments)

    def _custom_call(self, item: _Item, at: str) -> None:
        text = as_text(item.get("input"), f"{at}.input")
        self._call(item, at, _tool_name(item, at), custom_arguments(text))

    def _local_shell_call(self, item: _Item, at: str) -> None:
        action = dict(as_object(item.get("action"), f"{at}.action", "give the command"))
        action.pop("type", None)
        self._call(item, at, "local_shell", _arguments(action))

    def _shell_call(self, item: _Item, at: str) -> None:
        action = as_object(item.get("action"), f"{at}.action", "give the commands")
        self._call(item, at, "shell", _arguments(action))

    def _patch_call(self, item: _Item, at: str) -> None:
        operation = as_object(item.get("operation"), f"{at}.operation", "give the operation")
        self._call(item, at, "apply_patch", _arguments(operation))

    def _result(
        self, item: _Item, at: str, parts: list[TextPart | MediaPart], failed: bool = False
    ) -> None:
        # The output of a local shell has the call's id as its own.
        local = item.get("type") == "local_shell_call_output" and "call_id" not in item
        field = "id" if local else "call_id"
        given = item.get(field)
        if given is None and isinstance(item.get("name"), str):
            # What a tool says that no model has called.
            self.turns.append(Turn("user", [TextPart(f"Output of {item['name']}:"), *parts]))
            return
        call = as_name(given, f"{at}.{field}")
        if call not in self._calls:
            raise invalid(f"{at}.{field}", call, "send the call that it answers before it")
        self._add(ToolResultPart(call, parts, failed), "user")

    def _output(self, item: _Item, at: str) -> None:
        self._result(item, at, self._content(item.get("output"), f"{at}.output"))

    def _shell_output(self, item: _Item, at: str) -> None:
        output = as_list(item.get("output"), f"{at}.output", "give an array of outputs")
        self._result(item, at, [TextPart(encode(output).decode())])

    def _patch_output(self, item: _Item, at: str) -> None:
        text = optional_text(item.get("output"), f"{at}.output")
        failed = item.get("status") == "failed"
        self._result(item, at, [TextPart(text)] if text else [], failed)

    def _reference(self, item: _Item, at: str) -> None:
        raise untranslatable(at, _WHOLE, "Responses")

    def _compaction(self, item: _Item, at: str) -> None:
        raise untranslatable(at, "only OpenAI can read it; send the turns themselves", "Responses")

    def _configuration_update(self, item: _Item, at: str) -> None:
        for name in ("reasoning", "text"):
            given = item.get(name)
            if given is not None:
                changed = as_object(given, f"{at}.{name}", "give the settings that change")
                self.settings[name] = {**self.settings.get(name, {}), **changed}

    def _additional_tools(self, item: _Item, at: str) -> None:
        self.more_tools += as_list(item.get("tools"), f"{at}.tools", "give an array of tools")


def _is_ours(item: _Item) -> bool:
    content = item.get("encrypted_content")
    return isinstance(content, str) and unpack_proof(content) is not None


def _tool_name(item: _Item, at: str) -> str:
    namespace = optional_text(item.get("namespace"), f"{at}.namespace")
    return function_name(as_name(item.get("name"), f"{at}.name"), namespace)


def _arguments(value: _Item) -> str:
    return encode({k: v for k, v in value.items() if v is not None}).decode()


def _image(part: _Item, at: str, cached: bool) -> MediaPart:
    url = optional_text(part.get("image_url"), f"{at}.image_url", "give the image's URL as a text")
    if not url:
        if part.get("file_id") is not None:
            raise untranslatable(f"{at}.file_id", "send the image as a data URL", "Responses")
        raise invalid(f"{at}.image_url", part.get("image_url"), "give a URL or a data URL")
    detail = optional_text(part.get("detail"), f"{at}.detail")
    media_type, data = split_data_url(url)
    return MediaPart(
        "image",
        "" if data else url,
        data,
        media_type,
        detail="" if detail == "auto" else detail,
        cached=cached,
    )


def _file(part: _Item, at: str, cached: bool) -> MediaPart:
    name = optional_text(part.get("filename"), f"{at}.filename")
    url = optional_text(part.get("file_url"), f"{at}.file_url")
    content = optional_text(part.get("file_data"), f"{at}.file_data")
    if content:
        media_type, data = split_data_url(content)
        return MediaPart("file", data=data or content, media_type=media_type, name=name)
    if url:
        return MediaPart("file", url, name=name, cached=cached)
    if part.get("file_id") is not None:
        raise untranslatable(f"{at}.file_id", "send the file as file_data", "Responses")
    raise invalid(f"{at}.file_data", None, "give the file as a data URL, or its file_url")


def _audio(part: _Item, at: str) -> MediaPart:
    audio = as_object(part.get("input_audio"), f"{at}.input_audio", "give data and format")
    data = as_name(audio.get("data"), f"{at}.input_audio.data", "give the bytes in base64")
    form = as_name(audio.get("format"), f"{at}.input_audio.format", "give mp3 or wav")
    return MediaPart("audio", data=data, media_type=_AUDIO.get(form, f"audio/{form}"))


def split_data_url(url: str) -> tuple[str, str]:
    """Return the MIME type and the base64 text of a data URL; two empty texts if it is none.

    Examples
    --------
    >>> split_data_url("data:image/png;base64,iVBORw0="), split_data_url("https://a/b.png")
    (('image/png', 'iVBORw0='), ('', ''))
    """
    if url[:5].lower() != "data:":
        return "", ""
    head, comma, data = url[5:].partition(",")
    media_type, _, coding = head.partition(";")
    if not comma or coding.rpartition(";")[2].strip().lower() != "base64":
        return "", ""
    return media_type.strip().lower(), data
