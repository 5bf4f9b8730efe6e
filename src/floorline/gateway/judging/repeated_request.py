"""A request that is sent to another model too: only what has no effects is sent again."""

from __future__ import annotations

import msgspec

from floorline.gateway.chat_request import ChatBody, read_chat
from floorline.gateway.errors import ApiError

_LEFT_OUT = ("stream_options", "n", "store")
"""Fields that the repeated request loses: one answer is judged, in one piece, and not kept."""
_OF_CLIENT = ("function", "custom")
"""Types of tools that the client runs; Anthropic's tools of the client have a schema instead."""


def may_repeat(chat: ChatBody) -> bool:
    """Whether a request has no effects at a provider: all its tools are run by the client."""
    try:
        tools = chat.values().get("tools")
    except ApiError:
        return False
    return not tools or (
        isinstance(tools, list)
        and all(
            isinstance(tool, dict) and (tool.get("type") in _OF_CLIENT or "input_schema" in tool)
            for tool in tools
        )
    )


def to_model(chat: ChatBody, model: str) -> ChatBody:
    """Return a request that names a model, and wants one whole answer that is not kept."""
    fields = {name: raw for name, raw in chat.fields.items() if name not in _LEFT_OUT}
    plain = msgspec.structs.replace(chat, fields=fields)
    unstored = {"store": False} if chat.dialect == "responses" else {}
    body = plain.with_fields(model=model, stream=False, **unstored)
    return read_chat(body, {}, chat.dialect)
