"""Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from floorline.gateway.dialects.answer_parts import AnswerPart
from floorline.gateway.dialects.anthropic import answer, read_request, write_request
from floorline.gateway.dialects.anthropic.foreign_thinking import without_foreign_thinking
from floorline.gateway.dialects.anthropic.read_stream import AnthropicStreamReader
from floorline.gateway.dialects.anthropic.threads import refused_thread
from floorline.gateway.dialects.anthropic.usage import usage_object
from floorline.gateway.dialects.anthropic.write_stream import AnthropicStreamWriter
from floorline.gateway.dialects.conversation import Conversation

__all__ = ["AnthropicDialect", "refused_thread", "usage_object", "without_foreign_thinking"]


class AnthropicDialect:
    """Requests and answers of ``POST /v1/messages``.

    Parameters
    ----------
    marks_conversations
        Whether translated requests of agents are marked for the provider's cache if the client
        marked nothing.
    """

    name = "anthropic"

    def __init__(self, *, marks_conversations: bool = True) -> None:
        self._marks_conversations = marks_conversations

    def read_request(self, fields: Mapping[str, Any], *, counted: bool = False) -> Conversation:
        """Read the decoded fields of a request; ``counted`` if its tokens are only counted."""
        return read_request.read_request(fields, counted=counted)

    def write_request(
        self, request: Conversation, model: str, *, max_output_tokens: int | None = None
    ) -> dict[str, Any]:
        """Return the fields of a request for the provider's ``model``.

        ``max_output_tokens`` is the model's own limit of an answer, for a request without one.
        """
        return write_request.write_request(
            request,
            model,
            max_output_tokens=max_output_tokens,
            marks_conversations=self._marks_conversations,
        )

    def read_answer(self, body: bytes) -> list[AnswerPart]:
        """Read a whole answer; empty if it is none, ``Failed`` if it is an error."""
        return answer.read_answer(body)

    def write_answer(
        self, parts: Iterable[AnswerPart], model: str, id: str, request: Conversation | None = None
    ) -> bytes:
        """Write a whole answer."""
        return answer.write_answer(parts, model, id, request)

    def stream_reader(self) -> AnthropicStreamReader:
        """Return a reader of one streamed answer."""
        return AnthropicStreamReader()

    def stream_writer(
        self, model: str, id: str, request: Conversation | None = None
    ) -> AnthropicStreamWriter:
        """Return a writer of one streamed answer."""
        return AnthropicStreamWriter(model, id, request)

    def write_error(
        self, status: int, message: str, *, kind: str, code: str | None, param: str | None
    ) -> bytes:
        """Write the body of an error; its type follows from the status."""
        return answer.write_error(status, message, code, param)

    def write_stream_error(self, error: bytes) -> bytes:
        """Write the event of an error within a stream from the body of one."""
        return b"event: error\ndata: " + error + b"\n\n"
