"""What clients share that send requests through another library instead of over HTTP."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from typing import Any

import msgspec

from floorline.gateway.lenient_json import read_value
from floorline.gateway.upstreams.errors import UpstreamError, client_error_body
from floorline.gateway.upstreams.provider_errors import read_object

_MAX_CAUSES = 5
"""Exceptions behind one of a library that are looked at; one of them has the provider's body."""


class WholeReply:
    """A whole answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    @property
    def ended(self) -> bool:
        """Whether the body has been read."""
        return not self._body

    async def read(self) -> bytes:
        """Return the body, then nothing."""
        body, self._body = self._body, b""
        return body

    def abort(self) -> None:
        """Do nothing: the answer is complete."""

    def release(self) -> None:
        """Do nothing: the answer is complete."""


class EventReply:
    """A stream of a library's chunks as server-sent events.

    Parameters
    ----------
    chunks
        The chunks, as objects of Pydantic.
    name
        The zoo's name of the model, for errors.
    explain
        Returns the provider's error object of an exception.
    """

    status = 200

    def __init__(
        self,
        chunks: AsyncIterator[Any],
        name: str,
        explain: Callable[[BaseException], dict[str, Any]],
    ) -> None:
        self.headers: Mapping[str, str] = {"Content-Type": "text/event-stream"}
        self._chunks = chunks
        self._name = name
        self._explain = explain
        self._ended = self._aborted = False
        self._pending: asyncio.Task[bytes] | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether the last event has been read."""
        return self._ended

    async def read(self) -> bytes:
        """Return the next event; empty after ``[DONE]``; UpstreamError if the stream broke."""
        if self._ended:
            return b""
        # A task of its own, which ``abort`` can cancel, and which outlasts a reader that leaves.
        if self._pending is None:
            self._pending = asyncio.create_task(self._next())
        try:
            data = await asyncio.shield(self._pending)
        except asyncio.CancelledError:
            if not self._aborted:
                raise
            what = "aborted"
        except Exception as error:
            what = type(error).__name__
            found = self._explain(error)
            if read_object(found).reason != "server_error":
                self._ended = True
                return b"data: " + msgspec.json.encode({"error": found}) + b"\n\n"
        else:
            self._pending = None
            return data
        raise UpstreamError(f"model {self._name!r}: the stream broke ({what})", "reset")

    async def _next(self) -> bytes:
        async for chunk in self._chunks:
            return b"data: " + msgspec.json.encode(_as_openai(chunk)) + b"\n\n"
        self._ended = True
        return b"data: [DONE]\n\n"

    def release(self) -> None:
        """Do nothing: the library has read the stream to its end."""

    def abort(self) -> None:
        """Close the stream and the provider's connection."""
        if self._aborted:
            return
        self._aborted = True
        if self._pending is not None:
            self._pending.cancel()
        self._closing = asyncio.create_task(self._close())

    async def _close(self) -> None:
        if self._pending is not None:
            # A generator cannot be closed while it runs.
            await asyncio.wait([self._pending])
        await self._chunks.aclose()  # type: ignore[attr-defined]


def _as_openai(chunk: Any) -> dict[str, Any]:
    fields: dict[str, Any] = chunk.model_dump(exclude_none=True)
    choices = fields.get("choices", [])
    if fields.get("usage") and not any(c.get("delta") or c.get("finish_reason") for c in choices):
        # OpenAI's chunk with the usage has no choices; those of libraries have an empty one.
        fields["choices"] = []
    return fields


class SdkClient(ABC):
    """Sends requests to one model through a library.

    Parameters
    ----------
    name
        The zoo's name of the model, for errors.
    fields
        Fields of a request that become arguments of the library's function. It has further
        arguments, such as the address to which the key is sent, which a client must not be able to
        set.
    """

    def __init__(self, name: str, fields: Collection[str]) -> None:
        self._name = name
        self._fields = fields

    @abstractmethod
    async def _complete(
        self, arguments: dict[str, Any], others: dict[str, Any], headers: Mapping[str, str]
    ) -> Any:
        """Call the library's function, and return its answer or its stream.

        Parameters
        ----------
        arguments
            Fields of the request that are arguments.
        others
            Its other fields, which are sent to the provider as they are.
        headers
            Headers of this request.
        """

    @abstractmethod
    def _refusal(self, error: Exception) -> WholeReply | None:
        """Return the provider's answer from an exception; None if there was no connection."""

    @abstractmethod
    def _explain(self, error: BaseException) -> dict[str, Any]:
        """Return the provider's error object from an exception, as far as it is kept."""

    async def send(
        self,
        body: bytes,
        *,
        stream: bool,
        headers: Mapping[str, str] | None,
        path: str = "",
        query: str = "",
    ) -> WholeReply | EventReply:
        """Send a request; return its answer once it begins, else UpstreamError."""
        if path:
            text = f"this model is called through a library without {path}: name another model"
            return error_reply(404, client_error_body(text))
        try:
            # Libraries take values, so that of odd ones not every byte is kept.
            request: dict[str, Any] = read_value(body)
        except ValueError as error:
            text = f"the request cannot be read: {error}"
            return error_reply(400, client_error_body(text))
        arguments = {key: value for key, value in request.items() if key in self._fields}
        others = {
            key: value
            for key, value in request.items()
            if key not in self._fields and key != "model"
        }
        try:
            answer = await self._complete(arguments, others, headers or {})
        except Exception as error:
            refused = self._refusal(error)
            if refused is not None:
                return refused
        else:
            if stream:
                return EventReply(answer, self._name, self._explain)
            body = msgspec.json.encode(answer.model_dump())
            return WholeReply(200, {"Content-Type": "application/json"}, body)
        raise UpstreamError(f"model {self._name!r}: no connection", "connect", retryable=True)


def error_reply(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> WholeReply:
    """Return an answer with an error's body; of the headers it keeps ``Retry-After``."""
    kept = {
        key.title(): value for key, value in (headers or {}).items() if key.lower() == "retry-after"
    }
    kept["Content-Type"] = "application/json"
    return WholeReply(int(status), kept, body)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those behind it."""
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None:
            break
        yield cause
        cause = cause.__cause__ or cause.__context__


def error_object(error: BaseException, message: str, code: str | None) -> dict[str, Any]:
    """Return the provider's error object from the first exception that has its body.

    Parameters
    ----------
    error
        Exception of a library.
    message, code
        What it says if there is no body.
    """
    found: dict[str, Any] = {
        "message": message,
        "type": "invalid_request_error",
        "param": None,
        "code": code,
    }
    for cause in causes(error):
        body = getattr(cause, "body", None)
        if isinstance(body, list) and body:
            # Google sends a list of one error.
            body = body[0]
        if isinstance(body, dict):
            body = body.get("error", body)
        if isinstance(body, str):
            return found | {"message": body}
        if isinstance(body, dict):
            return found | {key: value for key, value in body.items() if value is not None}
    return found
