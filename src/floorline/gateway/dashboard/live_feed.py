"""Events for live pages: what changed, computed once for all viewers who may see the same."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from floorline.gateway.dashboard.rights import Rights
from floorline.gateway.dashboard.summary import summary
from floorline.gateway.errors import ApiError

if TYPE_CHECKING:
    from floorline.gateway.dashboard.dashboard import Dashboard
    from floorline.gateway.dashboard.viewer import Viewer

log = logging.getLogger("floorline.gateway")

_TICK_SECONDS = 2.0
"""Pause between two looks for changes: what pages lag behind, beside half a second of folding."""
_HEARTBEAT_SECONDS = 15.0
"""Silence after which a comment is sent, because proxies close connections that are silent for 30
to 60 s."""
_RETRY_SECONDS = 30
"""When a refused page tries again."""
_BEGIN = b"retry: 5000\n\n"
_HEARTBEAT = b": heartbeat\n\n"


class Subscription:
    """One viewer's place in the feed, with the newest event that it has not been sent yet.

    Parameters
    ----------
    viewer
        Who looks.
    """

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self._event = b""
        self._ended = False
        self._news = asyncio.Event()

    def put(self, event: bytes) -> None:
        """Send this event next, in place of one that was not sent yet."""
        self._event = event
        self._news.set()

    def probe(self) -> None:
        """Send a comment, so that the connection tells whether the viewer has left."""
        if not self._news.is_set():
            self.put(_HEARTBEAT)

    def end(self) -> None:
        """End the stream."""
        self._ended = True
        self._news.set()

    async def next(self) -> bytes | None:
        """Wait for the next event; a comment after long silence, None at the end."""
        try:
            async with asyncio.timeout(_HEARTBEAT_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return _HEARTBEAT
        if self._ended:
            return None
        self._news.clear()
        return self._event


class LiveFeed:
    """Looks for changes while anyone looks, and tells the viewers.

    Parameters
    ----------
    dashboard
        What is looked at.
    """

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        self._subscriptions: dict[Subscription, Rights] = {}
        self._last: dict[Rights, bytes] = {}
        self._making: dict[Rights, asyncio.Task[bytes]] = {}
        self._seen: object = None
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._subscriptions)

    async def subscribe(self, viewer: Viewer) -> Subscription:
        """Take up a viewer, whose first event is there at once.

        Raises
        ------
        ApiError
            503 if there are as many as there may be.
        """
        most = self._dashboard.gateway.config.settings.dashboard.max_viewers
        if len(self) >= most:
            raise ApiError(
                503,
                f"{most} pages are live already (dashboard.max_viewers): this one shows what it "
                "has until it is loaded again",
                code="too_many_viewers",
                retry_after=_RETRY_SECONDS,
            )
        subscription, rights = Subscription(viewer), Rights.of(viewer)
        self._subscriptions[subscription] = rights
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            subscription.put(await self._first_event(viewer, rights))
        except BaseException:
            self.unsubscribe(subscription)
            raise
        return subscription

    async def _first_event(self, viewer: Viewer, rights: Rights) -> bytes:
        """Return the newest event; several viewers who come at a time wait for the same one."""
        if rights in self._last:
            return self._last[rights]
        making = self._making.get(rights)
        if making is None:
            making = self._making[rights] = asyncio.create_task(self._event_for(viewer))
            making.add_done_callback(lambda _: self._making.pop(rights, None))
        event = await asyncio.shield(making)
        return self._last.setdefault(rights, event)

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a viewer who has left."""
        rights = self._subscriptions.pop(subscription, None)
        if rights is not None and rights not in self._subscriptions.values():
            self._last.pop(rights, None)

    async def _run(self) -> None:
        """Look for changes until no one looks."""
        while self._subscriptions:
            await asyncio.sleep(_TICK_SECONDS)
            try:
                await self._tick()
            except Exception:
                # The next look may succeed; pages show what they have until then.
                log.exception("live pages could not be told what changed")

    async def _tick(self) -> None:
        gateway = self._dashboard.gateway
        ending = gateway.readiness.stopping or not gateway.config.settings.dashboard.enabled
        for subscription in list(self._subscriptions):
            if ending or not self._dashboard.still_valid(subscription.viewer):
                subscription.end()
                self.unsubscribe(subscription)
        breakers = [(name, health.breaker) for name, health in gateway.upstreams.health().items()]
        # The last hour moves on with each minute. Pages are told at that time: told with the next
        # request of another tenant, they would tell of that request.
        minute = gateway.router.clock() // 60.0
        seen = (self._dashboard.history.version, breakers, minute)
        if seen == self._seen:
            return
        grouped: dict[Rights, list[Subscription]] = {}
        for subscription, rights in self._subscriptions.items():
            grouped.setdefault(rights, []).append(subscription)
        for rights, subscriptions in grouped.items():
            event = await self._event_for(subscriptions[0].viewer)
            # A viewer who comes meanwhile, and whose first event is older, gets this one.
            here = rights in self._subscriptions.values()
            if here and event != self._last.get(rights):
                self._last[rights] = event
                for subscription in subscriptions:
                    subscription.put(event)
        self._last = {rights: event for rights, event in self._last.items() if rights in grouped}
        self._seen = seen

    async def _event_for(self, viewer: Viewer) -> bytes:
        found = await summary(self._dashboard, viewer)
        return b"event: tick\ndata: " + msgspec.json.encode(found) + b"\n\n"


class EventsResponse(Response):
    """An answer that sends a viewer's events until they leave, are logged out, or a stop comes.

    Parameters
    ----------
    feed, subscription
        Where the events come from.
    """

    media_type = "text/event-stream"

    def __init__(self, feed: LiveFeed, subscription: Subscription) -> None:
        super().__init__()
        del self.headers["content-length"]
        self.headers["cache-control"] = "no-store"
        # nginx and others that know this header must not hold the stream back.
        self.headers["x-accel-buffering"] = "no"
        self._feed = feed
        self._subscription = subscription

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events."""
        leaving = asyncio.create_task(self._watch(receive))
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        try:
            await send(start)
            event: bytes | None = _BEGIN
            while event is not None:
                await send({"type": "http.response.body", "body": event, "more_body": True})
                event = await self._subscription.next()
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._feed.unsubscribe(self._subscription)
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leaving

    async def _watch(self, receive: Receive) -> None:
        """End the stream when the viewer leaves."""
        await receive()
        # A client that has ended its side of the connection may still read; the server asks for a
        # comment by further empty messages then.
        while (await receive())["type"] != "http.disconnect":
            self._subscription.probe()
        self._subscription.end()
