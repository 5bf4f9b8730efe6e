"""OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from floorline.gateway.dialects.answer_parts import AnswerPart
from floorline.gateway.dialects.conversation import Conversation
from floorline.gateway.dialects.json_texts import encode
from floorline.gateway.dialects.openai import answer, read_request, write_request
from floorline.gateway.dialects.openai.read_stream import OpenAIStreamReader
from floorline.gateway.dialects.openai.usage import usage_object
from floorline.gateway.dialects.openai.write_stream import OpenAIStreamWriter, wants_usage

__all__ = ["OpenAIDialect", "usage_object", "wants_usage"]


class OpenAIDialect:
    """Requests and answers of ``POST /v1/chat/completions``."""

    name = "openai"

    def read_request(self, fields: Mapping[str, Any]) -> Conversation:
        """Read the decoded fields of a request."""
        return read_request.read_request(fields)

    def write_request(
        self, request: Conversation, model: str, *, max_output_tokens: int | None = None
    ) -> dict[str, Any]:
        """Return the fields of a request for the provider's ``model``."""
        return write_request.write_request(request, model)

    def read_answer(self, body: bytes) -> list[AnswerPart]:
        """Read a whole answer; empty if it is none, ``Failed`` if it is an error."""
        return answer.read_answer(body)

    def write_answer(
        self, parts: Iterable[AnswerPart], model: str, id: str, request: Conversation | None = None
    ) -> bytes:
        """Write a whole answer."""
        return answer.write_answer(parts, model, id, request)

    def stream_reader(self) -> OpenAIStreamReader:
        """Return a reader of one streamed answer."""
        return OpenAIStreamReader()

    def stream_writer(
        self, model: str, id: str, request: Conversation | None = None
    ) -> OpenAIStreamWriter:
        """Return a writer of one streamed answer."""
        return OpenAIStreamWriter(model, id, request)

    def write_error(
        self, status: int, message: str, *, kind: str, code: str | None, param: str | None
    ) -> bytes:
        """Write the body of an error."""
        about = {"message": message, "type": kind, "param": param, "code": code}
        return encode({"error": about})

    def write_stream_error(self, error: bytes) -> bytes:
        """Write the event of an error within a stream from the body of one."""
        return b"data: " + error + b"\n\n"
