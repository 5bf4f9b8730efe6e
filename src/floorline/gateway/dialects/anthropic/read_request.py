"""Read a request of Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from floorline.gateway.dialects.anthropic.client_tools import as_function
from floorline.gateway.dialects.anthropic.read_messages import MessageReader, read_tool
from floorline.gateway.dialects.anthropic.threads import refused_thread
from floorline.gateway.dialects.conversation import (
    Conversation,
    OutputSchema,
    Tool,
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
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


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
    read = MessageReader(losses)
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


def _read_tools(fields: Mapping[str, Any], request: Conversation, read: MessageReader) -> None:
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
        found.append(read_tool(tool, path, request.losses, cached=read.cached(tool)))
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


def _mark_last(request: Conversation) -> None:
    """Mark the end of the prompt for the cache, as the field of the whole request asks."""
    for turn in reversed(request.turns):
        for part in reversed(turn.parts):
            if hasattr(part, "cached"):
                part.cached = True
                return
