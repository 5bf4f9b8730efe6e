"""Queries on a store: events, decisions, feedback, snapshots, prompts and documents."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from floorline.errors import InvalidInput, StoreDamaged
from floorline.events import (
    UNSEEN,
    Decision,
    Event,
    Feedback,
    Judgement,
    Outcome,
    Recall,
    WarmStart,
)
from floorline.state.fold import MAX_KEYS
from floorline.stores import marks
from floorline.stores.engine import store_errors, url_without_password
from floorline.stores.integrity import column_text, event_checksum, genesis, next_link, row_checksum
from floorline.stores.marks import START, Mark, raw
from floorline.stores.packing import unpack_event
from floorline.stores.schema import (
    ARTEFACT,
    CHANGES,
    INITIAL_STATE,
    documents,
    events,
    prompts,
    snapshots,
)
from floorline.stores.unknown_events import UnknownEvent

_log = logging.getLogger("floorline.store")

_PAGE_SIZE = 1000
"""Number of events read in one transaction; bounds its duration and the memory."""
_MAX_COSTS = 100_000
"""Number of a key's latest decisions whose costs are read at a start; it bounds the time."""
_MAX_IDS_PER_QUERY = 5000
"""Number of ids in one query; databases limit the number of its parameters."""


class GivenFeedback(NamedTuple):
    """Feedback on one decision, and what judges said, as a ``Recall`` has it.

    Attributes
    ----------
    scores
        Latest score by model name.
    keys
        Keys of the latest messages.
    weights
        Weight and influence by model name, of the labels that have others than 1.
    judged
        What judges said first, by judge and model name: the score, or None without one.
    unseen
        By judge: names of the models whose responses it was to see and did not.
    """

    scores: dict[str, float]
    keys: list[str]
    weights: dict[str, tuple[float, float]]
    judged: dict[str, dict[str, float | None]]
    unseen: dict[str, list[str]]


