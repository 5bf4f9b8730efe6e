"""Turn the error that a client gets from a provider's into the client's dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floorline.config.provider import DialectName
from floorline.gateway.dialects.registry import dialect_named
from floorline.gateway.lenient_json import read_value
from floorline.gateway.upstreams.errors import ErrorAnswer

if TYPE_CHECKING:
    from floorline.gateway.upstreams.provider_errors import ProviderError

_CODES = frozenset({"context_length_exceeded", "model_not_found", "content_filter"})
"""Reasons that are codes of OpenAI's, too."""
_TOO_LONG = "prompt is too long"
"""Words by which clients of Anthropic's API know that they must shorten a conversation."""


def for_client(
    answer: ErrorAnswer, meaning: ProviderError | None, dialect: DialectName
) -> ErrorAnswer:
    """Return a provider's error in a client's dialect; one that is in it stays as it is.

    OpenAI's two dialects have one form of errors.

    Parameters
    ----------
    answer
        Status and body, a JSON object.
    meaning
        What the error means.
    dialect
        Of the client.

    Examples
    --------
    >>> sent = b'{"type":"error","error":{"type":"invalid_request_error","message":"No."}}'
    >>> for_client(ErrorAnswer(400, sent), None, "openai").body
    b'{"error":{"message":"No.","type":"invalid_request_error","param":null,"code":null}}'
    """
    try:
        value = read_value(answer.body)
    except ValueError:
        value = {}
    fields: dict[str, Any] = value if isinstance(value, dict) else {}
    inner = fields.get("error")
    is_anthropics = fields.get("type") == "error" and isinstance(inner, dict)
    if is_anthropics == (dialect == "anthropic"):
        return answer
    error = inner if isinstance(inner, dict) else fields
    found = error.get("message") or error.get("detail") or inner
    text = found if isinstance(found, str) else f"the provider answered {answer.status}"
    code = error.get("code")
    reason = "" if meaning is None else meaning.reason
    if reason in _CODES:
        code = reason
    if reason == "context_length_exceeded" and is_anthropics is False and _TOO_LONG not in text:
        text = _too_long(meaning, text)
    kind = error.get("type")
    body = dialect_named(dialect).write_error(
        answer.status,
        text,
        kind=kind if isinstance(kind, str) else "invalid_request_error",
        code=str(code) if isinstance(code, str | int) else None,
        param=error.get("param") if isinstance(error.get("param"), str) else None,
    )
    return ErrorAnswer(answer.status, body)


def _too_long(meaning: ProviderError | None, text: str) -> str:
    if meaning is not None and meaning.requested and meaning.window:
        return f"{_TOO_LONG}: {meaning.requested} tokens > {meaning.window} maximum"
    return f"{_TOO_LONG}: {text}"
