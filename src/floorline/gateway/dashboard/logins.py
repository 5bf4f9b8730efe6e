"""Logins of the dashboard: who they are for, until when they hold, and how many there can be."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

from floorline.errors import FloorlineError
from floorline.gateway.token_bucket import TokenBucket
from floorline.stores.logins import Login, LoginStore

log = logging.getLogger("floorline.gateway")

IDLE_SECONDS = 8 * 3_600.0
"""Time without a request after which a login ends: a working day."""
MOST_SECONDS = 7 * 86_400.0
"""Time after which a login ends in any case: a week, so that a screen on a wall stays useful."""
MOST_LOGINS = 1_000
"""Most logins at a time; one more ends the one that was used the longest ago."""
MOST_PER_KEY = 20
"""Most logins of one key at a time, so that one key cannot end those of all others."""
FRESH_SECONDS = 2.0
"""Time for which a login is not looked up again: what a logout in another process takes, as a
revoked key does."""
SAW_SECONDS = 300.0
"""Time between two writes of a login's last use: short against ``IDLE_SECONDS``."""
UNKNOWN_PER_MINUTE = 1_200.0
"""Tokens a minute that are looked up without being known. Anyone can send any; a person who comes
from another process, or after a restart, sends one that is found."""


class _Known(NamedTuple):
    """A login, and when it was looked up, in seconds of a clock that never goes back."""

    login: Login
    read_at: float


class Logins:
    """The logins of all processes of a gateway, kept in its store.

    What this process knows is used while the store cannot be read, because that is when operators
    look at the dashboard.

    Parameters
    ----------
    store
        Where they are kept.
    clock
        Returns the Unix time in seconds.
    monotonic
        Returns seconds that never go back.
    """

    def __init__(
        self,
        store: LoginStore,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        # Logged out here: a look-up that began before must not bring one back.
        self._ended: dict[str, None] = {}
        self._unknown = TokenBucket(UNKNOWN_PER_MINUTE, monotonic())
        self._looking: dict[str, asyncio.Task[Login | None]] = {}

    async def begin(self, key: str) -> str:
        """Log a key in, and return the token of its cookie."""
        now = self._clock()
        token = secrets.token_urlsafe(32)
        login = Login(key, secrets.token_urlsafe(32), now, now)
        try:
            await asyncio.to_thread(self._add, digest_of(token), login)
        except FloorlineError as error:
            log.warning("a login is known to this process only: %s", error)
        self._remember(digest_of(token), login)
        return token

    async def use(self, digest: str) -> Login | None:
        """Return a login by the digest of its token, and count the request; None if it ended."""
        known = self._known.get(digest)
        if known is not None and self._monotonic() - known.read_at < FRESH_SECONDS:
            login: Login | None = known.login
        else:
            login = await self._look_up(digest)
        now = self._clock()
        if login is None or digest in self._ended or _over(login, now):
            self._known.pop(digest, None)
            return None
        if now - login.seen > SAW_SECONDS:
            login = login._replace(seen=now)
            self._remember(digest, login)
            try:
                await asyncio.to_thread(self._store.saw, digest, now)
            except FloorlineError as error:
                log.warning("the last use of a login is not kept: %s", error)
        return login

    def holds(self, digest: str) -> bool:
        """Whether a login has not ended, for answers that last; does not count as a request.

        What another process ended is found some seconds later.
        """
        known = self._known.get(digest)
        if known is None or _over(known.login, self._clock()):
            return False
        if self._monotonic() - known.read_at >= FRESH_SECONDS and digest not in self._looking:
            self._start_looking(digest)
        return True

    async def end(self, digest: str) -> None:
        """Log out.

        Raises
        ------
        StoreUnavailable
            If other processes cannot be told.
        """
        self._ended[digest] = None
        while len(self._ended) > MOST_LOGINS:
            del self._ended[next(iter(self._ended))]
        self._known.pop(digest, None)
        await asyncio.to_thread(self._store.remove, [digest])

    async def _look_up(self, digest: str) -> Login | None:
        """Read a login from the store; requests of a page that come together wait for one look."""
        unknown = digest not in self._known and digest not in self._looking
        if unknown and self._unknown.take(UNKNOWN_PER_MINUTE, self._monotonic()) > 0.0:
            return None
        task = self._looking.get(digest) or self._start_looking(digest)
        return await asyncio.shield(task)

    def _start_looking(self, digest: str) -> asyncio.Task[Login | None]:
        task = self._looking[digest] = asyncio.create_task(self._read(digest))
        task.add_done_callback(lambda _: self._looking.pop(digest, None))
        return task

    async def _read(self, digest: str) -> Login | None:
        try:
            login = await asyncio.to_thread(self._store.get, digest)
        except FloorlineError as error:
            known = self._known.get(digest)
            log.warning("logins cannot be read: %s", error)
            return None if known is None else known.login
        if login is None:
            self._known.pop(digest, None)
        else:
            self._remember(digest, login)
        return login

    def _remember(self, digest: str, login: Login) -> None:
        self._known.pop(digest, None)
        if digest in self._ended:
            return
        self._known[digest] = _Known(login, self._monotonic())
        while len(self._known) > MOST_LOGINS:
            del self._known[next(iter(self._known))]

    def _add(self, digest: str, login: Login) -> None:
        """Add a login in place of those that are over, and of the oldest ones above the bounds."""
        others = self._store.all()
        over = [name for name, other in others.items() if _over(other, login.began)]
        left = [name for name in others if name not in set(over)]
        own = [name for name in left if others[name].key == login.key]
        over += own[: max(0, len(own) + 1 - MOST_PER_KEY)]
        left = [name for name in left if name not in set(over)]
        over += left[: max(0, len(left) + 1 - MOST_LOGINS)]
        self._store.remove(over)
        self._store.add(digest, login)


def digest_of(token: str) -> str:
    """Return the digest by which a token is kept; it has 256 random bits and needs no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def _over(login: Login, now: float) -> bool:
    return now - login.seen > IDLE_SECONDS or now - login.began > MOST_SECONDS
