"""The Responses dialect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from floorline.gateway.dialects.answer_parts import AnswerPart
from floorline.gateway.dialects.conversation import Conversation
from floorline.gateway.dialects.json_texts import encode, json_object
from floorline.gateway.dialects.responses import (
    answer_reader,
    answer_writer,
    request_reader,
    request_writer,
)


class ResponsesDialect:
    """OpenAI's Responses API; see ``Dialect``."""

    name = "responses"

    def read_request(self, fields: Mapping[str, Any]) -> Conversation:
        """Read the decoded fields of a request."""
        return request_reader.read_request(fields)

    def write_request(
        self, request: Conversation, model: str, *, max_output_tokens: int | None = None
    ) -> dict[str, Any]:
        """Return the fields of a request for the provider's ``model``."""
        return request_writer.write_request(request, model)

    def read_answer(self, body: bytes) -> list[AnswerPart]:
        """Read a whole answer; empty if it is none, ``Failed`` if it is an error."""
        return answer_reader.read_answer(body)

    def write_answer(
        self, parts: Iterable[AnswerPart], model: str, id: str, request: Conversation | None = None
    ) -> bytes:
        """Write a whole answer."""
        return answer_writer.write_answer(parts, model, id, request)

    def stream_reader(self) -> answer_reader.ResponsesStreamReader:
        """Return a reader of one streamed answer."""
        return answer_reader.ResponsesStreamReader()

    def stream_writer(
        self, model: str, id: str, request: Conversation | None = None
    ) -> answer_writer.ResponsesWriter:
        """Return a writer of one streamed answer."""
        return answer_writer.ResponsesWriter(model, id, request)

    def write_error(
        self, status: int, message: str, *, kind: str, code: str | None, param: str | None
    ) -> bytes:
        """Write the body of an error; ``kind`` is OpenAI's type of it."""
        error = {"message": message, "type": kind, "param": param, "code": code}
        return encode({"error": error})

    def write_stream_error(self, error: bytes) -> bytes:
        """Write the event of an error within a stream from the body of one."""
        found = (json_object(error) or {}).get("error")
        about = found if type(found) is dict else {"message": error.decode("utf-8", "replace")}
        shown = {name: about.get(name) for name in ("code", "message", "param")}
        event = {
            "type": "error",
            # What came before is not known here.
            "sequence_number": 0,
            **shown,
            # As OpenAI sends it: its SDKs raise an error only if the event has this object.
            "error": {"type": about.get("type") or "server_error", **shown},
        }
        return b"event: error\ndata: " + encode(event) + b"\n\n"
