"""Requests that the gateway sends for itself: they have no effects, and their answers a bound."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from floorline.call_bounds import DEFAULT_MAX_OUTPUT_TOKENS
from floorline.config.provider import DialectName
from floorline.gateway.chat_request import ChatBody, read_chat
from floorline.gateway.dialects.model_limits import chat_limits
from floorline.gateway.errors import ApiError

_LEFT_OUT = ("stream_options", "n", "store")
"""Fields that the repeated request loses: one answer is judged, in one piece, and not kept."""
_OF_CLIENT = ("function", "custom")
"""Types of tools that the client runs; Anthropic's tools of the client have a schema instead."""
LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
"""Fields that bound an answer, one for each API."""
_NOT_REASONING = ("temperature", "top_p", "stop")
"""Fields that OpenAI's reasoning models refuse; translations leave them out too."""


class Target(NamedTuple):
    """A model that a request is sent to, as far as its fields depend on it.

    Attributes
    ----------
    model
        Name of the model in the zoo.
    provider_model, dialect
        The provider's name of it, and the dialect of its API.
    max_output_tokens
        Its largest answer; None if it is not known.
    """

    model: str
    provider_model: str
    dialect: DialectName
    max_output_tokens: int | None

    @property
    def reasons(self) -> bool:
        """Whether it is one of OpenAI's reasoning models, behind an API of OpenAI's."""
        return self.dialect != "anthropic" and chat_limits(self.provider_model).reasons

    def limit_field(self, dialect: DialectName) -> str:
        """Name of the field that bounds the answer of a request in a dialect."""
        if dialect == "responses":
            return "max_output_tokens"
        if dialect == "openai" and self.reasons:
            return "max_completion_tokens"
        return "max_tokens"


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


def to_model(chat: ChatBody, target: Target) -> ChatBody:
    """Return a request that names a model, and wants one whole answer that is not kept.

    Its answer is bounded, so that what is reserved for the call is never exceeded: as the client
    bounds it, else by the model's largest answer, or ``DEFAULT_MAX_OUTPUT_TOKENS``.
    """
    left_out = (*_LEFT_OUT, *LIMITS, *(_NOT_REASONING if target.reasons else ()))
    fields = {name: raw for name, raw in chat.fields.items() if name not in left_out}
    plain = msgspec.structs.replace(chat, fields=fields)
    unstored = {"store": False} if chat.dialect == "responses" else {}
    most = chat.reserve or target.max_output_tokens or DEFAULT_MAX_OUTPUT_TOKENS
    if target.max_output_tokens is not None:
        most = min(most, target.max_output_tokens)
    limit = {target.limit_field(chat.dialect): most}
    body = plain.with_fields(model=target.model, stream=False, **unstored, **limit)
    return read_chat(body, {}, chat.dialect)
