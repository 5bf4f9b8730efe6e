"""One attempt: send a request and classify the answer, up to the first content of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from floorline.gateway.upstreams.answer import (
    Answer,
    OnEnd,
    StreamedAnswer,
    ended_early,
    timed_out,
    too_large,
)
from floorline.gateway.upstreams.client import Client, Reply
from floorline.gateway.upstreams.completions import (
    Findings,
    has_content,
    is_json_object,
    read_completion,
    with_id,
)
from floorline.gateway.upstreams.errors import UpstreamError, client_error_body
from floorline.gateway.upstreams.redaction import Redactor
from floorline.gateway.upstreams.retry import RETRIED_STATUSES, retry_after
from floorline.gateway.upstreams.settings import UpstreamSettings
from floorline.gateway.upstreams.sse import SseReader, looks_like_events

_CLIENT_ERRORS = frozenset({400, 404, 413, 422})
"""Statuses of errors in the client's request: the client gets the provider's answer."""
_KEY_ERRORS = frozenset({401, 403})
"""Statuses of errors in the gateway's key."""
_MAX_ERROR_BODY = 65_536
"""Bytes of a provider's error that are searched for secrets and passed on; more is no message."""
_MAX_QUOTE = 300
"""Characters of a provider's message that an error repeats."""


class Attempt:
    """Makes attempts at one model.

    Parameters
    ----------
    name
        The zoo's name of the model, for errors.
    settings
        How the model is called.
    client
        Sends the requests.
    wall_clock
        Returns the Unix time in seconds, for dates in ``Retry-After``.
    """

    def __init__(
        self,
        name: str,
        settings: UpstreamSettings,
        client: Client,
        wall_clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._settings = settings
        self._client = client
        self._wall_clock = wall_clock
        self._redactor = Redactor(settings.secrets())

    async def make(
        self,
        body: bytes,
        *,
        stream: bool,
        drop_usage: bool,
        headers: Mapping[str, str] | None,
        began: float,
        on_end: OnEnd,
        own_id: str = "",
    ) -> Answer:
        """Send a request; return a whole answer, or a stream that has begun.

        Parameters
        ----------
        body, stream, headers
            As for ``Client.send``.
        drop_usage
            Whether to remove the chunk that carries the usage from a stream.
        began
            When the call began in the event loop's time, for ``timeouts.total``.
        on_end
            Called at the end of a stream.
        own_id
            Id that replaces the provider's in a completion; "" keeps the provider's.

        Raises
        ------
        UpstreamError
            If there is no answer to pass on.
        """
        time = asyncio.get_running_loop().time
        timeouts = self._settings.timeouts
        deadline = began + timeouts.total
        due = min(time() + timeouts.first_byte, deadline)
        first_byte = None
        reply: Reply | None = None
        reader: SseReader | None = None
        try:
            async with asyncio.timeout_at(due) as limit:
                reply = await self._client.send(body, stream=stream, headers=headers)
                data = await reply.read()
                streamed = stream and 200 <= reply.status < 300
                if streamed and data and looks_like_events(data):
                    reader = SseReader(drop_usage=drop_usage, own_id=own_id)
                    data = await self._until_content(reply, data, reader)
                    first_byte = time() - began
                else:
                    first_byte = time() - began
                    data = await self._rest(reply, data, limit, deadline)
            if reader is not None:
                answer = self._stream(reply, data, reader, began, deadline, on_end)
            elif streamed:
                raise self._no_events(data)
            else:
                answer = self._whole(reply, data, own_id)
            answer.own_id = own_id
        except TimeoutError:
            self._abort(reply)
        except BaseException:
            self._abort(reply)
            raise
        else:
            answer.first_byte_s = first_byte
            answer.total_s = time() - began
            return answer
        if time() < deadline:
            if first_byte is None:
                what = f"no {'first byte' if reader is None else 'content'} within "
                what += f"{timeouts.first_byte:g} s"
                raise timed_out(self._name, what, "first_byte", retryable=True)
            raise timed_out(self._name, f"no chunk for {timeouts.idle:g} s", "idle")
        raise timed_out(self._name, f"no end within {timeouts.total:g} s", "total")

    @staticmethod
    def _abort(reply: Reply | None) -> None:
        if reply is not None:
            reply.abort()

    async def _rest(
        self, reply: Reply, start: bytes, limit: asyncio.Timeout, deadline: float
    ) -> bytes:
        time, idle = asyncio.get_running_loop().time, self._settings.timeouts.idle
        max_answer = self._settings.max_answer
        size, parts, data = len(start), [start], start
        while data:
            if size > max_answer:
                raise too_large(self._name, max_answer)
            limit.reschedule(min(deadline, time() + idle))
            try:
                data = await reply.read()
            except UpstreamError as error:
                # Part of an error message is useful; part of a completion is not.
                if reply.status >= 300:
                    break
                raise UpstreamError(str(error), "invalid_response") from None
            size += len(data)
            parts.append(data)
        return b"".join(parts)

    async def _until_content(self, reply: Reply, start: bytes, reader: SseReader) -> bytes:
        """Read a stream until it has begun; return the bytes so far, as they are passed on.

        Comments, pings and chunks without content are kept until then, so that another model can
        serve in place of one that sends nothing else.
        """
        parts, size, data = [reader.feed(start)], len(start), start
        while not (reader.begun or reader.done or reader.found.error is not None):
            data = await reply.read()
            if not data:
                parts.append(reader.close())
                break
            size += len(data)
            if size > self._settings.max_answer:
                raise too_large(self._name, self._settings.max_answer)
            parts.append(reader.feed(data))
        return b"".join(parts)

    def _no_events(self, body: bytes) -> UpstreamError:
        """Error of a body that is to be a stream, and is none."""
        if not body:
            return ended_early(self._name, retryable=True)
        return self._invalid_response(body, "no server-sent events")

    def _stream(
        self,
        reply: Reply,
        passed: bytes,
        reader: SseReader,
        began: float,
        deadline: float,
        on_end: OnEnd,
    ) -> Answer:
        if not reader.begun:
            if reader.found.error is not None:
                raise self._stream_error(reader.found.error)
            raise self._invalid_response(b"", "a stream without content")
        if reader.found.error is not None:
            passed = self._redactor.body(passed)
        return StreamedAnswer(
            self._name,
            reply,
            reader,
            passed,
            self._settings,
            self._redactor,
            began=began,
            deadline=deadline,
            on_end=on_end,
        )

    def _whole(self, reply: Reply, body: bytes, own_id: str) -> Answer:
        found = Findings()
        completion = read_completion(body)
        if 200 <= reply.status < 300:
            if completion is None or completion.choices is None or completion.fault is not None:
                raise self._invalid_response(body, "no chat completion")
            found.add(completion)
            if not found.begun and not has_content(body):
                raise self._invalid_response(body, "a chat completion without content")
            body = with_id(body, own_id) if own_id else body
        elif reply.status in _CLIENT_ERRORS:
            body = self._client_error(reply.status, body)
        else:
            raise self._status_error(reply, completion.fault if completion else None)
        return Answer(self._name, reply.status, reply.headers, body, found)

    def _client_error(self, status: int, body: bytes) -> bytes:
        """Body of an error that is the client's: the provider's own if it is a JSON object."""
        if len(body) <= _MAX_ERROR_BODY and is_json_object(body):
            return self._redactor.body(body)
        return client_error_body(
            f"model {self._name!r}: the provider answered {status}, and no JSON object"
        )

    def _status_error(self, reply: Reply, error: dict[str, Any] | None) -> UpstreamError:
        status = reply.status
        text = f"model {self._name!r}: the provider answered {status}"
        if status in _KEY_ERRORS:
            # The provider's message may repeat the key, whole or in part, so it is not shown.
            return UpstreamError(f"{text}: check the model's api_key", "status", status=status)
        return UpstreamError(
            text,
            "status",
            status=status,
            retry_after=retry_after(reply.headers.get("Retry-After"), self._wall_clock),
            retryable=status in RETRIED_STATUSES,
            quote=self._quote(error),
        )

    def _stream_error(self, error: dict[str, Any]) -> UpstreamError:
        """Error of a stream whose first event is an error."""
        code = error.get("code")
        status = code if type(code) is int and 400 <= code < 600 else 500
        text = f"model {self._name!r}: the provider's stream began with an error"
        return UpstreamError(
            text,
            "status",
            status=status,
            retryable=status in RETRIED_STATUSES,
            quote="" if status in _KEY_ERRORS else self._quote(error),
        )

    def _invalid_response(self, body: bytes, what: str) -> UpstreamError:
        completion = read_completion(body)
        return UpstreamError(
            f"model {self._name!r}: the provider sent {what}",
            "invalid_response",
            quote=self._quote(completion.fault if completion else None),
        )

    def _quote(self, error: dict[str, Any] | None) -> str:
        message = error.get("message") if error else None
        if not isinstance(message, str) or not message:
            return ""
        return " ".join(self._redactor.text(message[:_MAX_ERROR_BODY]).split())[:_MAX_QUOTE]
