"""One attempt: send a request and classify the answer, up to the first content of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from floorline.config.provider import DialectName
from floorline.gateway.dialects.answer_parts import AnswerPart, Started
from floorline.gateway.dialects.conversation import Conversation
from floorline.gateway.dialects.events import is_running, named, with_answer_id
from floorline.gateway.dialects.registry import dialect_named
from floorline.gateway.upstreams.answer import (
    Answer,
    OnEnd,
    StreamedAnswer,
    ended_early,
    passed_headers,
    timed_out,
    too_large,
)
from floorline.gateway.upstreams.client import Client, Reply
from floorline.gateway.upstreams.completions import (
    fault_of,
    has_content,
    is_json_object,
    json_object_in,
    read_completion,
    read_embeddings,
    with_id,
)
from floorline.gateway.upstreams.dialect_readers import PassedReader, TranslatedReader, written_by
from floorline.gateway.upstreams.errors import UpstreamError
from floorline.gateway.upstreams.event_reader import EventReader, looks_like_events
from floorline.gateway.upstreams.findings import Findings
from floorline.gateway.upstreams.redaction import Redactor
from floorline.gateway.upstreams.refusals import Refusals
from floorline.gateway.upstreams.settings import UpstreamSettings
from floorline.gateway.upstreams.sse import SseReader
from floorline.gateway.upstreams.usage_shapes import read_usage
from floorline.gateway.upstreams.whole_as_stream import as_stream

_MAX_BEFORE_CONTENT = 2**20
"""Bytes of comments, pings and white space that are kept until content arrives."""


class Sent(NamedTuple):
    """A request to a provider.

    Attributes
    ----------
    body, stream, headers, query
        As for ``Client.send``.
    own_id
        Id that replaces the provider's in the answer; "" keeps the provider's.
    dialect
        Dialect of the client, into which the answer is translated if it is not the provider's.
    conversation
        What the client asked, for the writer of a translated answer.
    path
        Path below the endpoint, for requests in OpenAI's form that only it takes; "" for that of
        the kind's answers.
    """

    body: bytes
    stream: bool = False
    headers: Mapping[str, str] | None = None
    own_id: str = ""
    dialect: DialectName = "openai"
    query: str = ""
    conversation: Conversation | None = None
    path: str = ""


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
        self._dialect = settings.dialect
        self._client = client
        self._redactor = Redactor(settings.secrets())
        self._refusals = Refusals(name, settings, self._redactor, wall_clock)

    async def make(self, sent: Sent, *, drop_usage: bool, began: float, on_end: OnEnd) -> Answer:
        """Send a request; return a whole answer, or a stream that has begun.

        Parameters
        ----------
        sent
            The request.
        drop_usage
            Whether to remove the chunk that carries the usage from a stream of chat completions.
        began
            When the call began in the event loop's time, for ``timeouts.total``.
        on_end
            Called at the end of a stream.

        Raises
        ------
        UpstreamError
            If there is no completion: also for an error that is the client's own, which it has then
            as its ``answer``.
        """
        time = asyncio.get_running_loop().time
        body, stream, own_id = sent.body, sent.stream, sent.own_id
        timeouts = self._settings.timeouts
        deadline = began + timeouts.total
        due = min(time() + timeouts.first_byte, deadline)
        first_byte = None
        reply: Reply | None = None
        reader: EventReader | None = None
        try:
            async with asyncio.timeout_at(due) as limit:
                reply = await self._client.send(
                    body, stream=stream, headers=sent.headers, path=sent.path, query=sent.query
                )
                data = await self._first_bytes(reply)
                streamed = stream and 200 <= reply.status < 300
                if streamed and data and looks_like_events(data):
                    reader = self._reader(sent, drop_usage=drop_usage)
                    data = await self._until_content(reply, data, reader)
                    first_byte = time() - began
                else:
                    first_byte = time() - began
                    data = await self._rest(reply, data, limit, deadline)
            if reader is not None:
                answer = self._stream(reply, data, reader, began, deadline, on_end, body)
            elif streamed:
                answer = self._unstreamed(reply, data, sent)
            else:
                answer = self._whole(reply, data, sent)
            answer.own_id = own_id
        except TimeoutError:
            self._abort(reply)
        except BaseException as error:
            self._abort(reply)
            if reply is not None and isinstance(error, UpstreamError):
                error.headers = passed_headers(reply.headers)
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

    async def ask(self, sent: Sent, path: str) -> tuple[int, bytes]:
        """Send a request to another path; return status and body of an answer without an error.

        Raises
        ------
        UpstreamError
            As for ``make``.
        """
        time = asyncio.get_running_loop().time
        timeouts = self._settings.timeouts
        deadline = time() + timeouts.total
        reply: Reply | None = None
        try:
            async with asyncio.timeout_at(min(time() + timeouts.first_byte, deadline)) as limit:
                reply = await self._client.send(
                    sent.body, stream=False, headers=sent.headers, path=path, query=sent.query
                )
                data = await self._rest(reply, await reply.read(), limit, deadline)
        except TimeoutError:
            self._abort(reply)
            what = f"no answer within {timeouts.first_byte:g} s"
            raise timed_out(self._name, what, "first_byte") from None
        except BaseException:
            self._abort(reply)
            raise
        if not 200 <= reply.status < 300:
            raise self._refusals.of_status(reply.status, reply.headers, data, sent.body)
        if not is_json_object(data):
            raise self._refusals.of_success(data, "no JSON object", sent.body)
        return reply.status, data

    def _reader(self, sent: Sent, *, drop_usage: bool) -> EventReader:
        """Return the reader of a stream of the provider for the client's dialect."""
        own, client, own_id = self._own(sent), sent.dialect, sent.own_id
        if client != own:
            writer = dialect_named(client).stream_writer(
                self._settings.model, own_id, sent.conversation
            )
            end_mark = SseReader.end_mark if own == "openai" else b""
            reader = dialect_named(own).stream_reader()
            return TranslatedReader(reader, writer, client, end_mark=end_mark)
        if own == "openai":
            return SseReader(drop_usage=drop_usage, own_id=own_id)
        return PassedReader(dialect_named(own).stream_reader(), own, own_id=own_id)

    def _own(self, sent: Sent) -> DialectName:
        """Return the dialect in which the provider answers."""
        return "openai" if sent.path else self._dialect

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
            if reply.ended:
                # Most answers arrive in one piece, and need no timer for a next one.
                break
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

    async def _first_bytes(self, reply: Reply) -> bytes:
        """Return the bytes up to the first ones that are no white space.

        Some providers send empty lines while a call waits, so that its connection stays open.
        """
        data = part = await reply.read()
        while part and part.isspace():
            part = await reply.read()
            data += part
            if len(data) > self._settings.max_answer:
                raise too_large(self._name, self._settings.max_answer)
            if len(data) > _MAX_BEFORE_CONTENT:
                raise self._without_content()
        return data

    def _without_content(self) -> UpstreamError:
        text = f"the provider sent {_MAX_BEFORE_CONTENT >> 20} MiB before any content"
        return UpstreamError(f"model {self._name!r}: {text}", "invalid_response")

    async def _until_content(self, reply: Reply, start: bytes, reader: EventReader) -> bytes:
        """Read a stream until it has begun; return the bytes so far, as they are passed on.

        Comments, pings and chunks without content are kept until then, so that another model can
        serve in place of one that sends nothing else.
        """
        parts, size, data = [reader.feed(start)], len(start), start
        while not (reader.begun or reader.done or reader.found.error is not None):
            data = await reply.read()
            if not data:
                # What follows must not become a part of an event without its blank line.
                gap = b"\n\n" if reader.pending else b""
                parts += (reader.close(), gap)
                break
            size += len(data)
            if size > self._settings.max_answer:
                raise too_large(self._name, self._settings.max_answer)
            parts.append(reader.feed(data))
            # One event may be large, such as a picture.
            if size - reader.pending > _MAX_BEFORE_CONTENT and not reader.begun:
                raise self._without_content()
        return b"".join(parts)

    def _unstreamed(self, reply: Reply, body: bytes, sent: Sent) -> Answer:
        """Answer of a body that was to be a stream: a whole answer is passed on as one."""
        if not body:
            raise ended_early(self._name, retryable=True)
        own, client = self._own(sent), sent.dialect
        if client == own == "openai":
            completion = read_completion(body)
            if completion is None or completion.choices is None:
                raise self._refusals.of_success(body, "no server-sent events", sent.body)
            answer = self._whole(reply, body, sent)
            answer.turn_into_stream(as_stream(answer.start))
            return answer
        parts = dialect_named(own).read_answer(body)
        if not parts:
            raise self._refusals.of_success(body, "no server-sent events", sent.body)
        answer = self._whole(reply, body, sent)
        has_id = any(isinstance(part, Started) and part.id for part in parts)
        id = sent.own_id or ("" if has_id else answer.completion_id or "")
        writer = dialect_named(client).stream_writer(self._settings.model, id, sent.conversation)
        answer.turn_into_stream(writer.write(parts) + writer.end())
        if client != own:
            answer.written = partial(written_by, writer)
        return answer

    def _stream(
        self,
        reply: Reply,
        passed: bytes,
        reader: EventReader,
        began: float,
        deadline: float,
        on_end: OnEnd,
        request: bytes,
    ) -> Answer:
        if not reader.begun:
            if reader.found.error is not None:
                raise self._refusals.of_object(reader.found.error, request)
            raise self._refusals.of_success(passed, "a stream without content", request)
        if reader.found.error is not None:
            passed = self._redactor.body(passed)
        answer = StreamedAnswer(
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
        if isinstance(reader, TranslatedReader):
            answer.written = reader.written
        return answer

    def _whole(self, reply: Reply, body: bytes, sent: Sent) -> Answer:
        request = sent.body
        if not 200 <= reply.status < 300:
            raise self._refusals.of_status(reply.status, reply.headers, body, request)
        if sent.path == "/embeddings":
            return self._embeddings(reply, body, sent)
        if not sent.dialect == self._own(sent) == "openai":
            return self._whole_of_parts(reply, body, sent)
        found = Findings()
        completion = read_completion(body)
        if completion is None or completion.choices is None or completion.fault is not None:
            fault = None if completion is None else completion.fault
            raise self._refusals.of_success(body, "no chat completion", request, fault)
        found.add(completion)
        if not found.begun and not has_content(body):
            what = "a chat completion without content"
            raise self._refusals.of_success(body, what, request)
        body = with_id(body, sent.own_id) if sent.own_id else body
        return Answer(self._name, reply.status, reply.headers, body, found)

    def _whole_of_parts(self, reply: Reply, body: bytes, sent: Sent) -> Answer:
        """Answer that another dialect's reader reads: passed on, or translated for the client."""
        own, client, own_id, request = self._own(sent), sent.dialect, sent.own_id, sent.body
        parts: list[AnswerPart] = dialect_named(own).read_answer(body)
        if client != own:
            parts = named(parts, client)
        found = Findings()
        found.add_parts(parts)
        if not parts or found.error is not None:
            raise self._refusals.of_success(body, "no answer of its API", request, found.error)
        if not found.begun and not (client == own and is_running(body)):
            raise self._refusals.of_success(body, "an answer without content", request)
        if client != own:
            body = dialect_named(client).write_answer(
                parts, self._settings.model, own_id, sent.conversation
            )
        elif own_id:
            body = with_answer_id(body, own_id)
        answer = Answer(self._name, reply.status, reply.headers, body, found)
        if client != own and client == "responses":
            answer.written = partial(json_object_in, body)
        return answer

    def _embeddings(self, reply: Reply, body: bytes, sent: Sent) -> Answer:
        found = Findings()
        embeddings = read_embeddings(body)
        if embeddings is None or embeddings.data is None:
            fault = None if embeddings is None else fault_of(embeddings.error)
            raise self._refusals.of_success(body, "no list of embeddings", sent.body, fault)
        found.usage = read_usage(embeddings.usage)
        return Answer(self._name, reply.status, reply.headers, body, found)
