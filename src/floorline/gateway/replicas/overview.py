"""All servers and the learner, as ``/v1/replicas`` and the dashboard show them."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import msgspec

from floorline.errors import StoreUnavailable
from floorline.gateway.replicas.breaker_hints import reports_of
from floorline.gateway.upstreams import OpenBreaker
from floorline.replication.members import VERSION, Member
from floorline.replication.replica_store import ReplicaStore
from floorline.replication.survey import Survey, shares_held, survey

STATE_AGE, SPOOLED, SPOOLED_BYTES = "state_age", "spooled", "spooled_bytes"
"""Fields of a server's status: age of its state in seconds, and what waits in its spool."""
_FRESH_SECONDS = 1.0
"""Age up to which an answer, or a failure, is given again: many viewers cost the database one."""
_MAX_TEXT = 200
"""Most characters of a text of another server that is shown."""
_GONE_SECONDS = 10.0
"""Time without a sign of life after which a server is shown as gone."""


class Server(msgspec.Struct, frozen=True):
    """One server.

    Attributes
    ----------
    id
        Its name, with which the ids of its decisions begin.
    host, process, version
        Machine, number of the process there, and version of Floorline, as it says.
    is_this
        Whether it is the one that answers.
    is_serving
        Whether it gave a sign of life within 10 s.
    seen_seconds
        Seconds since its last sign of life, of which one comes every 2 s.
    state_position, state_age_seconds
        Number of events in the state by which it decides, and seconds since the learner was at work
        on it; null if it did not say.
    spooled_events, spooled_bytes
        Events in its spool, and their size.
    shares
        Number of budgets and rates of which it has a share.
    breakers
        Its open circuit breakers.
    """

    id: str
    host: str
    process: int | None
    version: str
    is_this: bool
    is_serving: bool
    seen_seconds: float
    state_position: int | None
    state_age_seconds: float | None
    spooled_events: int
    spooled_bytes: int
    shares: int
    breakers: list[OpenBreaker]


class LearnerView(msgspec.Struct, frozen=True):
    """The learner.

    Attributes
    ----------
    holder
        Machine and process that took the lease last.
    epoch
        Number of that lease; each new learner has a higher one.
    lease_seconds
        Seconds for which the lease holds; negative if no learner is at work.
    published_position, published_age_seconds
        Number of events in the published state, and seconds since the learner confirmed it; null
        before the first.
    """

    holder: str
    epoch: int
    lease_seconds: float
    published_position: int | None
    published_age_seconds: float | None


class ReplicasView(msgspec.Struct, frozen=True):
    """All servers of one log, and their learner.

    Attributes
    ----------
    servers
        Servers, the oldest first. One that is gone stays until the learner has closed its calls.
    learner
        The learner; null if none has been at work.
    inbox_events
        Events that wait for the learner; 10,000 stands for more, too.
    database_failure
        Why the database cannot be read; null if it can. The rest is then as it was read last.
    read_seconds_ago
        Age of the answer in seconds.
    object
        Names the kind of this JSON object.
    """

    servers: list[Server]
    learner: LearnerView | None
    inbox_events: int
    database_failure: str | None
    read_seconds_ago: float
    object: str = "floorline.replicas"


class ReplicaOverview:
    """Reads what all servers and the learner say, at most once a second.

    Parameters
    ----------
    store
        Store of this replica.
    """

    def __init__(self, store: ReplicaStore) -> None:
        self._store = store
        self._reading = asyncio.Lock()
        # Of the last reading that succeeded, and of the last one.
        self._read_at = self._looked_at = -math.inf
        self._seen = Survey([], None, 0)
        self._shares: dict[str, int] = {}
        self._failure: str | None = None

    async def read(self) -> ReplicasView:
        """Return what is known now; while the database is away, what was read last."""
        async with self._reading:
            if time.monotonic() - self._looked_at > _FRESH_SECONDS:
                await self._look()
                self._looked_at = time.monotonic()
        age = time.monotonic() - self._read_at
        learner = self._seen.learner
        return ReplicasView(
            servers=[self._server(member) for member in self._seen.members],
            learner=None
            if learner is None
            else LearnerView(
                learner.holder[:_MAX_TEXT],
                learner.epoch,
                learner.lease_left,
                learner.position,
                learner.age,
            ),
            inbox_events=self._seen.inbox,
            database_failure=self._failure,
            read_seconds_ago=age if math.isfinite(age) else 0.0,
        )

    async def _look(self) -> None:
        if self._store.is_away:
            self._failure = "it is known to be away"
            return
        try:
            self._seen, self._shares = await asyncio.to_thread(self._read)
        except StoreUnavailable as error:
            self._failure = str(error)
        else:
            self._failure, self._read_at = None, time.monotonic()

    def _read(self) -> tuple[Survey, dict[str, int]]:
        return survey(self._store.engine), shares_held(self._store.engine)

    def _server(self, member: Member) -> Server:
        status = member.status
        return Server(
            id=member.id,
            host=_text(status.get("host")),
            process=_count(status.get("process")),
            version=_text(status.get(VERSION)),
            is_this=member.id == self._store.replica,
            is_serving=member.age <= _GONE_SECONDS,
            seen_seconds=max(0.0, member.age),
            state_position=_count(status.get("state")),
            state_age_seconds=_seconds(status.get(STATE_AGE)),
            spooled_events=_count(status.get(SPOOLED)) or 0,
            spooled_bytes=_count(status.get(SPOOLED_BYTES)) or 0,
            shares=self._shares.get(member.id, 0),
            breakers=[report.breaker for report in reports_of(member)],
        )


# What another server says may be of another version, or damaged.
def _text(value: Any) -> str:
    return value[:_MAX_TEXT] if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _seconds(value: Any) -> float | None:
    if type(value) not in (int, float) or not math.isfinite(value):
        return None
    return max(0.0, float(value))
