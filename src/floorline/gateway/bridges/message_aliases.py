"""Ids by which other programs know an answer: of their messages and traces.

A chat front end or a tracer sends its own id with the request, in a header. It is noted when the
answer begins, and a bridge finds the decision by it. The latest ids are in the memory of the
process that answered; a moment later all are in the store, for other servers and after a restart.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from floorline.config.bridges import BridgeKind, BridgeSettings
from floorline.core.bounds import canonical_id
from floorline.errors import StoreUnavailable
from floorline.events import Decision, Owner
from floorline.gateway.completion_ids import MAX_CANDIDATES, CompletionIds
from floorline.gateway.header_text import header_text
from floorline.stores.message_ids import MessageId, MessageIdStore

log = logging.getLogger("floorline.gateway")

_GATHER_SECONDS = 0.05
"""Time in which ids gather for one commit: a thumb comes later than that."""
_RETRY_SECONDS = 1.0
"""Pause after an error of the database."""
_MOST_WAITING = 20_000
"""Most ids that wait for the store, as many as are in memory; the oldest are left out then."""
_FORGET_SECONDS = 3_600.0
"""Pause between two deletions of ids that are too old for feedback."""

_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def langfuse_observation(trace: str, observation: str) -> str:
    """Return the id under which a span of a trace is noted."""
    return f"{trace}-{observation}"


def _webhook(headers: Mapping[str, str]) -> Iterator[str]:
    yield headers.get("x-floorline-message", "")


def _open_webui(headers: Mapping[str, str]) -> Iterator[str]:
    # Titles, tags and follow-up questions carry the id of the answer that they are about.
    if not headers.get("x-openwebui-task"):
        yield headers.get("x-openwebui-message-id", "")


def _librechat(headers: Mapping[str, str]) -> Iterator[str]:
    yield headers.get("x-librechat-message-id", "")


def _langfuse(headers: Mapping[str, str]) -> Iterator[str]:
    yield headers.get("x-langfuse-trace-id", "")
    parent = _TRACE_PARENT.fullmatch(headers.get("traceparent", ""))
    if parent is not None:
        yield parent[1]
        yield langfuse_observation(*parent.groups())
    message = headers.get("x-librechat-message-id", "")
    if message:
        # LibreChat names the trace of a message so, and sends its thumbs there as scores.
        yield hashlib.sha256(message.encode("latin-1")).hexdigest()[:32]


_READERS: dict[BridgeKind, Callable[[Mapping[str, str]], Iterator[str]]] = {
    "webhook": _webhook,
    "open_webui": _open_webui,
    "librechat": _librechat,
    "langfuse": _langfuse,
}


class MessageAliases:
    """Ids of messages and traces of each tenant.

    5,000 of one tenant and 20,000 of all are in memory, and all that are not too old in the store.

    Parameters
    ----------
    bridges
        Returns the bridges that are configured now; without any no id is noted.
    store
        Keeps the ids.
    max_age
        Returns the age in seconds up to which a decision may get feedback.
    clock
        Returns the Unix time in seconds.
    """

    def __init__(
        self,
        bridges: Callable[[], Sequence[BridgeSettings]],
        store: MessageIdStore,
        max_age: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._bridges = bridges
        self._store = store
        self._max_age = max_age
        self._clock = clock
        self._ids = CompletionIds()
        self._waiting: deque[MessageId] = deque(maxlen=_MOST_WAITING)
        self._noted = asyncio.Event()
        self._failing = False

    def note(self, decision: Decision, headers: Mapping[str, str]) -> None:
        """Note the ids that came with a request; headers have names in lower case."""
        for bridge in self._bridges():
            if (bridge.tenant or "") != decision.tenant:
                continue
            for id in _READERS[bridge.kind](headers):
                if id:
                    known = canonical_id(header_text(id))
                    self._ids.note(Owner(decision.tenant), known, decision.id)
                    self._waiting.append(
                        MessageId(decision.tenant, known, decision.id, decision.at)
                    )
                    self._noted.set()

    async def decisions(self, tenant: str, ids: Collection[str]) -> dict[str, list[str]]:
        """Return the decisions of a tenant that each of some ids may mean, the latest first.

        While the store is away, what this process answered itself is found.

        Raises
        ------
        StoreUnavailable
            If the store cannot be read and this process does not know one of the ids.
        """
        names = {id: canonical_id(id) for id in ids}
        noted = {name: self._ids.decisions(Owner(tenant), name) for name in names.values()}
        stored: Mapping[str, list[str]] = {}
        try:
            stored = await asyncio.to_thread(self._store.find, tenant, noted) if noted else {}
        except StoreUnavailable:
            if not all(noted.values()):
                raise
        return {
            id: list(dict.fromkeys([*noted[name], *stored.get(name, ())]))[:MAX_CANDIDATES]
            for id, name in names.items()
        }

    async def run(self) -> None:
        """Write noted ids to the store, and delete old ones, until it is cancelled."""
        deleting = asyncio.create_task(self._delete_old())
        try:
            while True:
                await self._noted.wait()
                self._noted.clear()
                await asyncio.sleep(_GATHER_SECONDS)
                while not await self._write():
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            deleting.cancel()

    async def stop(self) -> None:
        """Write what waits, if the store can be reached."""
        await self._write()

    async def _write(self) -> bool:
        """Write what waits; whether that was possible."""
        rows = list(self._waiting)
        try:
            await asyncio.to_thread(self._store.add, rows)
        except StoreUnavailable as error:
            if not self._failing:
                log.warning("ids of messages wait for the store: %s", error)
            self._failing = True
            return False
        self._failing = False
        # What was noted meanwhile is behind them, unless so much came that they were left out.
        for row in rows:
            if not self._waiting or self._waiting[0] is not row:
                break
            self._waiting.popleft()
        return True

    async def _delete_old(self) -> None:
        while True:
            if self._bridges():
                try:
                    before = self._clock() - self._max_age()
                    await asyncio.to_thread(self._store.forget, before)
                except StoreUnavailable as error:
                    log.warning("cannot delete old ids of messages: %s", error)
            await asyncio.sleep(_FORGET_SECONDS)
