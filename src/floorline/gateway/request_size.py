"""The size of a request and what a model must be able to do to serve it, from its whole body.

One count feeds the choice of the model, the expected cost, the reservation and the check of the
provider's count. It is made of the fields of a body in any dialect that has messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from floorline.encoders.prompt_size import measure_messages, tokens_in
from floorline.gateway.lenient_json import read_value

_TEXT_FIELDS = frozenset(
    {
        "documents",
        "function_call",
        "functions",
        "grammar",
        "guided_grammar",
        "guided_json",
        "json_schema",
        "output_config",
        "output_format",
        "response_format",
        "structured_outputs",
        "text",
        "tool_choice",
        "toolConfig",
        "tool_config",
        "tools",
    }
)
"""Fields beside the messages that providers write into the prompt, as the JSON that arrived."""
_PROMPT_FIELDS = frozenset({"instructions", "system", "system_instruction", "systemInstruction"})
"""Fields that are like messages."""
_FORMAT_FIELDS = frozenset({"output_config", "output_format", "response_format", "text"})
_TOOL_FIELDS = frozenset({"functions", "toolConfig", "tool_config", "tools"})
_MEASURED = _TEXT_FIELDS | _PROMPT_FIELDS | {"modalities"}


class RequestSize(NamedTuple):
    """Size and needs of a request.

    Attributes
    ----------
    input_tokens : int
        Estimated tokens of the prompt: a quarter of its characters, and those of its media.
    largest_input : int
        Most tokens of the prompt: one for each byte that is no data of media, and those that are
        reserved for the media.
    certain_tokens : int
        Part of ``input_tokens`` that every provider counts: the texts of the messages. Some
        providers ignore tools, names and earlier reasoning.
    media : int
        Number of images, recordings, videos and files.
    needs : frozenset of str
        Capabilities that a model must have.
    prefers : frozenset of str
        Capabilities that a model should have if there is one.
    images : int
        Number of images.
    """

    input_tokens: int
    largest_input: int
    certain_tokens: int
    media: int
    needs: frozenset[str]
    prefers: frozenset[str]
    images: int = 0


class _Format(msgspec.Struct):
    type: Any = None
    format: Any = None


_format = msgspec.json.Decoder(_Format)
_NOTHING: frozenset[str] = frozenset()
_TOOLS = frozenset({"tools"})
_JSON = frozenset({"json"})
_AUDIO = frozenset({"audio"})


def measure_request(
    fields: Mapping[str, msgspec.Raw], messages: list[Any], size: int
) -> RequestSize:
    """Measure a request.

    Parameters
    ----------
    fields
        Fields of the body as they arrived. Tools and schemas count by their bytes, undecoded.
    messages
        The decoded messages, or the items of a prompt in another shape.
    size
        Bytes of the body.

    Examples
    --------
    >>> fields = {"tools": msgspec.Raw(b'[{"type":"function","function":{"name":"f"}}]')}
    >>> found = measure_request(fields, [{"role": "user", "content": "Why?"}], size=120)
    >>> found.input_tokens, found.largest_input, found.certain_tokens, sorted(found.needs)
    (13, 120, 1, ['tools'])
    """
    characters, needs = 0, _NOTHING
    for name, raw in fields.items():
        if name not in _MEASURED:
            continue
        if name in _PROMPT_FIELDS:
            messages = [*messages, {"role": "system", "content": _decoded(raw)}]
            continue
        if name == "modalities":
            needs |= _AUDIO if b'"audio"' in bytes(raw) else _NOTHING
            continue
        characters += len(raw)
        if name in _TOOL_FIELDS and _is_filled(raw):
            needs |= _TOOLS
        elif name in _FORMAT_FIELDS and _asks_for_json(raw):
            needs |= _JSON
    found = measure_messages(messages)
    return RequestSize(
        tokens_in(characters + found.characters) + found.media_tokens,
        max(0, size - found.media_characters) + found.largest_media_tokens,
        tokens_in(found.message_characters),
        found.media,
        needs | found.needs,
        _TOOLS if found.calls_tools else _NOTHING,
        found.images,
    )


def _is_filled(raw: msgspec.Raw) -> bool:
    """Whether a field is a list or an object that is not empty."""
    start = bytes(memoryview(raw)[:64])
    return start[:1] in (b"[", b"{") and b"".join(start.split()) not in (b"[]", b"{}")


def _asks_for_json(raw: msgspec.Raw) -> bool:
    """Whether a field is the format of an answer that is no free text."""
    try:
        found = _format.decode(raw)
        # OpenAI's responses have the format in a field of ``text``, Anthropic of output_config.
        kind = found.type or msgspec.convert(found.format, _Format).type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(kind, str) and kind != "text"


def _decoded(raw: msgspec.Raw) -> Any:
    try:
        return read_value(raw)
    except ValueError:
        return None
