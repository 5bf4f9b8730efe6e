"""Requests whose model's provider speaks another dialect than the client."""

from __future__ import annotations

import msgspec

from floorline.events import UNTRANSLATED
from floorline.gateway.chat_request import ChatBody
from floorline.gateway.dialect_errors import error_body
from floorline.gateway.dialects.anthropic import refused_thread, without_foreign_thinking
from floorline.gateway.dialects.conversation import Conversation
from floorline.gateway.dialects.registry import dialect_named
from floorline.gateway.dialects.responses import MARK, without_translated
from floorline.gateway.errors import ApiError
from floorline.gateway.upstreams import UpstreamError, UpstreamSettings
from floorline.gateway.upstreams.errors import ErrorAnswer
from floorline.gateway.upstreams.provider_errors import ProviderError
from floorline.zoo import Model

_STATEFUL = {
    "previous_response_id": "send the whole conversation as input",
    "conversation": "send the whole conversation as input",
    "background": "send the request without background",
}
"""Fields of OpenAI's responses that need what the provider keeps, with the fix."""
_EMPTY = frozenset({b"null", b"false", b'""'})


def for_provider(
    chat: ChatBody, model: Model, provider: UpstreamSettings
) -> tuple[bytes, Conversation | None]:
    """Return a request as its model's provider gets it, and what was asked if it is a translation.

    Parameters and errors as for ``translated``.
    """
    if chat.path:
        # Embeddings and the like have no other dialect.
        return chat.with_fields(model=provider.model), None
    if chat.dialect == provider.dialect:
        return untranslated(chat, provider.model), None
    return translated(chat, model, provider)


def untranslated(chat: ChatBody, model: str) -> bytes:
    """Return a request for the provider's model, in the client's dialect.

    All fields but ``model`` keep their bytes. Only reasoning that an earlier translation wrote for
    the client is left out, since a provider refuses what is not its own.
    """
    if chat.dialect == "anthropic":
        return without_foreign_thinking(chat.with_fields(model=model))
    if chat.dialect == "responses" and MARK.encode() in bytes(chat.fields.get("input", b"")):
        return chat.with_fields(model=model, input=without_translated(chat.values()["input"]))
    return chat.with_fields(model=model)


def translated(
    chat: ChatBody, model: Model, provider: UpstreamSettings
) -> tuple[bytes, Conversation]:
    """Return a request in the dialect of its model's provider, and what the client asked.

    Parameters
    ----------
    chat
        The request in the client's dialect.
    model, provider
        The model, and how it is called.

    Raises
    ------
    UpstreamError
        If the request cannot be said in that dialect; another model may be able to serve it.
    """
    try:
        conversation = dialect_named(chat.dialect).read_request(chat.values())
        conversation.stream = chat.stream
        fields = dialect_named(provider.dialect).write_request(
            conversation, provider.model, max_output_tokens=model.max_output_tokens
        )
    except ApiError as error:
        raise UpstreamError(
            f"model {model.name!r}: {UNTRANSLATED}{provider.dialect}: {error.text}",
            "status",
            status=error.status,
            fallback="unsupported" in provider.fallback_on,
            meaning=ProviderError("unsupported"),
            answer=ErrorAnswer(error.status, error_body(error, chat.dialect)),
        ) from error
    return msgspec.json.encode(fields), conversation


def stateful_field(chat: ChatBody, *, own_ids: bool = False) -> ApiError | None:
    """Return the error of a request that only the provider which keeps its state can serve.

    Parameters
    ----------
    chat
        The request.
    own_ids
        Whether clients see the gateway's ids, which no provider knows.

    Examples
    --------
    >>> from floorline.gateway.chat_request import read_chat
    >>> body = b'{"model": "floorline/auto", "input": "Hi", "previous_response_id": "resp_1"}'
    >>> stateful_field(read_chat(body, {}, "responses")).param
    'previous_response_id'
    """
    if chat.dialect == "anthropic":
        return refused_thread(chat.values()) if "thread" in chat.fields else None
    for field, fix in _STATEFUL.items():
        if bytes(chat.fields.get(field, b"null")) not in _EMPTY:
            if own_ids:
                text = f"{field} needs ids of the provider, and completion_ids is own: {fix}"
                return ApiError(400, text, code="unsupported_parameter", param=field)
            return ApiError(
                400,
                f"{field} needs what one provider keeps, and the model {chat.model!r} is not "
                f"called there by its name: {fix}, or name a model whose kind is responses",
                code="unsupported_parameter",
                param=field,
            )
    return None
