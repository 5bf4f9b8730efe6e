"""Logins of the dashboard: who they are for, until when they hold, and how many there can be."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

IDLE_SECONDS = 8 * 3_600.0
"""Time without a request after which a login ends: a working day."""
MOST_SECONDS = 7 * 86_400.0
"""Time after which a login ends in any case: a week, so that a screen on a wall stays useful."""
MOST_LOGINS = 1_000
"""Most logins at a time; one more ends the one that was used the longest ago."""
MOST_PER_KEY = 20
"""Most logins of one key at a time, so that one key cannot end those of all others."""


class Login(NamedTuple):
    """A login.

    Attributes
    ----------
    key
        Id of the key.
    csrf
        Token that the forms of this login carry.
    began, seen
        Times of its begin and of its last request, in seconds of a clock that never goes back.
    """

    key: str
    csrf: str
    began: float
    seen: float


class Logins:
    """The logins of one process; they end with it.

    The token in the browser's cookie is kept as a digest, so that what is in memory logs nobody in.

    Parameters
    ----------
    monotonic
        Returns seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._found: dict[str, Login] = {}

    def __len__(self) -> int:
        return len(self._found)

    def begin(self, key: str) -> str:
        """Log a key in, and return the token of its cookie."""
        now = self._monotonic()
        self._drop_old(now)
        own = [digest for digest, login in self._found.items() if login.key == key]
        for digest in own[: max(0, len(own) + 1 - MOST_PER_KEY)]:
            del self._found[digest]
        while len(self._found) >= MOST_LOGINS:
            del self._found[next(iter(self._found))]
        token = secrets.token_urlsafe(32)
        self._found[digest_of(token)] = Login(key, secrets.token_urlsafe(32), now, now)
        return token

    def use(self, digest: str) -> Login | None:
        """Return a login by the digest of its token, and count the request; None if it ended."""
        login = self.find(digest)
        if login is None:
            return None
        # The order of the dictionary is that of the last uses.
        del self._found[digest]
        self._found[digest] = login._replace(seen=self._monotonic())
        return login

    def find(self, digest: str) -> Login | None:
        """Return a login by its digest without counting a request."""
        login = self._found.get(digest)
        if login is None:
            return None
        if _over(login, self._monotonic()):
            del self._found[digest]
            return None
        return login

    def end(self, digest: str) -> None:
        """Log out."""
        self._found.pop(digest, None)

    def _drop_old(self, now: float) -> None:
        for digest in [digest for digest, login in self._found.items() if _over(login, now)]:
            del self._found[digest]


def digest_of(token: str) -> str:
    """Return the digest by which a token is kept; it has 256 random bits and needs no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def _over(login: Login, now: float) -> bool:
    return now - login.seen > IDLE_SECONDS or now - login.began > MOST_SECONDS
