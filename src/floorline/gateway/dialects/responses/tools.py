"""Tools of the Responses dialect as functions, and back.

A custom tool takes one text; it becomes a function with the argument ``input``. The tools that the
client runs by a form of OpenAI's (a local shell, patches) become functions with that form. Tools of
a namespace become functions whose names begin with the namespace's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from floorline.gateway.dialects.conversation import Tool
from floorline.gateway.dialects.custom_tools import CUSTOM_PARAMETERS
from floorline.gateway.dialects.fields import (
    as_list,
    as_name,
    as_object,
    invalid,
    optional_flag,
    optional_text,
    untranslatable,
)
from floorline.gateway.dialects.json_texts import arguments_object
from floorline.gateway.dialects.losses import lose, unknown

FormKind = Literal["function", "custom", "local_shell", "shell", "apply_patch"]

_DIRECT = "name a model of a provider that speaks Responses, or leave it out"
_HOSTED = frozenset(
    {
        "code_interpreter",
        "computer",
        "computer_use_preview",
        "file_search",
        "image_generation",
        "mcp",
        "programmatic_tool_calling",
        "tool_search",
        "web_search",
        "web_search_preview",
    }
)
"""Tools that the provider runs."""
_DATED = re.compile(r"_20\d\d_\d\d_\d\d$")
"""The date at the end of a tool's type, such as ``web_search_2025_08_26``."""

_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
_CLIENT_TOOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "local_shell": (
        "Runs a command on the user's machine and returns its output.",
        {
            "type": "object",
            "properties": {
                "command": {**_TEXTS, "description": "The program and its arguments."},
                "working_directory": {"type": "string"},
                "timeout_ms": {"type": "integer"},
                "env": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["command"],
        },
    ),
    "shell": (
        "Runs shell commands on the user's machine and returns their outputs.",
        {
            "type": "object",
            "properties": {
                "commands": {**_TEXTS, "description": "Commands, each run by a shell."},
                "timeout_ms": {"type": "integer"},
                "max_output_length": {"type": "integer"},
            },
            "required": ["commands"],
        },
    ),
    "apply_patch": (
        "Creates, changes or deletes one file of the user by a unified diff in the V4A format.",
        {
            "type": "object",
            "properties": {
                "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
                "path": {"type": "string"},
                "diff": {"type": "string", "description": "Leave it out to delete the file."},
            },
            "required": ["type", "path"],
        },
    ),
}
"""Description and arguments of the tools that the client runs by a form of OpenAI's."""


class CallForm(NamedTuple):
    """How a call of a function is written for the client.

    Attributes
    ----------
    kind
        Kind of the client's tool.
    name, namespace
        Its name, and the namespace that it is in, "" for none.
    """

    kind: FormKind
    name: str
    namespace: str = ""


def function_name(name: str, namespace: str = "") -> str:
    """Return the name of the function that stands for a tool of a namespace.

    Examples
    --------
    >>> function_name("search", "mcp__docs__"), function_name("search", "crm")
    ('mcp__docs__search', 'crm__search')
    """
    if not namespace:
        return name
    return (namespace if namespace.endswith("_") else f"{namespace}__") + name


