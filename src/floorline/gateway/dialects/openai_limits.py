"""How requests of OpenAI's two APIs are sampled and how much their models think."""

from __future__ import annotations

from typing import Any

from floorline.gateway.dialects.conversation import Conversation
from floorline.gateway.dialects.losses import lose
from floorline.gateway.dialects.model_limits import ChatLimits, nearest_effort
from floorline.gateway.dialects.thinking_effort import effort_of


def sampling_fields(request: Conversation, limits: ChatLimits) -> dict[str, Any]:
    """Return ``temperature`` and ``top_p``; reasoning models refuse all but the default."""
    fields: dict[str, Any] = {}
    for name in ("temperature", "top_p"):
        value = getattr(request, name)
        if value is None:
            continue
        if not limits.reasons:
            fields[name] = value
        elif value != 1:
            lose(request.losses, name)
    return fields


def effort_for(request: Conversation, efforts: tuple[str, ...]) -> str:
    """Return the effort of a request that is nearest among those of its model; "" for none.

    Parameters
    ----------
    request
        The request; what it cannot have is added to its ``losses``.
    efforts
        Values that the model takes; empty if it takes none.
    """
    effort = request.effort
    if request.thinking_tokens is not None:
        lose(request.losses, "thinking_tokens")
        effort = effort or effort_of(request.thinking_tokens)
    if not effort or (effort == "none" and not efforts):
        return ""
    found = nearest_effort(effort, efforts) if efforts else ""
    if found != effort:
        lose(request.losses, "effort")
    return found
