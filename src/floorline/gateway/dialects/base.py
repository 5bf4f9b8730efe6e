"""The interface of a dialect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from floorline.gateway.dialects.answer_parts import AnswerPart
from floorline.gateway.dialects.conversation import Conversation


class StreamReader(Protocol):
    """Reads the events of one streamed answer.

    Attributes
    ----------
    done
        Whether the event came with which the dialect ends its streams.
    """

    done: bool

    def read(self, event: str, data: bytes) -> list[AnswerPart]:
        """Read one event by its name ("" if it has none) and its data.

        An event that is unknown or cannot be read gives no parts; an error of the provider gives
        ``Failed``.
        """
        ...


class StreamWriter(Protocol):
    """Writes the events of one streamed answer."""

    def write(self, parts: Iterable[AnswerPart]) -> bytes:
        """Write the events that these parts make, in their whole form as server-sent events."""
        ...

    def end(self) -> bytes:
        """Write the events that end the stream, once and whatever came before."""
        ...


class Dialect(Protocol):
    """One form of requests and answers.

    Attributes
    ----------
    name
        Its name in the configuration: ``openai``, ``anthropic`` or ``responses``.
    """

    name: str

    def read_request(self, fields: Mapping[str, Any]) -> Conversation:
        """Read the decoded fields of a request.

        Raises
        ------
        ApiError
            400, with the field as its ``param``, if the request has a form that no provider of
            this dialect would take, or that cannot be served by another dialect.
        """
        ...

    def write_request(
        self, request: Conversation, model: str, *, max_output_tokens: int | None = None
    ) -> dict[str, Any]:
        """Return the fields of a request for the provider's ``model``.

        ``max_output_tokens`` is the model's own limit of an answer, for dialects whose requests
        must have one. Fields of the conversation that the dialect cannot say are added to its
        ``losses``.
        """
        ...

    def read_answer(self, body: bytes) -> list[AnswerPart]:
        """Read a whole answer; empty if it is none, ``Failed`` if it is an error."""
        ...

    def write_answer(
        self, parts: Iterable[AnswerPart], model: str, id: str, request: Conversation | None = None
    ) -> bytes:
        """Write a whole answer.

        ``model`` is the name that the client gets to see. ``id`` takes the place of the provider's
        id unless it is "". ``request`` is what the client asked in this dialect: some answers
        repeat parts of it, or depend on the form of its tools.
        """
        ...

    def stream_reader(self) -> StreamReader:
        """Return a reader of one streamed answer."""
        ...

    def stream_writer(
        self, model: str, id: str, request: Conversation | None = None
    ) -> StreamWriter:
        """Return a writer of one streamed answer; arguments as for ``write_answer``."""
        ...

    def write_error(
        self, status: int, message: str, *, kind: str, code: str | None, param: str | None
    ) -> bytes:
        """Write the body of an error; ``kind`` is OpenAI's type of it."""
        ...

    def write_stream_error(self, error: bytes) -> bytes:
        """Write the event of an error within a stream from the body of one."""
        ...
