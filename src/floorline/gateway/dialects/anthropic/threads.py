"""Threads: conversations that Anthropic keeps, of which a request sends the last turn alone.

Another provider does not have what came before, and neither has another account. Anthropic's
clients send the whole conversation again when they get ``THREAD_NOT_FOUND``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from floorline.gateway.errors import ApiError

THREAD_NOT_FOUND = "thread_not_found"
"""Code of the error after which clients send the whole conversation."""


def refused_thread(fields: Mapping[str, Any]) -> ApiError | None:
    """Return the error of a request that goes on with what a provider keeps; None if it does not.

    Examples
    --------
    >>> thread = {"type": "continue", "previous_message_id": "msg_1"}
    >>> refused_thread({"thread": thread}).param
    'thread.previous_message_id'
    >>> refused_thread({"thread": {"type": "create"}})
    """
    thread = fields.get("thread")
    if type(thread) is not dict or thread.get("type") != "continue":
        return None
    return ApiError(
        400,
        "thread.previous_message_id needs what one account at Anthropic keeps: send all messages, "
        "or name a model whose kind is anthropic",
        code=THREAD_NOT_FOUND,
        param="thread.previous_message_id",
    )