def client_action(kind: FormKind, arguments: str) -> dict[str, Any]:
    """Return the action or the operation of a tool that the client runs.

    Arguments in another form than the tool's stand where the client sees them, in place of a
    command or of a patch.

    Examples
    --------
    >>> client_action("shell", '{"commands": ["ls"]}')
    {'commands': ['ls'], 'timeout_ms': None, 'max_output_length': None}
    >>> client_action("apply_patch", "delete it")
    {'type': 'update_file', 'path': '', 'diff': 'delete it'}
    """
    found = arguments_object(arguments)
    if kind == "apply_patch":
        operation, path, diff = found.get("type"), found.get("path"), found.get("diff")
        if operation == "delete_file" and isinstance(path, str):
            return {"type": operation, "path": path}
        known = operation in ("create_file", "update_file")
        if known and isinstance(path, str) and isinstance(diff, str):
            return {"type": operation, "path": path, "diff": diff}
        return {"type": "update_file", "path": "", "diff": arguments}
    name = "command" if kind == "local_shell" else "commands"
    commands = found.get(name)
    if isinstance(commands, str):
        commands = [commands]
    if not isinstance(commands, list) or not all(isinstance(one, str) for one in commands):
        commands = [arguments] if arguments else []
    timeout = _whole(found.get("timeout_ms"))
    if kind == "shell":
        most = _whole(found.get("max_output_length"))
        return {"commands": commands, "timeout_ms": timeout, "max_output_length": most}
    variables = found.get("env")
    folder = found.get("working_directory")
    return {
        "type": "exec",
        "command": commands,
        "env": variables if isinstance(variables, dict) else {},
        "timeout_ms": timeout,
        "working_directory": folder if isinstance(folder, str) else None,
    }


def _whole(value: Any) -> int | None:
    return value if type(value) is int else None


def read_tools(value: Any, path: str, losses: list[str]) -> list[Tool]:
    """Read the tools of a request; those that the provider runs become losses."""
    if value is None:
        return []
    tools: list[Tool] = []
    for at, tool, namespace in _tools(as_list(value, path, "give an array of tools"), path):
        kind = tool["type"]
        name = _DATED.sub("", kind)
        if kind == "function":
            tools.append(_function(tool, at, namespace, losses))
        elif kind == "custom":
            tools.append(_custom(tool, at, namespace, losses))
        elif kind in _CLIENT_TOOLS and not _in_container(tool):
            description, schema = _CLIENT_TOOLS[kind]
            tools.append(Tool(kind, description, schema))
        elif name in _HOSTED or kind == "shell":
            lose(losses, f"tools.{name}")
        else:
            unknown(losses, kind, "tools")
    return tools


def call_forms(*lists: Any) -> dict[str, CallForm]:
    """Return by the names of functions how their calls are written; only what is no function.

    Parameters
    ----------
    lists
        Arrays of tools that ``read_tools`` has read, or None.
    """
    forms: dict[str, CallForm] = {}
    for tools in lists:
        for _, tool, namespace in _tools(tools or [], "tools"):
            kind = tool["type"]
            if kind in ("function", "custom"):
                if namespace or kind == "custom":
                    name = tool["name"]
                    forms[function_name(name, namespace)] = CallForm(kind, name, namespace)
            elif kind in _CLIENT_TOOLS and not _in_container(tool):
                forms[kind] = CallForm(kind, kind)
    return forms


def read_choice(value: Any, tools: list[Tool]) -> tuple[str, list[Tool]]:
    """Read ``tool_choice``: the conversation's form of it, and the tools that are left."""
    path = "tool_choice"
    if value is None or value in ("auto", "none", "required"):
        return value or "", tools
    fix = "give auto, none, required, or an object that names a tool"
    choice = as_object(value, path, fix)
    kind = choice.get("type")
    if kind in ("function", "custom"):
        return f"tool:{_chosen(choice, path, tools)}", tools
    if kind == "allowed_tools":
        mode = choice.get("mode")
        if mode not in ("auto", "required"):
            raise invalid(f"{path}.mode", mode, "give auto or required")
        return mode, _allowed(choice.get("tools"), f"{path}.tools", tools, mode)
    if isinstance(kind, str) and kind in _CLIENT_TOOLS and any(one.name == kind for one in tools):
        return f"tool:{kind}", tools
    if isinstance(kind, str) and (_DATED.sub("", kind) in _HOSTED or kind in _CLIENT_TOOLS):
        raise untranslatable(f"{path}.type", _DIRECT, "Responses")
    raise invalid(f"{path}.type", kind, fix)


