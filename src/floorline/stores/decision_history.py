"""The events of a store that concern one decision, and its fallbacks."""

from __future__ import annotations

from collections.abc import Iterable

from floorline.core.snapshots import unpack
from floorline.events import Decision, Event, Outcome, ZooChange, decode_event
from floorline.state.explaining import MAX_CHAIN, decisions_among
from floorline.stores.integrity import column_text
from floorline.stores.reading import LogReader, all_columns
from floorline.stores.schema import events

_REPLACED_WITHIN = 256
"""Events after the outcome of a failed call among which its replacement is looked for. The gateway
logs the two one after the other, so that only other requests' events come between."""

_Numbered = list[tuple[int, Event]]


def decision_history(reader: LogReader, id: str) -> list[Event]:
    """Return the events of a decision, and of those that it replaces or is replaced by.

    Parameters
    ----------
    reader
        The store.
    id
        Id of the decision.

    Raises
    ------
    StoreUnavailable
        If the database raises an error.
    """
    own = _events_of(reader, id)
    made = _decision(own, id)
    if made is None:
        return []
    history, seen, at = list(own), {id}, made
    while at.after and at.after not in seen and len(seen) < MAX_CHAIN:
        seen.add(at.after)
        earlier = _events_of(reader, at.after)
        history += earlier
        before = _decision(earlier, at.after)
        if before is None:
            break
        at = before
    after = _replacement(reader, made, own)
    while after is not None and after.id not in seen and len(seen) < MAX_CHAIN:
        seen.add(after.id)
        later = _events_of(reader, after.id)
        history += later
        after = _replacement(reader, after, later)
    return [event for _, event in sorted(history, key=lambda numbered: numbered[0])]


def cost_unit_of(reader: LogReader) -> str:
    """Unit of the costs in a store, which never changes; USD in one without a beginning."""
    written = reader.initial_state()
    if written is None:
        return "USD"
    first = decode_event(unpack(written)["zoo"])
    return first.zoo.cost_unit if isinstance(first, ZooChange) else "USD"


def _events_of(reader: LogReader, id: str) -> _Numbered:
    query = all_columns().where(events.c.decision == column_text(id)).order_by(events.c.position)
    return [(row.position, reader.event(row)) for row in reader.rows(query)]


def _decision(numbered: Iterable[tuple[int, Event]], id: str) -> Decision | None:
    return decisions_among(event for _, event in numbered).get(id)


def _replacement(reader: LogReader, decision: Decision, own: _Numbered) -> Decision | None:
    """Decision that replaces one whose call failed; None if there is none."""
    failed = [
        at
        for at, event in own
        if isinstance(event, Outcome) and event.error and event.model == decision.model
    ]
    if not failed:
        return None
    query = all_columns().where(
        events.c.position > failed[0],
        events.c.position <= failed[0] + _REPLACED_WITHIN,
        events.c.kind == "decision",
    )
    for row in reader.rows(query.order_by(events.c.position)):
        event = reader.event(row)
        if isinstance(event, Decision) and event.after == decision.id:
            return event
    return None
