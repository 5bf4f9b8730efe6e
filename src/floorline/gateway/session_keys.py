"""Which conversation a request belongs to, by what clients send anyway.

A name that the request gives to Floorline (``floorline.session``) comes first, then the headers of
coding agents and chat front ends, then fields of the body that other services read. Where nothing
names the conversation, its messages tell (``state.conversations``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from floorline.core.bounds import canonical_id
from floorline.encoders.base import Prompt
from floorline.encoders.message_prefixes import MessagePrefixes, message_prefixes
from floorline.events import RECOGNISED
from floorline.gateway.header_text import header_text

SESSION_HEADERS = (
    "x-claude-code-session-id",
    "session-id",
    "session_id",
    "x-session-id",
    "thread-id",
    "conversation-id",
    "conversation_id",
    "x-conversation-id",
    "x-openwebui-chat-id",
    "x-session-affinity",
)
"""Headers that name a conversation, the most certain first: those of Claude Code, Codex, opencode,
Open WebUI and of load balancers."""
_MAX_NAME = 255
"""Most characters of a recognised name: one less than of any name, for the mark before it."""
_USER_SESSION = re.compile(r"_session_([0-9A-Za-z-]{8,64})$")
"""End of ``metadata.user_id`` as Claude Code writes it: ``user_…_account_…_session_UUID``."""
_HEAD_FIELDS = ("tools", "functions", "system", "instructions", "system_instruction")
"""Fields that providers put before the messages, in any dialect."""


class _Metadata(msgspec.Struct):
    user_id: Any = None
    session_id: Any = None


class _Identified(msgspec.Struct):
    id: Any = None
    session_id: Any = None


_metadata = msgspec.json.Decoder(_Metadata)
_identified = msgspec.json.Decoder(_Identified)
_conversation = msgspec.json.Decoder(str | _Identified)
_text = msgspec.json.Decoder(str)


def session_name(given: str, headers: Mapping[str, str], fields: Mapping[str, msgspec.Raw]) -> str:
    """Name of a request's conversation; "" if nothing names it.

    What other clients send must never refuse a request: a name that is no name is replaced by its
    digest, and a value of another type is no name.

    Parameters
    ----------
    given
        The name that the request gives to Floorline.
    headers
        Headers, names in lower case.
    fields
        Fields of the body as they arrived.

    Examples
    --------
    >>> session_name("mine", {"session-id": "other"}, {})
    'mine'
    >>> session_name("", {"x-session-id": "ses_17"}, {})
    '~ses_17'
    >>> session_name("", {}, {"prompt_cache_key": msgspec.Raw(b'"0192-ab"')})
    '~0192-ab'
    """
    if given:
        return given
    for header in SESSION_HEADERS:
        value = headers.get(header)
        if value:
            return _recognised(header_text(value))
    for field, read in _FIELDS:
        raw = fields.get(field)
        if raw is not None:
            try:
                name = read(raw)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                continue
            if isinstance(name, str) and name:
                return _recognised(name)
    return ""


def request_prefixes(prompt: Prompt, fields: Mapping[str, msgspec.Raw]) -> MessagePrefixes:
    """Hashes of the prefixes of a request: tools and system prompt first, then its messages."""
    head = [bytes(fields[name]) for name in _HEAD_FIELDS if name in fields]
    return message_prefixes(prompt, head)


def _recognised(name: str) -> str:
    name = name if len(name) <= _MAX_NAME else canonical_id(name.ljust(2 * _MAX_NAME))
    return RECOGNISED + canonical_id(name)


def _from_metadata(raw: msgspec.Raw) -> Any:
    """Session in ``metadata``: its own field, or within the user's id as Claude Code writes it."""
    found = _metadata.decode(raw)
    if found.session_id:
        return found.session_id
    user = found.user_id
    if not isinstance(user, str):
        return None
    if user.startswith("{"):
        return _identified.decode(user.encode("utf-8", "replace")).session_id
    match = _USER_SESSION.search(user)
    return None if match is None else match[1]


def _from_conversation(raw: msgspec.Raw) -> Any:
    """Id of a conversation that OpenAI keeps: a text, or an object with ``id``."""
    found = _conversation.decode(raw)
    return found if isinstance(found, str) else found.id


_FIELDS = (
    ("conversation", _from_conversation),
    ("metadata", _from_metadata),
    ("session_id", _text.decode),
    ("prompt_cache_key", _text.decode),
)
"""Fields of a body that name a conversation. A cache key comes last: some clients give all
conversations of a user the same one."""
