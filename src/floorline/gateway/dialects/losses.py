"""What a translation between dialects leaves out, as data.

A reader adds the names of ``READ`` to ``Conversation.losses``, a writer those of ``WRITTEN``. Each
name is that of a field, with the fields around it before it and without the places in lists. A
field that a reader does not know at all is added by its own name, as ``unknown`` writes it.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MAX_LOSSES = 64
"""Names of one request: all that the tables have, and some fields that no reader knows."""

_HOSTED = "the provider runs this tool itself"
_OWN_ITEM = "the item belongs to a tool that OpenAI runs"

READ: dict[str, dict[str, str]] = {
    "responses": {
        "client_metadata": "the client's notes for the provider",
        "context_management": "the provider's way of shortening a conversation",
        "include": "further fields of the answer; reasoning.encrypted_content is kept",
        "input.computer_call": _OWN_ITEM,
        "input.computer_call_output": _OWN_ITEM,
        "input.code_interpreter_call": _OWN_ITEM,
        "input.content.annotations": "citations in a text of the assistant; its text is kept",
        "input.file_search_call": _OWN_ITEM,
        "input.image_generation_call": _OWN_ITEM,
        "input.mcp_approval_request": _OWN_ITEM,
        "input.mcp_approval_response": _OWN_ITEM,
        "input.mcp_call": _OWN_ITEM,
        "input.mcp_list_tools": _OWN_ITEM,
        "input.phase": "whether a message is a commentary or the final answer",
        "input.program": _OWN_ITEM,
        "input.program_output": _OWN_ITEM,
        "input.reasoning.encrypted_content": "only the provider that wrote it can read it",
        "input.tool_search_call": _OWN_ITEM,
        "input.tool_search_output": _OWN_ITEM,
        "input.web_search_call": _OWN_ITEM,
        "max_tool_calls": "limits the calls of tools that OpenAI runs",
        "metadata": "repeated in the answer, not sent to the provider",
        "moderation": "OpenAI's check of the request and of the answer",
        "prompt_cache_options": "how OpenAI caches the prompt",
        "prompt_cache_retention": "for how long OpenAI caches the prompt",
        "reasoning.context": "which reasoning of earlier turns the model sees",
        "reasoning.mode": "OpenAI's mode of reasoning",
        "reasoning.summary": "how long the summary of the reasoning is",
        "service_tier": "how OpenAI serves and bills the request",
        "store": "the answer is not kept for later requests",
        "stream_options": "filling bytes that hide the lengths of texts",
        "text.format.description": "what the form of the answer is for",
        "text.verbosity": "how long the answer is",
        "tools.allowed_callers": "which programs of the model may call a tool",
        "tools.code_interpreter": _HOSTED,
        "tools.computer": _HOSTED,
        "tools.computer_use_preview": _HOSTED,
        "tools.custom.format": "the grammar is in the tool's description and is not enforced",
        "tools.defer_loading": "the tool is given to the model at once",
        "tools.file_search": _HOSTED,
        "tools.image_generation": _HOSTED,
        "tools.mcp": _HOSTED,
        "tools.output_schema": "the form of what the tool answers",
        "tools.programmatic_tool_calling": _HOSTED,
        "tools.shell": "a shell in OpenAI's container; a local shell becomes a function",
        "tools.tool_search": _HOSTED,
        "tools.web_search": _HOSTED,
        "tools.web_search_preview": _HOSTED,
        "top_logprobs": "probabilities of the answer's tokens",
        "truncation": "the provider shortens a conversation that is too long",
    },
}
"""Per dialect: what a request cannot take into another dialect, and why or what that means."""

WRITTEN: dict[str, dict[str, str]] = {
    "responses": {
        "cached": "OpenAI chooses itself what of the prompt it caches",
        "max_output_tokens": "raised to 16, the least that OpenAI takes",
        "media": "videos, recordings behind an address, and media of the assistant",
        "stop": "texts that end the answer",
        "thinking": "reasoning of earlier turns",
        "thinking_tokens": "becomes the nearest effort",
        "tool_result.failed": "whether a tool failed; its text is kept",
        "user": "a name above 64 characters is replaced by its SHA-256",
    },
}
"""Per dialect: what of a conversation its requests cannot say."""


def lose(losses: list[str], name: str) -> None:
    """Add a name once."""
    if name not in losses and len(losses) < _MAX_LOSSES:
        losses.append(name)


def unknown(losses: list[str], name: str, within: str = "") -> None:
    r"""Add the name of a field that the reader does not know.

    Examples
    --------
    >>> losses: list[str] = []
    >>> unknown(losses, "seed")
    >>> unknown(losses, "hologram", "input")
    >>> unknown(losses, "a name\nwith a line break")
    >>> losses
    ['seed', 'input.hologram', 'unknown']
    """
    found = name if _NAME.fullmatch(name) else "unknown"
    lose(losses, f"{within}.{found}" if within else found)
