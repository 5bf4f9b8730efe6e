"""Reads what a store keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from floorline.errors import InvalidInput
from floorline.events import Decision, Event, Feedback, Recall
from floorline.stores.engine import reported
from floorline.stores.packing import unpack_event
from floorline.stores.schema import documents, events, prompts, snapshots

_PAGE = 1000
_MOST_NAMES = 5000


class LogReader:
    """What is durable in a store; works beside the process that writes it.

    Every method may raise StoreUnavailable if the database does not work.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def read(self, start: int = 0) -> Iterator[Event]:
        """Yield events from position ``start`` on.

        Raises
        ------
        InvalidInput
            If events from there on were deleted.
        """
        for _, event in self.numbered(start):
            yield event

    def numbered(self, start: int = 0) -> Iterator[tuple[int, Event]]:
        """Yield positions and events from ``start`` on; errors as for ``read``."""
        first = self.first()
        if start < first:
            raise InvalidInput("start", start, f"read from {first} on; older events were deleted")
        columns = sa.select(events.c.position, events.c.body).order_by(events.c.position)
        while True:
            # In pages, so that no reading keeps a transaction open while its reader thinks.
            rows = self._rows(columns.where(events.c.position >= start).limit(_PAGE))
            for row in rows:
                yield row.position, unpack_event(row.body)
            if len(rows) < _PAGE:
                return
            start = rows[-1].position + 1

    def first(self) -> int:
        """Position of the oldest event that is still kept."""
        (row,) = self._rows(sa.select(sa.func.min(events.c.position)))
        return row[0] or 0

    def end(self) -> int:
        """Number of events ever stored, deleted ones included."""
        (row,) = self._rows(sa.select(sa.func.max(events.c.position)))
        return 0 if row[0] is None else row[0] + 1

    def decision(self, id: str) -> Decision | None:
        """Return the decision of an id; None if the log has none."""
        return self.decisions([id]).get(id)

    def decisions(self, ids: Sequence[str]) -> dict[str, Decision]:
        """Return the decisions of many ids; those that the log lacks are left out."""
        found = {}
        for start in range(0, len(ids), _MOST_NAMES):
            query = (
                sa.select(events.c.body)
                .where(
                    events.c.decision.in_(ids[start : start + _MOST_NAMES]),
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
        """Latest score of each judged model, and the keys of the messages that came.

        A message that was sent again counts once.
        """
        query = (
            sa.select(events.c.body)
            .where(events.c.decision == decision, events.c.kind.in_(("feedback", "recall")))
            .order_by(events.c.position)
        )
        scores: dict[str, float] = {}
        heard: list[str] = []
        for (body,) in self._rows(query):
            event = unpack_event(body)
            if isinstance(event, Recall):
                # Holds all that was said before, some of which may be deleted by now.
                scores.update(event.scores)
                heard += [key for key in event.keys if key not in heard]
            elif isinstance(event, Feedback) and event.key not in heard:
                scores[event.model] = float(event.score)
                if event.key:
                    heard.append(event.key)
        return scores, heard

    def decision_of(self, completion: str) -> str | None:
        """Newest decision that a call with this completion id was made for."""
        query = (
            sa.select(events.c.decision)
            .where(events.c.completion == completion)
            .order_by(events.c.position.desc())
            .limit(1)
        )
        rows = self._rows(query)
        return rows[0].decision if rows else None

    def spend(self, key: str, since: float = 0.0) -> float:
        """What calls of decisions made with an API key since a time really cost."""
        made = (
            sa.select(events.c.decision)
            .where(events.c.key == key, events.c.at >= since, events.c.kind == "decision")
            .scalar_subquery()
        )
        # The first outcome of a call counts, as it does for the router.
        firsts = (
            sa.select(sa.func.min(events.c.position))
            .where(events.c.decision.in_(made), events.c.kind == "outcome")
            .group_by(events.c.decision, events.c.model)
            .scalar_subquery()
        )
        query = sa.select(sa.func.sum(events.c.cost)).where(events.c.position.in_(firsts))
        (row,) = self._rows(query)
        return float(row[0] or 0.0)

    def last_snapshot(self) -> tuple[int, bytes] | None:
        """Position and body of the newest snapshot; None before the first."""
        query = sa.select(snapshots.c.position, snapshots.c.body)
        rows = self._rows(query.order_by(snapshots.c.position.desc()).limit(1))
        return (rows[0].position, rows[0].body) if rows else None

    def prompt(self, decision: str) -> bytes | None:
        """Stored prompt of a decision; None if there is none."""
        rows = self._rows(sa.select(prompts.c.body).where(prompts.c.decision == decision))
        return rows[0].body if rows else None

    def documents(self, kind: str) -> dict[str, bytes]:
        """Bodies of all documents of a kind, by name."""
        query = sa.select(documents.c.name, documents.c.body).where(documents.c.kind == kind)
        return {row.name: row.body for row in self._rows(query.order_by(documents.c.name))}

    def _rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with reported(self.engine), self.engine.connect() as connection:
            return connection.execute(query).all()
