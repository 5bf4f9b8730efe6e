"""Reasoning in chat completions, which each provider writes in its own field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from floorline.gateway.dialects.json_texts import text_in


def reasoning_in(message: Mapping[str, Any]) -> str:
    """Return the reasoning in a message, or in the part of one that a chunk adds.

    Examples
    --------
    >>> reasoning_in({"reasoning_content": "Hm"}), reasoning_in({"reasoning": "Hm"})
    ('Hm', 'Hm')
    >>> reasoning_in({"reasoning_details": [{"type": "reasoning.text", "text": "Hm"}]})
    'Hm'
    >>> reasoning_in({"content": [{"type": "thinking", "thinking": [{"text": "Hm"}]}]})
    'Hm'
    """
    for name in ("reasoning_content", "reasoning"):
        text = message.get(name)
        if type(text) is str and text:
            return text
    details = message.get("reasoning_details")
    if type(details) is list:
        # OpenRouter, and MiniMax.
        given = [item for item in details if type(item) is dict]
        found = [text_in(item, "text") or text_in(item, "summary") for item in given]
        if any(found):
            return "".join(found)
    content = message.get("content")
    if type(content) is list:
        # Mistral.
        return "".join(_thinking(item) for item in content)
    return ""


def _thinking(item: Any) -> str:
    if type(item) is not dict or item.get("type") != "thinking":
        return ""
    inner = item.get("thinking")
    if type(inner) is list:
        return "".join(text_in(one, "text") for one in inner if type(one) is dict)
    return inner if type(inner) is str else ""
