"""Queries on a store: events, decisions, feedback, snapshots, prompts and documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from floorline.errors import InvalidInput
from floorline.events import Decision, Event, Feedback, Recall, WarmStart
from floorline.state.fold import MAX_KEYS
from floorline.stores.engine import store_errors
from floorline.stores.packing import unpack_event
from floorline.stores.schema import ARTEFACT, documents, events, prompts, snapshots

_PAGE_SIZE = 1000
"""Number of events read in one transaction; bounds its duration and the memory."""
_MAX_IDS_PER_QUERY = 5000
"""Number of ids in one query; databases limit the number of its parameters."""


class LogReader:
    """Reader of the durable content of a store, also while another process writes it.

    Every method raises StoreUnavailable if the database raises an error.

    Parameters
    ----------
    engine
        Engine of the store.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

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
        """Yield the positions and events from position ``start`` on.

        Raises
        ------
        InvalidInput
            If the event at ``start`` was deleted.
        """
        first = self.first()
        if start < first:
            raise InvalidInput("start", start, f"read from {first} on; older events were deleted")
        columns = sa.select(events.c.position, events.c.body).order_by(events.c.position)
        while True:
            # One transaction per page, so that none stays open while the caller works.
            rows = self._rows(columns.where(events.c.position >= start).limit(_PAGE_SIZE))
            for row in rows:
                event = unpack_event(row.body)
                if isinstance(event, WarmStart):
                    event = msgspec.structs.replace(event, history=self._artefact(event.digest))
                yield row.position, event
            if len(rows) < _PAGE_SIZE:
                return
            start = rows[-1].position + 1

    def first(self) -> int:
        """Return the position of the oldest event that is not deleted."""
        (row,) = self._rows(sa.select(sa.func.min(events.c.position)))
        return row[0] or 0

    def end(self) -> int:
        """Return the number of all events ever stored, including deleted ones."""
        (row,) = self._rows(sa.select(sa.func.max(events.c.position)))
        return 0 if row[0] is None else row[0] + 1

    def decision(self, id: str) -> Decision | None:
        """Return the decision with an id; None if the log has none."""
        return self.decisions([id]).get(id)

    def decisions(self, ids: Sequence[str]) -> dict[str, Decision]:
        """Return the decisions with these ids that are in the log, by id."""
        found = {}
        for start in range(0, len(ids), _MAX_IDS_PER_QUERY):
            query = (
                sa.select(events.c.body)
                .where(
                    events.c.decision.in_(ids[start : start + _MAX_IDS_PER_QUERY]),
                    events.c.kind.in_(("decision", "recall")),
                )
                .order_by(events.c.position)
            )
            for (body,) in self._rows(query):
                event = unpack_event(body)
                decision = event.decision if isinstance(event, Recall) else event
                if isinstance(decision, Decision):
                    found[decision.id] = decision
        return found

    def feedback_of(self, decision: str) -> tuple[dict[str, float], list[str]]:
        """Return the latest score of each model, and the keys of the feedback messages.

        A message that was sent several times counts once.
        """
        query = (
            sa.select(events.c.body)
            .where(events.c.decision == decision, events.c.kind.in_(("feedback", "recall")))
            .order_by(events.c.position)
        )
        scores: dict[str, float] = {}
        keys: list[str] = []
        for (body,) in self._rows(query):
            event = unpack_event(body)
            if isinstance(event, Recall):
                # It contains all earlier feedback, of which some events may be deleted.
                scores.update(event.scores)
                keys += [key for key in event.keys if key not in keys]
            elif isinstance(event, Feedback) and event.key not in keys[-MAX_KEYS:]:
                scores[event.model] = float(event.score)
                if event.key:
                    keys.append(event.key)
        return scores, keys[-MAX_KEYS:]

    def decision_of(self, completion: str) -> str | None:
        """Return the newest decision whose call has this completion id; None if there is none."""
        query = (
            sa.select(events.c.decision)
            .where(events.c.completion == completion)
            .order_by(events.c.position.desc())
            .limit(1)
        )
        rows = self._rows(query)
        return rows[0].decision if rows else None

    def spend(self, key: str, since: float = 0.0) -> float:
        """Return the real costs of all decisions made with an API key since a Unix time."""
        decisions = (
            sa.select(events.c.decision)
            .where(events.c.key == key, events.c.at >= since, events.c.kind == "decision")
            .scalar_subquery()
        )
        # The first outcome of a call counts, as in the router.
        first_outcomes = (
            sa.select(sa.func.min(events.c.position))
            .where(events.c.decision.in_(decisions), events.c.kind == "outcome")
            .group_by(events.c.decision, events.c.model)
            .scalar_subquery()
        )
        query = sa.select(sa.func.sum(events.c.cost)).where(events.c.position.in_(first_outcomes))
        (row,) = self._rows(query)
        return float(row[0] or 0.0)

    def warm_starts(self) -> list[tuple[int, WarmStart]]:
        """Return the positions and events of all warm starts, without their histories."""
        query = sa.select(events.c.position, events.c.body).where(events.c.kind == "warm_start")
        found = []
        for row in self._rows(query.order_by(events.c.position)):
            event = unpack_event(row.body)
            assert isinstance(event, WarmStart)
            found.append((row.position, event))
        return found

    def labelled(self, start: int) -> list[str]:
        """Return the decisions whose first feedback is at position ``start`` or later, in order."""
        first = sa.func.min(events.c.position)
        query = (
            sa.select(events.c.decision)
            .where(events.c.kind == "feedback")
            .group_by(events.c.decision)
            .having(first >= start)
            .order_by(first)
        )
        return [row.decision for row in self._rows(query)]

    def events_of(self, decisions: Sequence[str]) -> list[Event]:
        """Return all events of these decisions, in the order of the log."""
        found: list[tuple[int, Event]] = []
        for start in range(0, len(decisions), _MAX_IDS_PER_QUERY):
            ids = decisions[start : start + _MAX_IDS_PER_QUERY]
            query = sa.select(events.c.position, events.c.body).where(events.c.decision.in_(ids))
            found += [(row.position, unpack_event(row.body)) for row in self._rows(query)]
        return [event for _, event in sorted(found, key=lambda numbered: numbered[0])]

    def last_snapshot(self) -> tuple[int, bytes] | None:
        """Return the position and the body of the newest snapshot; None if there is none."""
        query = sa.select(snapshots.c.position, snapshots.c.body)
        rows = self._rows(query.order_by(snapshots.c.position.desc()).limit(1))
        return (rows[0].position, rows[0].body) if rows else None

    def prompt(self, decision: str) -> bytes | None:
        """Return the stored prompt of a decision; None if there is none."""
        rows = self._rows(sa.select(prompts.c.body).where(prompts.c.decision == decision))
        return rows[0].body if rows else None

    def documents(self, kind: str) -> dict[str, bytes]:
        """Return the bodies of all documents of a kind, by name."""
        query = sa.select(documents.c.name, documents.c.body).where(documents.c.kind == kind)
        return {row.name: row.body for row in self._rows(query.order_by(documents.c.name))}

    def _artefact(self, digest: str) -> bytes:
        """Return the history of a warm start; empty if it is missing."""
        query = sa.select(documents.c.body)
        rows = self._rows(query.where(documents.c.kind == ARTEFACT, documents.c.name == digest))
        return rows[0].body if rows else b""

    def _rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with store_errors(self.engine), self.engine.connect() as connection:
            return connection.execute(query).all()