class LogReader:
    """Reader of the durable content of a store, also while another process writes it.

    Every method raises StoreUnavailable if the database raises an error.

    Parameters
    ----------
    engine
        Engine of the store.

    Attributes
    ----------
    recovered_from : int
        Position of the snapshot from which ``recover`` restored a state; 0 for none.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.recovered_from = 0
        self._warnings: list[str] = []

    def warn(self, text: str) -> None:
        """Note what an operator should know of damages that were found and got round."""
        self._warnings.append(text)
        _log.warning(text)

    def warnings(self) -> list[str]:
        """Return what an operator should know although the store can be used."""
        return list(self._warnings)

    def read(self, start: int = 0) -> Iterator[Event]:
        """Yield the events from position ``start`` on.

        Raises
        ------
        InvalidInput
            If the event at ``start`` was deleted.
        """
        for _, event in self.numbered(start):
            yield event

    def numbered(self, start: int = 0) -> Iterator[tuple[int, Event]]:
        """Yield the positions and events from position ``start`` on, each proved by the chain.

        Raises
        ------
        InvalidInput
            If the event at ``start`` was deleted.
        StoreDamaged
            If an event is damaged or missing.
        """
        first = self.first()
        if start < first:
            raise InvalidInput("start", start, f"read from {first} on; older events were deleted")
        link = None
        while True:
            # One transaction per page, so that none stays open while the caller works.
            query = all_columns().where(events.c.position >= start)
            rows = self.rows(query.order_by(events.c.position).limit(_PAGE_SIZE))
            link = self.link_before(start) if link is None else link
            for row in rows:
                if row[0] != start:
                    raise self.damaged(f"the event at position {start:,} is missing")
                event = self.event(row)
                link = next_link(link, row[-2])
                if link != row[-1]:
                    raise self.damaged(
                        f"the event at position {start:,} does not follow the one before it"
                    )
                if isinstance(event, WarmStart):
                    event = msgspec.structs.replace(event, history=self._artefact(event.digest))
                yield start, event
                start += 1
            if len(rows) < _PAGE_SIZE:
                return

    def damaged(self, problem: str) -> StoreDamaged:
        """Return the error of a damage of this store."""
        return StoreDamaged(url_without_password(self.engine.url), problem)

    def marks(self) -> dict[str, Mark]:
        """Return where the log starts and ends, and the numbers of rows of small tables."""
        with store_errors(self.engine), self.engine.connect() as connection:
            return marks.read(connection)

    def whole_marks(self) -> dict[str, Mark]:
        """Return the marks that are whole, by name."""
        with store_errors(self.engine), self.engine.connect() as connection:
            return marks.read_whole(connection)[0]

    def link_before(self, position: int) -> bytes:
        """Return the link of the log before a position: that after the event before it.

        Raises
        ------
        StoreDamaged
            If that event is missing.
        """
        query = sa.select(raw(events.c.link)).where(events.c.position == position - 1)
        rows = self.rows(query)
        if rows:
            return bytes(rows[0][0]) if isinstance(rows[0][0], bytes) else b""
        start = self.marks()[START]
        if position != start.position:
            raise self.damaged(f"the event at position {position - 1:,} is missing")
        return start.link

    def event(self, row: Sequence[Any]) -> Event:
        """Return the event of a row of ``_all_columns`` whose checksum is right.

        Raises
        ------
        StoreDamaged
            If it is not.
        UnknownEvent
            If a newer version of Floorline wrote it.
        """
        if event_checksum(row[:-2]) != row[-2]:
            raise self.damaged(f"the event at position {row[0]:,} is damaged")
        try:
            return unpack_event(row[-3])
        except InvalidInput as error:
            store = url_without_password(self.engine.url)
            where = f"the event at position {row[0]:,} of {store}"
            raise UnknownEvent(where, None, error) from error

    def first(self) -> int:
        """Return the position of the oldest event that is not deleted."""
        (row,) = self.rows(sa.select(sa.func.min(events.c.position)))
        return row[0] or 0

    def position_at(self, at: float) -> int:
        """Return about the position of the first event from a Unix time on.

        Times rise with the positions, up to corrections of clocks, so that a few rows tell it.
        """
        low, high = self.first(), self.end()
        while low < high:
            middle = (low + high) // 2
            query = sa.select(raw(events.c.at)).where(events.c.position == middle)
            rows = self.rows(query)
            if rows and isinstance(rows[0][0], float) and rows[0][0] >= at:
                high = middle
            else:
                low = middle + 1
        return low

    def end(self) -> int:
        """Return the number of all events ever stored, including deleted ones."""
        (row,) = self.rows(sa.select(sa.func.max(events.c.position)))
        return 0 if row[0] is None else row[0] + 1

    def decision(self, id: str) -> Decision | None:
        """Return the decision with an id; None if the log has none."""
        return self.decisions([id]).get(id)

    def decisions(self, ids: Sequence[str]) -> dict[str, Decision]:
        """Return the decisions with these ids that are in the log, by id."""
        found = {}
        for event in self._events_of(map(column_text, ids), ("decision", "recall")):
            decision = event.decision if isinstance(event, Recall) else event
            if isinstance(decision, Decision):
                found[decision.id] = decision
        return found

    def lost(self, ids: Sequence[str]) -> set[str]:
        """Return which of these decisions the log has a tombstone for."""
        tombstones = self.rows(all_columns().where(CHANGES, events.c.kind == "tombstone"))
        lost = {getattr(self.event(row), "decision", "") for row in tombstones}
        return lost.intersection(ids)

    def feedback_of(self, decision: str) -> GivenFeedback:
        """Return the labels and judgements of a decision; a repeated message counts once."""
        scores: dict[str, float] = {}
        keys: list[str] = []
        weights: dict[str, tuple[float, float]] = {}
        judged: dict[str, dict[str, float | None]] = {}
        unseen: dict[str, list[str]] = {}
        kinds = ("feedback", "judgement", "recall")
        for event in self._events_of([column_text(decision)], kinds):
            if isinstance(event, Recall):
                # It contains all earlier feedback, of which some events may be deleted.
                scores.update(event.scores)
                weights.update(event.weights)
                keys += [key for key in event.keys if key not in keys]
                for judge, said in event.judged.items():
                    judged[judge] = {**said, **judged.get(judge, {})}
                for judge, models in event.unseen.items():
                    unseen[judge] = list(dict.fromkeys([*unseen.get(judge, ()), *models]))
            elif isinstance(event, Judgement) and event.failure in UNSEEN:
                if event.model not in unseen.setdefault(event.judge, []):
                    unseen[event.judge].append(event.model)
            elif isinstance(event, Judgement):
                # The first judgement counts, as in the router.
                judged.setdefault(event.judge, {}).setdefault(event.model, event.score)
            elif isinstance(event, Feedback) and event.key not in keys[-MAX_KEYS:]:
                scores[event.model] = float(event.score)
                if not event.weight == 1.0 == event.influence:
                    weights[event.model] = event.weight, event.influence
                if event.key:
                    keys.append(event.key)
        return GivenFeedback(scores, keys[-MAX_KEYS:], weights, judged, unseen)

    def decisions_of(
        self, completions: Sequence[str], tenant: str, key: str | None, most: int
    ) -> dict[str, list[str]]:
        """Return which decisions of an owner have a call with one of these completion ids.

        Parameters
        ----------
        completions
            The ids.
        tenant, key
            Tenant of the decisions, and id of their API key; None for any key.
        most
            Most decisions for one id: the latest ones.

        Returns
        -------
        Ids of the decisions by completion id, the latest first; without ids that no decision has
        """
        query = _completions_query(tenant != "", key is not None)
        values: dict[str, Any] = {"most": most}
        if tenant:
            values["tenant"] = column_text(tenant)
        if key is not None:
            values["key"] = column_text(key)
        found: dict[str, list[str]] = {}
        with store_errors(self.engine), self.engine.connect() as connection:
            for completion in dict.fromkeys(completions):
                values["completion"] = column_text(completion)
                rows = connection.execute(query, values).all()
                outcomes = [self.event(row) for row in rows]
                names = [event.decision for event in outcomes if isinstance(event, Outcome)]
                if names:
                    found[completion] = list(dict.fromkeys(names))
        return found

    def spend(self, key: str, since: float = 0.0) -> float:
        """Return the real costs of all decisions made with an API key since a Unix time.

        The cost of a damaged outcome is left out with a warning.
        """
        decisions = (
            sa.select(events.c.decision)
            .where(
                events.c.key == column_text(key), events.c.at >= since, events.c.kind == "decision"
            )
            .scalar_subquery()
        )
        return sum(self._paid(key, decisions).values())

    def costs(self, key: str) -> list[tuple[float, float]]:
        """Return the time and the real cost of the latest decisions with an API key, in order.

        At most ``_MAX_COSTS`` of them; a decision without an outcome costs 0 so far.
        """
        latest = (
            sa.select(events.c.decision, events.c.at, events.c.position)
            .where(events.c.key == column_text(key), events.c.kind == "decision")
            .order_by(events.c.position.desc())
            .limit(_MAX_COSTS)
            .subquery()
        )
        paid = self._paid(key, sa.select(latest.c.decision).scalar_subquery())
        query = sa.select(raw(latest.c.decision), raw(latest.c.at)).order_by(latest.c.position)
        costs = []
        for decision, at in self.rows(query):
            if isinstance(at, float):
                costs.append((at, paid.get(decision, 0.0)))
            else:
                self.warn(f"the spending of API key {key!r} is incomplete: a time is damaged")
        return costs

    def _paid(self, key: str, decisions: sa.ScalarSelect[Any]) -> dict[str, float]:
        """Return the real costs of decisions; those of damaged outcomes are left out."""
        # The first outcome of a call counts, as in the router.
        first_outcomes = (
            sa.select(sa.func.min(events.c.position))
            .where(events.c.decision.in_(decisions), events.c.kind == "outcome")
            .group_by(events.c.decision, events.c.model)
            .scalar_subquery()
        )
        query = all_columns().where(events.c.position.in_(first_outcomes))
        paid: dict[str, float] = {}
        for row in self.rows(query.order_by(events.c.position)):
            try:
                event = self.event(row)
            except StoreDamaged as error:
                self.warn(f"the spending of API key {key!r} is incomplete: {error}")
                continue
            if isinstance(event, Outcome):
                paid[row[3]] = paid.get(row[3], 0.0) + float(event.cost)
        return paid

    def warm_starts(self) -> list[tuple[int, WarmStart]]:
        """Return the positions and events of all warm starts, without their histories."""
        query = all_columns().where(CHANGES, events.c.kind == "warm_start")
        rows = self.rows(query.order_by(events.c.position))
        found = [(row[0], self.event(row)) for row in rows]
        return [(at, event) for at, event in found if isinstance(event, WarmStart)]

    def labelled(self, start: int, most: int) -> list[str]:
        """Return the decisions whose first feedback is at position ``start`` or later, in order.

        Of more than ``most`` the latest are returned. They are named by the column of the table, as
        ``events_of`` takes them.
        """
        first = sa.func.min(events.c.position)
        query = (
            sa.select(events.c.decision)
            .where(events.c.kind == "feedback")
            .group_by(events.c.decision)
            .having(first >= start)
            .order_by(first.desc())
            .limit(most)
        )
        return [row.decision for row in self.rows(query)][::-1]

    def events_of(self, decisions: Sequence[str]) -> list[Event]:
        """Return all events of decisions that ``labelled`` named, in the order of the log."""
        return self._events_of(decisions)

    def events_with_prefix(self, prefix: str) -> Iterator[Event]:
        """Yield the events about decisions whose ids begin with a text, in the order of the log.

        The whole log may be read for it, which is for rare occasions.
        """
        position = -1
        while True:
            query = all_columns().where(
                # A comparison of texts would depend on the language of the database.
                events.c.decision.startswith(prefix, autoescape=True),
                events.c.position > position,
            )
            rows = self.rows(query.order_by(events.c.position).limit(_PAGE_SIZE))
            for row in rows:
                position = row[0]
                yield self.event(row)
            if len(rows) < _PAGE_SIZE:
                return

    def snapshots(self) -> list[int]:
        """Return the positions of all snapshots, the newest first."""
        query = sa.select(raw(snapshots.c.position)).order_by(snapshots.c.position.desc())
        return [row[0] for row in self.rows(query)]

    def snapshot(self, position: int) -> bytes:
        """Return the snapshot at a position of the log.

        Raises
        ------
        StoreDamaged
            If it is damaged, or belongs to another log.
        """
        row = self.snapshot_row(position)
        end = self.end()
        if position > end:
            raise self.damaged(
                f"the snapshot is of {position:,} events, but the log has only {end:,}"
            )
        if self.link_before(position) != row["link"]:
            raise self.damaged(f"the snapshot at position {position:,} is not one of this log")
        return bytes(row["body"])

    def snapshot_row(self, position: int) -> dict[str, Any]:
        """Return the columns of a snapshot by name.

        Raises
        ------
        StoreDamaged
            If its checksum is wrong.
        """
        query = sa.select(*map(raw, snapshots.columns)).where(snapshots.c.position == position)
        names = [str(column.name) for column in snapshots.columns]
        rows = [dict(zip(names, row, strict=True)) for row in self.rows(query)]
        if not rows or row_checksum(snapshots, rows[0]) != rows[0]["checksum"]:
            raise self.damaged(f"the snapshot at position {position:,} is damaged")
        return rows[0]

    def last_snapshot(self) -> tuple[int, bytes] | None:
        """Return the position and the body of the newest snapshot; None if there is none."""
        found = self.snapshots()
        return (found[0], self.snapshot(found[0])) if found else None

    def prompt(self, decision: str) -> bytes | None:
        """Return the stored prompt of a decision; None if there is none.

        Raises
        ------
        StoreDamaged
            If it is damaged.
        """
        columns = (prompts.c.decision, prompts.c.at, prompts.c.body, prompts.c.checksum)
        query = sa.select(*map(raw, columns))
        rows = self.rows(query.where(prompts.c.decision == column_text(decision)))
        if not rows:
            return None
        name, at, body, checksum = rows[0]
        if row_checksum(prompts, {"decision": name, "at": at, "body": body}) != checksum:
            raise self.damaged(f"the prompt of decision {decision!r} is damaged")
        return bytes(body)

    def documents(self, kind: str) -> dict[str, bytes]:
        """Return the bodies of all documents of a kind, by name.

        Raises
        ------
        StoreDamaged
            If one is damaged.
        """
        query = _documents().where(documents.c.kind == kind)
        found = {}
        for _, name, body, checksum in self.rows(query.order_by(documents.c.name)):
            values = {"kind": kind, "name": name, "body": body}
            if row_checksum(documents, values) != checksum:
                raise self.damaged(f"the document {kind}/{name} is damaged")
            found[name] = bytes(body)
        return found

    def initial_state(self) -> bytes | None:
        """Return what the log begins with; None if nothing was written."""
        kind, name = INITIAL_STATE
        return self.documents(kind).get(name)

    def genesis(self) -> bytes:
        """Return the link before the first event ever."""
        return genesis(self.initial_state())

    def _artefact(self, digest: str) -> bytes:
        """Return the history of a warm start."""
        query = _documents().where(
            documents.c.kind == ARTEFACT, documents.c.name == column_text(digest)
        )
        rows = self.rows(query)
        if not rows:
            raise self.damaged(f"the history {digest[:12]}… of a warm start is missing")
        kind, name, body, checksum = rows[0]
        if row_checksum(documents, {"kind": kind, "name": name, "body": body}) != checksum:
            raise self.damaged(f"the history {digest[:12]}… of a warm start is damaged")
        return bytes(body)

    def _events_of(self, decisions: Iterable[str | None], kinds: Sequence[str] = ()) -> list[Event]:
        """Return the events of some kinds that name these decisions, in the order of the log."""
        found: list[tuple[int, Event]] = []
        for part in _parts(list(decisions)):
            query = all_columns().where(events.c.decision.in_(part))
            if kinds:
                query = query.where(events.c.kind.in_(kinds))
            found += [(row[0], self.event(row)) for row in self.rows(query)]
        return [event for _, event in sorted(found, key=lambda numbered: numbered[0])]

    def rows(self, query: sa.Select[Any]) -> Sequence[Any]:
        """Return the rows of a query."""
        with store_errors(self.engine), self.engine.connect() as connection:
            return connection.execute(query).all()


def _parts(names: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(names), _MAX_IDS_PER_QUERY):
        yield names[start : start + _MAX_IDS_PER_QUERY]


EVENT_COLUMNS = (
    "position", "kind", "at", "decision", "model", "completion", "tenant", "key", "cost",
    "body", "checksum", "link",
)  # fmt: skip
"""Columns of an event: what is checksummed, then checksum and link."""
_EVENT = tuple(raw(events.c[name]) for name in EVENT_COLUMNS)


def all_columns() -> sa.Select[Any]:
    """Return a query for whole rows, with ``EVENT_COLUMNS``."""
    return sa.select(*_EVENT)


@cache
def _completions_query(of_tenant: bool, of_key: bool) -> sa.Select[Any]:
    """Return a query for the latest outcomes of an owner with a completion id.

    It is built once, because that takes longer than to execute it. The rows of other owners are
    not read: the index has the owner before the position.
    """
    outcomes = all_columns().where(
        events.c.completion == sa.bindparam("completion"), events.c.kind == "outcome"
    )
    if of_tenant:
        outcomes = outcomes.where(events.c.tenant == sa.bindparam("tenant"), events.c.key.is_(None))
    else:
        outcomes = outcomes.where(events.c.tenant.is_(None))
    if of_key:
        outcomes = outcomes.where(events.c.key == sa.bindparam("key"))
    return outcomes.order_by(events.c.position.desc()).limit(sa.bindparam("most"))


def _documents() -> sa.Select[Any]:
    columns = (documents.c.kind, documents.c.name, documents.c.body, documents.c.checksum)
    return sa.select(*map(raw, columns))
