"""Extraction of the text that encoders read, and of its length, from chat messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from floorline.encoders.base import Prompt
from floorline.errors import InvalidInput

_CONTEXT_ROLES = frozenset({"system", "developer"})
_ROLES = _CONTEXT_ROLES | {"user", "assistant", "tool", "function"}

CHARACTERS_PER_TOKEN = 4
"""Characters of English text in one token of common tokenizers, on average."""


class PromptText(NamedTuple):
    """The two texts that encoders read of a prompt.

    Parameters
    ----------
    context
        System and developer messages, joined by line breaks.
    focus
        The last user turn.
    """

    context: str
    focus: str


def read_prompt(prompt: Prompt) -> PromptText:
    """Return the last user turn of a prompt, with the system prompt as its context.

    A plain string is the focus, without context. If no turn is a user turn, the last message with
    text is the focus. A content part without text (image, audio, file) is replaced by its type in
    brackets, such as ``[image_url]``, so that the features show that it is there.

    Parameters
    ----------
    prompt
        A text, or OpenAI chat messages.

    Raises
    ------
    InvalidInput
        If the messages are malformed. The error names the field, such as
        ``messages[2].content[0].text``.

    Examples
    --------
    >>> read_prompt([{"role": "system", "content": "Be brief."},
    ...              {"role": "user", "content": [{"type": "text", "text": "Why?"}]}])
    PromptText(context='Be brief.', focus='Why?')
    """
    if isinstance(prompt, str):
        return PromptText("", prompt)
    turns = _turns(prompt)
    context = "\n".join(text for role, text in turns if role in _CONTEXT_ROLES and text)
    for role, text in reversed(turns):
        if role == "user":
            return PromptText(context, text)
    for _, text in reversed(turns):
        if text:
            return PromptText("" if text == context else context, text)
    return PromptText(context, "")


def character_count(prompt: Prompt) -> int:
    """Count the characters of all turns of a prompt, to estimate its tokens.

    Raises
    ------
    InvalidInput
        If the messages are malformed.

    Examples
    --------
    >>> character_count([{"role": "user", "content": "Why?"}])
    4
    """
    return len(prompt) if isinstance(prompt, str) else sum(len(text) for _, text in _turns(prompt))


def approximate_tokens(prompt: Prompt) -> int:
    """Estimate the tokens of a prompt without a tokenizer: characters / 4, rounded up.

    Raises
    ------
    InvalidInput
        If the messages are malformed.
    """
    return (character_count(prompt) + CHARACTERS_PER_TOKEN - 1) // CHARACTERS_PER_TOKEN


def _turns(prompt: Prompt) -> list[tuple[str, str]]:
    if isinstance(prompt, Mapping | bytes | bytearray) or not isinstance(prompt, Sequence):
        raise InvalidInput("prompt", prompt, "give a text or a list of chat messages")
    if not prompt:
        raise InvalidInput("messages", [], "give at least one message")
    return [_turn(f"messages[{i}]", message) for i, message in enumerate(prompt)]


def _turn(field: str, message: Any) -> tuple[str, str]:
    if not isinstance(message, Mapping):
        raise InvalidInput(field, message, "give a mapping with 'role' and 'content'")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise InvalidInput(f"{field}.role", role, "choose one of " + ", ".join(sorted(_ROLES)))
    return role, _content(f"{field}.content", message.get("content"))


def _content(field: str, content: Any) -> str:
    # An assistant turn that only calls tools has no content.
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple):
        return "\n".join(_part(f"{field}[{i}]", part) for i, part in enumerate(content))
    raise InvalidInput(field, content, "give a text, a list of content parts or null")


def _part(field: str, part: Any) -> str:
    if not isinstance(part, Mapping):
        raise InvalidInput(field, part, "give a mapping with 'type'")
    kind = part.get("type")
    if not isinstance(kind, str):
        raise InvalidInput(f"{field}.type", kind, "give the part's type, such as 'text'")
    if kind not in ("text", "input_text", "refusal"):
        return f"[{kind}]"
    key = "refusal" if kind == "refusal" else "text"
    text = part.get(key)
    if not isinstance(text, str):
        raise InvalidInput(f"{field}.{key}", text, "give a text")
    return text
