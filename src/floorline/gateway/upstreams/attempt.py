"""One attempt: send a request and judge what comes back, up to the first byte of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from floorline.gateway.upstreams.answer import (
    Answer,
    End,
    StreamedAnswer,
    ended_early,
    late,
    too_large,
)
from floorline.gateway.upstreams.client import Client, Reply
from floorline.gateway.upstreams.completions import Findings, read_completion
from floorline.gateway.upstreams.errors import UpstreamError
from floorline.gateway.upstreams.retry import RETRIED, retry_after
from floorline.gateway.upstreams.settings import UpstreamSettings
from floorline.gateway.upstreams.sse import SseReader, looks_like_events

_CLIENTS_OWN = frozenset({400, 404, 413, 422})
_OUR_KEY = frozenset({401, 403})
_LONGEST_QUOTE = 300


class Attempt:
    """Makes attempts of one model.

    Parameters
    ----------
    name, settings
        The model and where it is.
    client
        Sends the requests.
    wall_clock
        Seconds since 1970, for dates in ``Retry-After``.
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
        self._secrets = settings.secrets()

    async def make(
        self,
        body: bytes,
        *,
        stream: bool,
        drop_usage: bool,
        headers: Mapping[str, str] | None,
        began: float,
        end: End,
    ) -> Answer:
        """Send a request; returns a whole answer, or a stream that has begun.

        Parameters
        ----------
        body, stream, headers
            As for ``Client.send``.
        drop_usage
            Keep the chunk of the usage from the client.
        began
            When the call began in the loop's time, for ``Timeouts.total``.
        end
            For a stream: told how it ended.

        Raises
        ------
        UpstreamError
            If there is no answer to hand out.
        """
        time = asyncio.get_running_loop().time
        timeouts = self._settings.timeouts
        deadline = began + timeouts.total
        due = min(time() + timeouts.first_byte, deadline)
        first_byte = None
        reply: Reply | None = None
        try:
            async with asyncio.timeout_at(due) as limit:
                reply = await self._client.send(body, stream=stream, headers=headers)
                data = await reply.read()
                first_byte = time() - began
                streamed = stream and 200 <= reply.status < 300
                if not streamed:
                    data = await self._rest(reply, data, limit, deadline)
            if streamed:
                answer = self._stream(reply, data, drop_usage, began, deadline, end)
            else:
                answer = self._whole(reply, data)
        except TimeoutError:
            self._give_up(reply)
        except BaseException:
            self._give_up(reply)
            raise
        else:
            answer.first_byte_s = first_byte
            answer.total_s = time() - began
            return answer
        if time() < deadline:
            if first_byte is None:
                what = f"no first byte within {timeouts.first_byte:g} s"
                raise late(self._name, what, "first_byte", retryable=True)
            raise late(self._name, f"silent for {timeouts.idle:g} s", "idle")
        raise late(self._name, f"not at its end within {timeouts.total:g} s", "total")

    @staticmethod
    def _give_up(reply: Reply | None) -> None:
        if reply is not None:
            reply.abort()

    async def _rest(
        self, reply: Reply, start: bytes, limit: asyncio.Timeout, deadline: float
    ) -> bytes:
        time, idle = asyncio.get_running_loop().time, self._settings.timeouts.idle
        most = self._settings.max_body
        size, parts, data = len(start), [start], start
        while data:
            if size > most:
                raise too_large(self._name, most)
            limit.reschedule(min(deadline, time() + idle))
            try:
                data = await reply.read()
            except UpstreamError as error:
                # Of an error enough is known; half a completion is none.
                if reply.status >= 300:
                    break
                raise UpstreamError(str(error), "invalid_response") from None
            size += len(data)
            parts.append(data)
        return b"".join(parts)

    def _stream(
        self,
        reply: Reply,
        start: bytes,
        drop_usage: bool,
        began: float,
        deadline: float,
        end: End,
    ) -> Answer:
        if not start:
            raise ended_early(self._name, retryable=True)
        if not looks_like_events(start):
            raise self._invalid_response(start, "no stream of events")
        reader = SseReader(drop_usage=drop_usage)
        passed = reader.feed(start)
        if not reader.chunks:
            if reader.found.error is not None:
                raise self._failed(reader.found.error)
            if reader.malformed:
                raise self._invalid_response(start, "a stream of something else than chunks")
        return StreamedAnswer(
            self._name,
            reply,
            reader,
            passed,
            self._settings,
            began=began,
            deadline=deadline,
            end=end,
        )

    def _whole(self, reply: Reply, body: bytes) -> Answer:
        found = Findings()
        completion = read_completion(body)
        if 200 <= reply.status < 300:
            if completion is None or completion.choices is None or completion.error is not None:
                raise self._invalid_response(body, "no chat completion")
            found.add(completion)
        elif reply.status in _CLIENTS_OWN:
            for secret in self._secrets:
                body = body.replace(secret.encode(), b"***")
        else:
            raise self._refused(reply, completion.fault if completion else None)
        kind = reply.headers.get("Content-Type", "application/json")
        return Answer(self._name, reply.status, reply.headers, kind, body, found)

    def _refused(self, reply: Reply, error: dict[str, Any] | None) -> UpstreamError:
        status = reply.status
        text = f"model {self._name!r}: the provider answered {status}"
        if status in _OUR_KEY:
            # What it says may hold the key, whole or in part, so none of it is repeated.
            return UpstreamError(f"{text}: check the model's api_key", "status", status=status)
        return UpstreamError(
            text + self._quote(error),
            "status",
            status=status,
            retry_after=retry_after(reply.headers.get("Retry-After"), self._wall_clock),
            retryable=status in RETRIED,
        )

    def _failed(self, error: dict[str, Any]) -> UpstreamError:
        """Error of a stream that begins with one."""
        code = error.get("code")
        status = code if type(code) is int and 400 <= code < 600 else 500
        text = f"model {self._name!r}: the provider's stream began with an error"
        quote = "" if status in _OUR_KEY else self._quote(error)
        return UpstreamError(text + quote, "status", status=status, retryable=status in RETRIED)

    def _invalid_response(self, body: bytes, what: str) -> UpstreamError:
        completion = read_completion(body)
        quote = self._quote(completion.fault if completion else None)
        return UpstreamError(
            f"model {self._name!r}: the provider sent {what}{quote}", "invalid_response"
        )

    def _quote(self, error: dict[str, Any] | None) -> str:
        message = error.get("message") if error else None
        if not isinstance(message, str) or not message:
            return ""
        for secret in self._secrets:
            message = message.replace(secret, "***")
        return ": " + " ".join(message.split())[:_LONGEST_QUOTE]
