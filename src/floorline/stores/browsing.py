"""Queries for people who look through a log: bounded in time, however long the log is.

Every query reads a bounded number of rows through an index, in a transaction of its own, so that it
delays neither the writer nor the writer's checkpoints. A filter without an index reads the log
backwards in small steps, and ends after ``_SECONDS`` with what it found and where to go on.
Damaged events are left out and counted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from typing import Any, NamedTuple

import sqlalchemy as sa

from floorline.errors import StoreDamaged
from floorline.events import Decision, Event, Feedback, Outcome
from floorline.stores.integrity import column_text
from floorline.stores.marks import raw
from floorline.stores.reading import LogReader, all_columns
from floorline.stores.schema import CHANGES, events

_SECONDS = 2.0
"""Longest search in seconds, for about 80,000 decisions. A person waits for its page."""
_ROWS = 200
"""Rows read in one query: a few hundred kilobytes."""
_SPAN = 20_000
"""Positions that one query looks at, so that one without a match takes milliseconds."""
_PAUSE = 0.001
"""Seconds between two steps of a search. Decoding 200 rows holds the interpreter's lock for about
4 ms; a request that waits for it comes first then."""
_MAX_KEYS = 50
"""Most API keys whose decisions are merged by the index of keys: one query for each."""
_MAX_COUNT = 10_000
"""Largest number of decisions that are counted; a larger number is shown as this one."""
_MAX_NAMED = 1000
"""Most rows of one completion or session that are looked at, the latest ones."""
_MAX_CHANGES = 5000
"""Most changes that are read, the latest ones: a price change a day for thirteen years."""


class Wanted(NamedTuple):
    """Which decisions are looked for; all by default.

    Attributes
    ----------
    sla, model, tenant, key
        Names that they must have; None for any. The model "" is that of declined requests.
    keys
        Ids of all API keys that they can have, as far as these are known: with them the index finds
        the decisions of a tenant. None if they are not known.
    since
        Earliest Unix time in seconds.
    where
        Further condition; None for none.
    """

    sla: str | None = None
    model: str | None = None
    tenant: str | None = None
    key: str | None = None
    keys: tuple[str, ...] | None = None
    since: float = -math.inf
    where: Callable[[Decision], bool] | None = None

    def fits(self, decision: Decision) -> bool:
        """Whether a decision is wanted."""
        return (
            (self.sla is None or decision.sla == self.sla)
            and (self.model is None or decision.model == self.model)
            and (self.tenant is None or decision.tenant == self.tenant)
            and (self.key is None or decision.key == self.key)
            and decision.at >= self.since
            and (self.where is None or self.where(decision))
        )


class Found(NamedTuple):
    """Decisions that a search found, the latest first.

    Attributes
    ----------
    decisions
        Positions in the log and decisions.
    before
        Position before which the search goes on; None if nothing is left.
    timed_out
        Whether the search ended for lack of time before the page was full.
    damaged
        Number of damaged events that were left out.
    """

    decisions: list[tuple[int, Decision]]
    before: int | None
    timed_out: bool = False
    damaged: int = 0


class CallsOf(NamedTuple):
    """What became of a decision.

    Attributes
    ----------
    cost
        Real cost of its calls so far in the zoo's unit; None without an outcome.
    latency, first_token
        Seconds of the served call to its end and to its first content; None if unknown.
    input_tokens, cached_tokens, output_tokens
        Tokens of the served call; None if unknown.
    error
        Failure of the served call; None for none.
    score
        Latest score of the served response from 0 to 1; None without a label.
    """

    cost: float | None = None
    latency: float | None = None
    first_token: float | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    error: str | None = None
    score: float | None = None


class FoundCalls(NamedTuple):
    """Decisions that a search found with what became of them, the latest first.

    Attributes
    ----------
    rows
        Positions in the log, decisions, and what became of them.
    before, timed_out, damaged
        As in ``Found``.
    """

    rows: list[tuple[int, Decision, CallsOf]]
    before: int | None
    timed_out: bool = False
    damaged: int = 0


class KeyUse(NamedTuple):
    """How much an API key was used.

    Attributes
    ----------
    decisions
        Number of decisions, at most ``_MAX_COUNT``.
    more
        Whether there are more.
    last
        Unix time of the last one in seconds; None without any.
    """

    decisions: int
    more: bool
    last: float | None


class LogBrowser:
    """Searches in the log of a store, also while another thread or process writes it.

    Its methods block. Every method raises StoreUnavailable if the database raises an error.

    Parameters
    ----------
    reader
        Reader of the store.
    clock
        Returns seconds that never go back, for the time that a search takes.
    """

    def __init__(self, reader: LogReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._clock = clock

    def decisions(self, wanted: Wanted, *, before: int | None = None, most: int = 50) -> Found:
        """Return the latest decisions of a kind, the latest first.

        Parameters
        ----------
        wanted
            Which ones.
        before
            Only those before this position; None for all.
        most
            Most decisions to return.
        """
        search = _Search(self._reader, wanted)
        keys = (wanted.key,) if wanted.key is not None else wanted.keys
        if keys is not None and len(keys) <= _MAX_KEYS:
            seen = search.by_keys(keys, before)
        else:
            seen = search.backwards(before, self._reader.position_at(wanted.since))
        until = self._clock() + _SECONDS
        found: list[tuple[int, Decision]] = []
        for position, decision in seen:
            if decision is not None:
                found.append((position, decision))
            if len(found) > most:
                # One more than asked for: there is a next page.
                return Found(found[:most], found[most - 1][0], damaged=search.damaged)
            if self._clock() > until:
                return Found(found, position, timed_out=True, damaged=search.damaged)
        return Found(found, None, damaged=search.damaged)

    def with_calls(
        self,
        wanted: Wanted,
        *,
        before: int | None = None,
        most: int = 50,
        where: Callable[[Decision, CallsOf], bool] | None = None,
    ) -> FoundCalls:
        """Return the latest decisions with what became of them, the latest first.

        Parameters
        ----------
        wanted, before, most
            As for ``decisions``.
        where
            Condition that needs what became of a decision; None for none.
        """
        until = self._clock() + _SECONDS
        rows: list[tuple[int, Decision, CallsOf]] = []
        damaged = 0
        while True:
            part = most if where is None else max(most, _ROWS)
            found = self.decisions(wanted, before=before, most=part)
            damaged += found.damaged
            calls = self.calls([decision for _, decision in found.decisions])
            rows += [
                (position, decision, calls[decision.id])
                for position, decision in found.decisions
                if where is None or where(decision, calls[decision.id])
            ]
            if len(rows) > most:
                return FoundCalls(rows[:most], rows[most - 1][0], damaged=damaged)
            before = found.before
            timed_out = found.timed_out or (before is not None and self._clock() > until)
            if where is None or before is None or timed_out:
                return FoundCalls(rows, before, timed_out, damaged)

    def named(self, name: str, wanted: Wanted, most: int = 50) -> list[Decision]:
        """Return the decisions that a name means: their id, or that of a completion or session.

        Parameters
        ----------
        name
            The name.
        wanted
            Which decisions are looked for.
        most
            Most decisions to return, the latest ones.
        """
        ids = [column_text(name), *self._named_rows(name, wanted.tenant)]
        decisions = self._decisions(list(dict.fromkeys(ids)))
        return [decision for decision in decisions if wanted.fits(decision)][:most]

    def session(self, name: str, wanted: Wanted, most: int = 200) -> list[Decision]:
        """Return the latest turns of a session, in the order of the log."""
        decisions = self._decisions(self._named_rows(name, wanted.tenant, "decision"))
        turns = [one for one in decisions if one.session == name and wanted.fits(one)]
        return turns[:most][::-1]

    def _named_rows(self, name: str, tenant: str | None, kind: str | None = None) -> list[str]:
        """Column ``decision`` of the latest rows that clients name so, the latest first."""
        # From the index alone, because a client can give many rows one name.
        latest = sa.select(events.c.position).where(events.c.completion == column_text(name))
        if tenant:
            latest = latest.where(events.c.tenant == column_text(tenant))
        elif tenant is not None:
            latest = latest.where(events.c.tenant.is_(None))
        part = latest.order_by(events.c.position.desc()).limit(_MAX_NAMED).subquery()
        query = sa.select(raw(events.c.decision)).where(
            events.c.position.in_(sa.select(part.c.position))
        )
        if kind is not None:
            query = query.where(events.c.kind == kind)
        rows = self._reader.rows(query.order_by(events.c.position.desc()))
        return [row[0] for row in rows if isinstance(row[0], str)]

    def _decisions(self, names: Sequence[str | None]) -> list[Decision]:
        """Return the decisions of a column ``decision``, the latest first; without damaged ones."""
        if not names:
            return []
        query = all_columns().where(events.c.decision.in_(names), events.c.kind == "decision")
        rows = self._reader.rows(query.order_by(events.c.position.desc()))
        made = (self._event(row) for row in rows)
        return [event for event in made if isinstance(event, Decision)]

    def calls(self, decisions: Sequence[Decision]) -> dict[str, CallsOf]:
        """Return what became of decisions, by their id."""
        served = {column_text(one.id): one for one in decisions}
        found = {one.id: CallsOf() for one in decisions}
        query = all_columns().where(
            events.c.decision.in_(list(served)), events.c.kind.in_(("outcome", "feedback"))
        )
        seen = set()
        for row in self._reader.rows(query.order_by(events.c.position)) if served else ():
            event, decision = self._event(row), served.get(row[3])
            if decision is None:
                continue
            calls = found[decision.id]
            if isinstance(event, Feedback) and event.model == decision.model:
                found[decision.id] = calls._replace(score=float(event.score))
            elif isinstance(event, Outcome) and (decision.id, event.model) not in seen:
                # The first outcome of a call counts, as in the router.
                seen.add((decision.id, event.model))
                found[decision.id] = _with_outcome(calls, event, decision)
        return found

    def changes(self, most: int = _MAX_CHANGES) -> list[tuple[int, Event]]:
        """Return the latest changes of models, SLAs and the configuration, in the order of the log.

        Beside them warm starts, without their histories, and tombstones.
        """
        query = all_columns().where(CHANGES).order_by(events.c.position.desc()).limit(most)
        found = [(row[0], self._event(row)) for row in self._reader.rows(query)]
        return [(position, event) for position, event in reversed(found) if event is not None]

    def uses(self, keys: Sequence[str], since: float) -> dict[str, KeyUse]:
        """Return how much API keys were used since a Unix time in seconds, by their id.

        Keys for which there is no time left are missing, the last ones first.
        """
        until = self._clock() + _SECONDS
        found: dict[str, KeyUse] = {}
        for key in keys:
            if self._clock() > until:
                return found
            of_key = events.c.key == column_text(key)
            latest = sa.select(sa.func.max(events.c.at)).where(of_key)
            some = (
                sa.select(events.c.kind)
                .where(of_key, events.c.at >= max(since, -1e300))
                .limit(2 * _MAX_COUNT + 1)
                .subquery()
            )
            counted = sa.select(sa.func.count()).where(some.c.kind == "decision")
            count = int(self._reader.rows(counted)[0][0])
            last = self._reader.rows(latest)[0][0]
            found[key] = KeyUse(min(count, _MAX_COUNT), count > _MAX_COUNT, last)
        return found

    def _event(self, row: Sequence[Any]) -> Event | None:
        """Return the event of a row; None if it is damaged."""
        try:
            return self._reader.event(row)
        except StoreDamaged:
            return None


_Seen = Iterator[tuple[int, Decision | None]]
"""Positions up to which a search has come, each with the wanted decision there, if it is one."""


class _Search:
    """One search for decisions.

    Attributes
    ----------
    damaged
        Number of damaged events so far.
    """

    def __init__(self, reader: LogReader, wanted: Wanted) -> None:
        self._reader = reader
        self._wanted = wanted
        self.damaged = 0

    def backwards(self, before: int | None, start: int) -> _Seen:
        """Go from a position back to ``start``."""
        wanted, at = self._wanted, self._reader.end() if before is None else before
        query = all_columns().where(events.c.kind == "decision")
        if wanted.tenant is not None:
            name = column_text(wanted.tenant) if wanted.tenant else None
            query = query.where(events.c.tenant.is_not_distinct_from(name))
        if wanted.model is not None:
            query = query.where(events.c.model == column_text(wanted.model))
        while at > start:
            low = max(start, at - _SPAN)
            part = query.where(events.c.position >= low, events.c.position < at)
            rows = self._reader.rows(part.order_by(events.c.position.desc()).limit(_ROWS))
            for row in rows:
                yield int(row[0]), self._wanted_of(row)
            at = int(rows[-1][0]) if len(rows) == _ROWS else low
            yield at, None
            time.sleep(_PAUSE)

    def by_keys(self, keys: Sequence[str], before: int | None) -> _Seen:
        """Go through the decisions of API keys, the latest first, by the index of keys."""
        at = math.inf
        if before is not None:
            query = sa.select(raw(events.c.at)).where(events.c.position == before)
            rows = self._reader.rows(query)
            if not rows:
                return
            at = float(rows[0][0])
        streams = [self._of_key(key, at, before) for key in keys]
        for _, position, decision in merge(*streams, key=lambda item: item[:2], reverse=True):
            yield position, decision

    def _of_key(
        self, key: str, at: float, before: int | None
    ) -> Iterator[tuple[float, int, Decision | None]]:
        query = all_columns().where(events.c.key == column_text(key), events.c.kind == "decision")
        if self._wanted.since > -math.inf:
            query = query.where(events.c.at >= self._wanted.since)
        query = query.order_by(events.c.at.desc(), events.c.position.desc()).limit(_ROWS)
        while True:
            part = query
            if before is not None:
                earlier = sa.and_(events.c.at == at, events.c.position < before)
                part = query.where(events.c.at <= at, sa.or_(events.c.at < at, earlier))
            rows = self._reader.rows(part)
            for row in rows:
                yield float(row[2]), int(row[0]), self._wanted_of(row)
            if len(rows) < _ROWS:
                return
            before, at = int(rows[-1][0]), float(rows[-1][2])
            time.sleep(_PAUSE)

    def _wanted_of(self, row: Sequence[Any]) -> Decision | None:
        """Return the decision of a row if it is wanted and not damaged."""
        try:
            event = self._reader.event(row)
        except StoreDamaged:
            self.damaged += 1
            return None
        return event if isinstance(event, Decision) and self._wanted.fits(event) else None


def _with_outcome(calls: CallsOf, event: Outcome, decision: Decision) -> CallsOf:
    cost = float(event.cost) + (calls.cost or 0.0)
    if event.model != decision.model:
        return calls._replace(cost=cost)
    return CallsOf(
        cost,
        event.latency,
        event.first_token,
        event.input_tokens,
        event.cached_tokens,
        event.output_tokens,
        event.error,
        calls.score,
    )
