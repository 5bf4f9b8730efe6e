"""Where Anthropic is to cache a prompt; other providers find that out by themselves."""

from __future__ import annotations

from typing import Any

_MAX_MARKS = 4
"""Marks that Anthropic takes in a request."""
_MARK = "cache_control"


def set_marks(fields: dict[str, Any], *, marks_conversations: bool) -> None:
    """Bring the marks of a request into the number that Anthropic takes.

    A request of an agent without a mark, one with tools or with earlier answers, gets two: at the
    end of what does not change between its turns, and at the end of the prompt. Its next turn is
    then read from the cache, at a tenth of the price, for a quarter more once. A request of one
    turn would pay more and gain nothing.

    Parameters
    ----------
    fields
        The fields of the request, whose blocks are changed.
    marks_conversations
        Whether to set marks where there are none.
    """
    system = fields.get("system")
    groups: list[Any] = [fields.get("tools", ()), system if type(system) is list else ()]
    groups += [message["content"] for message in fields["messages"]]
    marked = [block for group in groups if type(group) is list for block in group if _MARK in block]
    if len(marked) > _MAX_MARKS:
        # The first one keeps tools and instructions, the last ones the conversation.
        for block in marked[1 : 1 - _MAX_MARKS]:
            del block[_MARK]
    elif not marked and marks_conversations:
        _mark_conversation(fields)


def _mark_conversation(fields: dict[str, Any]) -> None:
    messages = fields["messages"]
    if "tools" not in fields and all(message["role"] != "assistant" for message in messages):
        return
    system = fields.get("system")
    if type(system) is str:
        system = fields["system"] = [{"type": "text", "text": system}]
    for group in (system or fields.get("tools"), _content(messages[-1])):
        if group:
            group[-1][_MARK] = {"type": "ephemeral"}


def _content(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of a message, which may be a text so far."""
    if type(message["content"]) is str:
        message["content"] = [{"type": "text", "text": message["content"]}]
    blocks: list[dict[str, Any]] = message["content"]
    return blocks
