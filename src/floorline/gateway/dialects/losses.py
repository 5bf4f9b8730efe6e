"""What a translation between dialects leaves out, as data.

A reader adds the names of ``READ`` to ``Conversation.losses``, a writer those of ``WRITTEN``. Each
name is that of a field, with the fields around it before it and without the places in lists. A
field that a reader does not know at all is added by its own name, as ``unknown`` writes it. A ``*``
at the end of a name stands for any ending, such as the date of a tool.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MAX_LOSSES = 64
"""Names of one request: all that the tables have, and some fields that no reader knows."""

_HOSTED = "the provider runs this tool itself"
_OWN_ITEM = "the item belongs to a tool that OpenAI runs"

_HOSTED_BLOCK = "the block belongs to a tool that Anthropic runs"

READ: dict[str, dict[str, str]] = {
    "anthropic": {
        "cache_control.ttl": "for how long the prompt is cached; that it is cached is kept",
        "billing_policy": "how Anthropic bills the request",
        "compaction": "the provider's way of shortening a conversation; a summary in it is kept",
        "container": "Anthropic's container for code",
        "context_management": "the provider's way of shortening a conversation",
        "diagnostics": "why a prompt was not in the cache",
        "fallback_credit_token": "a credit at Anthropic",
        "fallbacks": "models that Anthropic asks in place of one that refuses",
        "inference_geo": "where Anthropic computes the answer",
        "mcp_servers": "servers of tools that Anthropic calls",
        "messages.content.bash_code_execution_tool_result": _HOSTED_BLOCK,
        "messages.content.citations": "where a text is from; the text is kept",
        "messages.content.code_execution_tool_result": _HOSTED_BLOCK,
        "messages.content.container_upload": _HOSTED_BLOCK,
        "messages.content.context": "what a document is about; the document is kept",
        "messages.content.advisor_tool_result": _HOSTED_BLOCK,
        "messages.content.fallback": "the place from which another model wrote an answer",
        "messages.content.mcp_tool_listing": _HOSTED_BLOCK,
        "messages.content.mcp_tool_result": _HOSTED_BLOCK,
        "messages.content.mcp_tool_use": _HOSTED_BLOCK,
        "messages.content.server_tool_use": _HOSTED_BLOCK,
        "messages.content.text_editor_code_execution_tool_result": _HOSTED_BLOCK,
        "messages.content.tool_reference": _HOSTED_BLOCK,
        "messages.content.tool_search_tool_result": _HOSTED_BLOCK,
        "messages.content.transformations": "how Anthropic scales an image",
        "messages.content.web_fetch_tool_result": _HOSTED_BLOCK,
        "messages.content.web_search_tool_result": _HOSTED_BLOCK,
        "metadata.*": "fields beside user_id",
        "output_config.effort": "how thorough an answer without thinking is",
        "service_tier": "how Anthropic serves and bills the request",
        "speed": "Anthropic's fast mode",
        "thinking.display": "whether the thinking is shown; it is if the provider sends it",
        "thread": "the provider keeps no conversation; a later request with one is refused, and"
        " clients send the whole conversation then",
        "tools.allowed_callers": "which programs of the model may call a tool",
        "tools.code_execution_*": _HOSTED,
        "tools.computer_*": "only Anthropic's models know how to use a screen by it",
        "tools.defer_loading": "the tool is given to the model at once",
        "tools.eager_input_streaming": "arguments are streamed as the provider does it",
        "tools.input_examples": "examples of arguments",
        "tools.tool_search_tool_*": _HOSTED,
        "tools.web_fetch_*": _HOSTED,
        "tools.web_search_*": _HOSTED,
        "top_k": "how many tokens are sampled from",
        "user_profile_id": "Anthropic's profile of a user",
    },
    "openai": {
        "audio": "the voice of a spoken answer",
        "frequency_penalty": "how an answer avoids repetitions",
        "logit_bias": "tokens that are preferred or avoided",
        "logprobs": "probabilities of the answer's tokens",
        "messages.audio": "an earlier spoken answer, which only its provider has",
        "messages.name": "name of a speaker",
        "metadata": "what OpenAI keeps beside the answer",
        "modalities": "spoken answers",
        "moderation": "OpenAI's check of the request and of the answer",
        "prediction": "a text that the answer is expected to repeat",
        "presence_penalty": "how an answer avoids repetitions",
        "prompt_cache_options": "how OpenAI caches the prompt",
        "prompt_cache_retention": "for how long OpenAI caches the prompt",
        "response_format.json_schema.description": "what the form of the answer is for",
        "seed": "repeatable sampling",
        "service_tier": "how OpenAI serves and bills the request",
        "store": "the answer is not kept by the provider",
        "tools.custom.format": "the grammar of a tool's input is not enforced",
        "top_logprobs": "probabilities of the answer's tokens",
        "verbosity": "how long the answer is",
        "web_search_options": _HOSTED,
    },
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
    "anthropic": {
        "cache_key": "Anthropic finds cached prompts by their texts alone",
        "effort": "no thinking where Anthropic refuses it: with a demanded call, within a loop of"
        " tools whose earlier thinking it did not sign, or with fewer than 2,048 tokens to answer",
        "max_output_tokens": "lowered to the model's own limit",
        "media": "recordings, videos, files that are neither PDF nor text, and media of the"
        " assistant",
        "media.detail": "how closely an image is looked at",
        "media.name": "name of an image's file",
        "output": "JSON without a schema, and any JSON for models before Claude 4.1, is asked for"
        " in words and not enforced",
        "stop": "texts of spaces alone",
        "system": "a later turn of the system becomes a text of the user for models before Claude"
        " 4.8, and where it does not stand between a user's turn and an answer",
        "temperature": "above 1 it becomes 1; none beside thinking and for models since Claude 4.7",
        "thinking": "Anthropic takes only thinking that it signed",
        "thinking_tokens": "becomes the nearest effort for models since Claude 4.6",
        "tool_result": "a call without a result gets one that says so; a result without its call"
        " becomes a text",
        "tool_call.arguments": 'arguments that are no JSON object stand in one, as "_raw"',
        "tool_choice": "models since Claude 5.5 cannot be made to call a tool",
        "top_p": "none beside a temperature, beside thinking and for models since Claude 4.7",
    },
    "openai": {
        "cache_key": "only OpenAI's own models have it",
        "cached": "the provider chooses itself what of the prompt it caches",
        "effort": "becomes the nearest one that the model takes; none for models that do not think",
        "media": "recordings and files behind an address, and media of the assistant",
        "stop": "all texts but four; all for OpenAI's models that think",
        "temperature": "none for OpenAI's models that think",
        "thinking": "only models that want their reasoning back get it, since the last question",
        "thinking_tokens": "becomes the nearest effort",
        "tool_result": "a call without a result gets one that says so; a result without its call"
        " becomes a text",
        "top_p": "none for OpenAI's models that think",
        "user": "a name above 64 characters is replaced by its SHA-256",
    },
    "responses": {
        "cached": "OpenAI chooses itself what of the prompt it caches",
        "effort": "becomes the nearest that the model takes, or is left out",
        "max_output_tokens": "raised to 16, the least that OpenAI takes",
        "media": "videos, recordings behind an address, and media of the assistant",
        "stop": "texts that end the answer",
        "temperature": "reasoning models of OpenAI take only the default",
        "thinking": "reasoning of earlier turns",
        "thinking_tokens": "becomes the nearest effort",
        "tool_result": "a call without a result gets one that says so; a result without its call"
        " becomes a text",
        "top_p": "as temperature",
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
