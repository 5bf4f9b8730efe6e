"""Custom tools of OpenAI, which take any text, as functions with one argument."""

from __future__ import annotations

from typing import Any

from floorline.gateway.dialects.conversation import Conversation
from floorline.gateway.dialects.json_texts import arguments_object, encode

_FIELD = "input"
CUSTOM_TOOLS = "custom_tools"
"""Name in ``Conversation.echo`` under which the names of the request's custom tools are."""

CUSTOM_PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {_FIELD: {"type": "string", "description": "The whole input of the tool."}},
    "required": [_FIELD],
    "additionalProperties": False,
}
"""Schema of the one argument."""


def custom_arguments(text: str) -> str:
    """Return the arguments that hold the input of a custom tool."""
    return encode({_FIELD: text}).decode()


def custom_input(arguments: str) -> str:
    """Return the input in arguments; the arguments themselves if they have another form.

    Examples
    --------
    >>> custom_input(custom_arguments("ls -l")), custom_input("ls -l")
    ('ls -l', 'ls -l')
    """
    value = arguments_object(arguments)
    text = value.get(_FIELD)
    return text if type(text) is str and len(value) == 1 else arguments


def custom_names(request: Conversation | None) -> frozenset[str]:
    """Return the names of the custom tools of a request."""
    if request is None:
        return frozenset()
    return frozenset(request.echo.get(CUSTOM_TOOLS, ()))
