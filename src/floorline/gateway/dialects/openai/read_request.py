"""Read a request of OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from floorline.gateway.dialects.conversation import (
    Conversation,
    OutputSchema,
    Tool,
)
from floorline.gateway.dialects.custom_tools import (
    CUSTOM_PARAMETERS,
    CUSTOM_TOOLS,
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
from floorline.gateway.dialects.openai.read_messages import MessageReader

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
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


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
    read = MessageReader(request.losses)
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
