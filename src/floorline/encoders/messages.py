"""Extraction of the text that encoders read from chat messages, whatever else they hold.

Providers decide which messages are well formed. Routing takes the text that it can find.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from floorline.encoders.base import Prompt
from floorline.errors import InvalidInput

_CONTEXT_ROLES = frozenset({"system", "developer"})
_MAX_FIELDS = 10
_SURROGATES = re.compile("[\ud800-\udfff]")


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
    r"""Return the last user turn of a prompt, with the system prompt as its context.

    A plain string is the focus, without context. If no turn is a user turn, the last message with
    text is the focus. A content part without text (image, audio, file) is replaced by its type in
    brackets, such as ``[image_url]``, so that the features show that it is there. What has neither
    text nor type is left out, and so is a message that is neither an object nor a text. Lone
    surrogates become ``"\ufffd"``.

    Parameters
    ----------
    prompt
        A text, or chat messages.

    Raises
    ------
    InvalidInput
        If the prompt is neither a text nor a list of messages, or the list is empty.

    Examples
    --------
    >>> read_prompt([{"role": "system", "content": "Be brief."},
    ...              {"role": "user", "content": [{"type": "text", "text": "Why?"}]}])
    PromptText(context='Be brief.', focus='Why?')
    >>> read_prompt([{"role": "king", "content": ["Why", "not?"]}, {"role": "tool", "content": {}}])
    PromptText(context='', focus='Why\nnot?')
    """
    if isinstance(prompt, str):
        return PromptText("", _encodable(prompt))
    messages = check_messages(prompt)
    if len(messages) == 1:
        # The one message is the focus, unless it is a system prompt.
        role, text = _turn(messages[0])
        if role not in _CONTEXT_ROLES:
            return PromptText("", _encodable(text))
    turns = [_turn(message) for message in messages]
    context = _encodable("\n".join(text for role, text in turns if role in _CONTEXT_ROLES and text))
    for role, text in reversed(turns):
        if role == "user":
            return PromptText(context, _encodable(text))
    for _, text in reversed(turns):
        if text:
            focus = _encodable(text)
            return PromptText("" if focus == context else context, focus)
    return PromptText(context, "")


def check_prompt(prompt: Prompt) -> None:
    """Check that a prompt is a text or a list of messages.

    Raises
    ------
    InvalidInput
        If it is neither, or the list is empty.
    """
    if not isinstance(prompt, str):
        check_messages(prompt)


def check_messages(prompt: Any) -> Sequence[Any]:
    """Return the messages of a prompt that is no text.

    Raises
    ------
    InvalidInput
        If it is no list of messages, or an empty one.
    """
    messages: Sequence[Any] = prompt
    # Nearly all are lists, and the other tests take longer.
    if type(prompt) is not list and (
        isinstance(prompt, Mapping | bytes | bytearray) or not isinstance(prompt, Sequence)
    ):
        raise InvalidInput("prompt", prompt, "give a text or a list of chat messages")
    if not messages:
        raise InvalidInput("messages", [], "give at least one message")
    return messages


def _turn(message: Any) -> tuple[str, str]:
    """Role and text of a message; a bare text is a user turn."""
    if isinstance(message, str):
        return "user", message
    if type(message) is not dict and not isinstance(message, Mapping):
        return "", ""
    role, content = message.get("role"), message.get("content")
    # Gemini's messages have parts in place of a content.
    text = _content(message.get("parts") if content is None else content)
    return role if isinstance(role, str) else "", text


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple):
        return "\n".join(map(_part, content))
    return _part(content)


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        return ""
    for key in ("text", "refusal"):
        if isinstance(text := part.get(key), str):
            return text
    kind = part.get("type")
    if isinstance(kind, str) and kind:
        return f"[{kind}]"
    # Gemini and Bedrock name the type of a part by the field that holds it, one of few.
    few = islice(part.items(), _MAX_FIELDS)
    return next((f"[{name}]" for name, value in few if isinstance(value, Mapping)), "")


def _encodable(text: str) -> str:
    """Replace lone surrogates, which no hash and no tokenizer takes."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)
