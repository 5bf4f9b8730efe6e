"""An answer in no dialect: the same objects for a whole answer and for the events of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from floorline.gateway.dialects.json_texts import text_in

if TYPE_CHECKING:
    # The package of the upstreams reads these parts itself.
    from floorline.gateway.upstreams.usage import Usage

EndReason = Literal["stop", "length", "tool_calls", "content_filter", "pause"]
"""Why an answer ended: at its end or a stop text, at its limit, to call tools, by a filter or a
refusal, or in a pause that the client continues."""


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The answer begins; ``id`` is the provider's id of it, "" if it has none yet."""

    id: str = ""
    model: str = ""


class TextDelta(msgspec.Struct, frozen=True, tag="text"):
    """More text of the answer."""

    text: str


class RefusalDelta(msgspec.Struct, frozen=True, tag="refusal"):
    """More text of a refusal, where the provider tells it apart."""

    text: str


class ThinkingDelta(msgspec.Struct, frozen=True, tag="thinking"):
    """More reasoning: its text, or its signature, or reasoning that is encrypted."""

    text: str = ""
    signature: str = ""
    encrypted: str = ""


class ToolCallStarted(msgspec.Struct, frozen=True, tag="tool_call"):
    """A tool call begins; ``index`` numbers the calls of an answer from 0."""

    index: int
    id: str
    name: str


class ToolCallDelta(msgspec.Struct, frozen=True, tag="arguments"):
    """More of the arguments of the call ``index``."""

    index: int
    arguments: str


class Used(msgspec.Struct, frozen=True, tag="usage"):
    """The provider's count so far; a later one replaces it."""

    usage: Usage


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The model has ended its answer; ``stop`` is the text that ended it, "" if none did."""

    reason: EndReason
    stop: str = ""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The provider's error within the answer, as an object with ``message``."""

    error: dict[str, Any]


def failed(error: Mapping[str, Any]) -> Failed:
    """Return a provider's error, with a message in any case."""
    return Failed({**error, "message": text_in(error, "message") or "the provider failed"})


AnswerPart = (
    Started
    | TextDelta
    | RefusalDelta
    | ThinkingDelta
    | ToolCallStarted
    | ToolCallDelta
    | Used
    | Ended
    | Failed
)