def _tools(tools: list[Any], path: str) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Each tool with its path and its namespace, "" if it is in none."""
    for number, one in enumerate(tools):
        at = f"{path}[{number}]"
        tool = as_object(one, at, "give an object with the type of the tool")
        kind = as_name(tool.get("type"), f"{at}.type", "give the type of the tool")
        if kind != "namespace":
            yield at, tool, ""
            continue
        namespace = as_name(tool.get("name"), f"{at}.name")
        within = as_list(tool.get("tools"), f"{at}.tools", "give the tools of the namespace")
        for position, inner in enumerate(within):
            place = f"{at}.tools[{position}]"
            held = as_object(inner, place, "give a function or a custom tool")
            if held.get("type") not in ("function", "custom"):
                raise invalid(f"{place}.type", held.get("type"), "give function or custom")
            yield place, held, namespace


def _function(tool: Mapping[str, Any], at: str, namespace: str, losses: list[str]) -> Tool:
    parameters = tool.get("parameters")
    if parameters is not None:
        as_object(parameters, f"{at}.parameters", "give a JSON schema")
    _lose_options(tool, losses)
    return Tool(
        function_name(as_name(tool.get("name"), f"{at}.name"), namespace),
        optional_text(tool.get("description"), f"{at}.description"),
        parameters,
        optional_flag(tool.get("strict"), f"{at}.strict"),
    )


def _custom(tool: Mapping[str, Any], at: str, namespace: str, losses: list[str]) -> Tool:
    description = optional_text(tool.get("description"), f"{at}.description")
    form = tool.get("format")
    if form is not None:
        form = as_object(form, f"{at}.format", 'give {"type": "text"} or a grammar')
        if form.get("type") == "grammar":
            syntax = as_name(form.get("syntax"), f"{at}.format.syntax", "give lark or regex")
            grammar = as_name(form.get("definition"), f"{at}.format.definition")
            description += f"\n\nThe input must match this {syntax} grammar:\n{grammar}"
            lose(losses, "tools.custom.format")
        elif form.get("type") != "text":
            raise invalid(f"{at}.format.type", form.get("type"), "give text or grammar")
    _lose_options(tool, losses)
    name = function_name(as_name(tool.get("name"), f"{at}.name"), namespace)
    return Tool(name, description.strip(), CUSTOM_PARAMETERS)


def _lose_options(tool: Mapping[str, Any], losses: list[str]) -> None:
    for option in ("allowed_callers", "defer_loading", "output_schema"):
        if tool.get(option):
            lose(losses, f"tools.{option}")


def _in_container(tool: Mapping[str, Any]) -> bool:
    environment = tool.get("environment")
    return isinstance(environment, Mapping) and environment.get("type") != "local"


def _chosen(choice: Mapping[str, Any], path: str, tools: list[Tool]) -> str:
    given = as_name(choice.get("name"), f"{path}.name", "name one of the tools")
    name = function_name(given, optional_text(choice.get("namespace"), f"{path}.namespace"))
    if not any(tool.name == name for tool in tools):
        # A tool of a namespace may be chosen by its name alone.
        within = [tool.name for tool in tools if tool.name.endswith(f"_{given}")]
        if len(within) != 1:
            raise invalid(f"{path}.name", given, "name one of the tools")
        return within[0]
    return name


def _allowed(value: Any, path: str, tools: list[Tool], mode: str) -> list[Tool]:
    names: set[str] = set()
    for number, one in enumerate(as_list(value, path, "give an array of tools")):
        at = f"{path}[{number}]"
        choice = as_object(one, at, "give an object that names a tool")
        kind = choice.get("type")
        if kind in ("function", "custom"):
            names.add(_chosen(choice, at, tools))
        elif isinstance(kind, str):
            names.add(kind)
    left = [tool for tool in tools if tool.name in names]
    if not left and mode == "required":
        raise untranslatable(path, _DIRECT, "Responses")
    return left
