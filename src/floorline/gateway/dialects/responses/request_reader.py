"""Read a request of the Responses dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from floorline.gateway.dialects.conversation import Conversation, OutputSchema, TextPart, Turn
from floorline.gateway.dialects.fields import (
    as_list,
    as_name,
    as_object,
    invalid,
    optional_count,
    optional_flag,
    optional_number,
    optional_text,
    untranslatable,
)
from floorline.gateway.dialects.losses import lose, unknown
from floorline.gateway.dialects.responses.input_items import InputReader
from floorline.gateway.dialects.responses.tools import read_choice, read_tools

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

_DIRECT = "name a model of a provider that speaks Responses"
_UNTRANSLATABLE = {
    "previous_response_id": f"{_DIRECT}, or send all turns in input",
    "conversation": f"{_DIRECT}, or send all turns in input",
    "prompt": f"{_DIRECT}, or send the text of the prompt in instructions",
    "background": f"{_DIRECT}, or leave it out",
}
"""Fields that no other dialect has and that change what is asked."""
_READ = frozenset(
    {
        "floorline",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "model",
        "parallel_tool_calls",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "stream",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_p",
        "user",
    }
)
_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "store": (False,),
    "service_tier": ("auto", "default"),
    "truncation": ("disabled",),
    "metadata": ({},),
    "top_logprobs": (0,),
    "stream_options": ({}, {"include_obfuscation": False}),
    "context_management": ([],),
}
"""Values, besides null, with which a field asks for nothing that a translation leaves out."""
_LOST = frozenset(
    {
        *_DEFAULTS,
        "client_metadata",
        "max_tool_calls",
        "moderation",
        "prompt_cache_options",
        "prompt_cache_retention",
    }
)
_ECHO = (
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
)
"""Fields that an answer repeats."""
MORE_TOOLS = "input.additional_tools"
"""Name in ``echo`` of the tools that items of the input add."""


def read_request(fields: Mapping[str, Any]) -> Conversation:
    """Read a request; see ``Dialect.read_request``.

    Examples
    --------
    >>> read_request({"model": "floorline/gold", "input": "Why?", "max_tool_calls": 3}).losses
    ['max_tool_calls']
    """
    losses: list[str] = []
    for name, fix in _UNTRANSLATABLE.items():
        if fields.get(name) not in (None, False):
            raise untranslatable(name, fix, "Responses")
    for name, value in fields.items():
        if value is None or name in _READ or name in _UNTRANSLATABLE:
            continue
        if name not in _LOST:
            unknown(losses, name)
        elif value not in _DEFAULTS.get(name, ()):
            lose(losses, name)
    reader = InputReader(losses)
    instructions = optional_text(fields.get("instructions"), "instructions")
    if instructions:
        reader.turns.append(Turn("system", [TextPart(instructions)]))
    if fields.get("input") is not None or not instructions:
        reader.read(fields.get("input"))
    tools = read_tools(fields.get("tools"), "tools", losses)
    tools += read_tools(reader.more_tools, MORE_TOOLS, losses)
    choice, tools = read_choice(fields.get("tool_choice"), tools)
    effort = _read_reasoning(_updated("reasoning", fields, reader), losses)
    _read_include(fields.get("include"), losses)
    echo = {name: fields[name] for name in _ECHO if fields.get(name) is not None}
    if reader.more_tools:
        echo[MORE_TOOLS] = reader.more_tools
    user = fields.get("safety_identifier")
    return Conversation(
        turns=reader.turns,
        stream=bool(optional_flag(fields.get("stream"), "stream")),
        tools=tools,
        tool_choice=choice,
        parallel_tools=optional_flag(fields.get("parallel_tool_calls"), "parallel_tool_calls"),
        max_output_tokens=optional_count(fields.get("max_output_tokens"), "max_output_tokens"),
        temperature=optional_number(fields.get("temperature"), "temperature", 0, 2),
        top_p=optional_number(fields.get("top_p"), "top_p", 0, 1),
        effort=effort,
        output=_read_text(_updated("text", fields, reader), losses),
        user=optional_text(user, "safety_identifier") or optional_text(fields.get("user"), "user"),
        cache_key=optional_text(fields.get("prompt_cache_key"), "prompt_cache_key"),
        losses=losses,
        echo=echo,
    )


def _updated(name: str, fields: Mapping[str, Any], reader: InputReader) -> Any:
    """Return a field with what items of the input change of it."""
    given, changed = fields.get(name), reader.settings.get(name)
    if changed is None or not (given is None or isinstance(given, Mapping)):
        return given
    return {**(given or {}), **changed}


def _read_reasoning(value: Any, losses: list[str]) -> str:
    if value is None:
        return ""
    reasoning = as_object(value, "reasoning", "give an object, such as one with effort")
    effort = reasoning.get("effort")
    if effort is not None and not (isinstance(effort, str) and effort in _EFFORTS):
        raise invalid("reasoning.effort", effort, f"give one of {', '.join(_EFFORTS)}")
    for name, given in reasoning.items():
        if given is None or name == "effort":
            continue
        if name in ("summary", "generate_summary"):
            if given != "auto":
                lose(losses, "reasoning.summary")
        elif name not in ("context", "mode"):
            unknown(losses, name, "reasoning")
        elif (name, given) not in (("context", "auto"), ("mode", "standard")):
            lose(losses, f"reasoning.{name}")
    return effort or ""


def _read_include(value: Any, losses: list[str]) -> None:
    if value is not None:
        names = as_list(value, "include", "give an array of names")
        if any(name != "reasoning.encrypted_content" for name in names):
            lose(losses, "include")


def _read_text(value: Any, losses: list[str]) -> OutputSchema | None:
    if value is None:
        return None
    text = as_object(value, "text", "give an object, such as one with format")
    for name, given in text.items():
        if name == "verbosity":
            if given not in (None, "medium"):
                lose(losses, "text.verbosity")
        elif name != "format" and given is not None:
            unknown(losses, name, "text")
    form = text.get("format")
    if form is None:
        return None
    form = as_object(form, "text.format", 'give an object, such as {"type": "text"}')
    kind = form.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputSchema()
    if kind != "json_schema":
        fix = "give text, json_object or json_schema"
        raise invalid("text.format.type", kind, fix)
    if form.get("description"):
        lose(losses, "text.format.description")
    return OutputSchema(
        as_object(form.get("schema"), "text.format.schema", "give a JSON schema"),
        as_name(form.get("name"), "text.format.name", "give the schema a name"),
        optional_flag(form.get("strict"), "text.format.strict"),
    )
