"""Reading of a whole store, to list everything in it that is damaged and what depends on that."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa

from floorline.core.snapshots import unpack
from floorline.errors import InvalidInput, SnapshotMismatch, StoreDamaged, StoreUnavailable
from floorline.stores.engine import store_errors
from floorline.stores.integrity import column_text, event_checksum, next_link, row_checksum
from floorline.stores.marks import END, START, raw
from floorline.stores.packing import unpack_event
from floorline.stores.reading import LogReader, all_columns
from floorline.stores.schema import api_keys, documents, events, marks, prompts
from floorline.stores.start_checks import checked_end, heard_witness, keys_are_whole, witness_file
from floorline.stores.upgrade import require_current
from floorline.stores.witness import read_witness

_PAGE_SIZE = 1000
"""Number of rows read at a time."""
REPLACEABLE = (
    "decision", "outcome", "feedback", "judgement", "recall", "config", "drift", "tombstone",
)  # fmt: skip
"""Kinds of events without which those after them can still be folded."""
KINDS = (*REPLACEABLE, "zoo", "sla", "warm_start")
"""All kinds of events."""


class Damage(NamedTuple):
    """Something in a store that is not what was written.

    Attributes
    ----------
    where
        The row or file.
    problem
        What is wrong with it.
    matters
        What depends on it.
    """

    where: str
    problem: str
    matters: str


class BadEvent(NamedTuple):
    """A position of the log without a provable event.

    Attributes
    ----------
    position
        The position.
    problem
        ``"damaged"``, ``"missing"`` or ``"unreadable"``.
    kind
        Kind of the event, as far as it can be read; "" if unknown.
    at
        Unix time in seconds, as far as it can be read; 0 if unknown.
    """

    position: int
    problem: str
    kind: str
    at: float


class SnapshotState(NamedTuple):
    """What is known of a snapshot.

    Attributes
    ----------
    position
        Number of events in its state.
    problem
        Why it cannot be used; None if it can.
    """

    position: int
    problem: str | None


@dataclass
class Verification:
    """What a reading of a whole store found.

    Attributes
    ----------
    first, end
        Position of the first event that is kept, and number of all events ever.
    expected_end
        Number of events that marks and witness say there were; larger if the tail is missing.
    bad_events
        Positions without a provable event, in order.
    snapshots
        All snapshots, the newest first.
    rows
        Number of rows of the other tables, by name.
    bad_rows
        Primary keys of damaged rows, by table.
    damages
        Everything that is damaged, in words.
    broken_at
        Positions of events that do not follow the one before them.
    startable
        Whether marks, documents and witness agree with the log.
    recovers
        How a start recovers the state; None if it is refused.
    """

    first: int = 0
    end: int = 0
    expected_end: int = 0
    bad_events: list[BadEvent] = field(default_factory=list)
    snapshots: list[SnapshotState] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    bad_rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    damages: list[Damage] = field(default_factory=list)
    broken_at: list[int] = field(default_factory=list)
    startable: bool = True
    recovers: str | None = None

    @property
    def usable(self) -> int | None:
        """Position of the newest snapshot that can be used; None if none can."""
        return next((one.position for one in self.snapshots if one.problem is None), None)


def verify(engine: sa.Engine) -> Verification:
    """Read everything in a store and compare it with its checksums, chain, marks and witness.

    Parameters
    ----------
    engine
        Engine of the store; reading is enough.

    Raises
    ------
    StoreUnavailable
        If the database cannot be read at all.
    """
    log = LogReader(engine)
    found = Verification()
    _check_file(engine, found)
    _check_version(engine, found)
    for table in (documents, api_keys, prompts, marks):
        _check_rows(engine, table, found)
    _find_range(log, found)
    chain = _Chain(log, found)
    for position, row, problem in scan(log, found.first, found.end):
        if problem is None and row is not None:
            chain.follow(row)
        else:
            chain.lose()
            found.bad_events.append(_bad(log, position, row, problem or "missing"))
    found.broken_at = chain.broken_at
    found.damages += [
        Damage(f"event {at:,}", "does not follow the one before it", "a start that folds it")
        for at in chain.broken_at
    ]
    found.snapshots = chain.states(found.end)
    _check_start(log, found)
    _describe(found)
    return found


def scan(
    log: LogReader, first: int, end: int
) -> Iterator[tuple[int, Sequence[Any] | None, str | None]]:
    """Yield each position with its row, if any, and what is wrong with it; None if nothing is."""
    for start in range(first, end, _PAGE_SIZE):
        stop = min(end, start + _PAGE_SIZE)
        rows, unreadable = _page(log, start, stop)
        for position in range(start, stop):
            row = rows.get(position)
            if row is not None:
                whole = event_checksum(row[:-2]) == row[-2] and isinstance(row[-1], bytes)
                yield position, row, None if whole else "damaged"
            else:
                yield position, None, "unreadable" if position in unreadable else "missing"


def _page(log: LogReader, start: int, stop: int) -> tuple[dict[int, Sequence[Any]], set[int]]:
    """Return rows by position, and the positions that the database cannot read."""
    query = all_columns().where(events.c.position >= start, events.c.position < stop)
    try:
        return {row[0]: row for row in log.rows(query)}, set()
    except StoreDamaged:
        if stop - start == 1:
            return {}, {start}
    middle = (start + stop) // 2
    rows, unreadable = _page(log, start, middle)
    more, others = _page(log, middle, stop)
    return rows | more, unreadable | others


class _Chain:
    """Follows the chain of links over the rows, and finds out which snapshots fit into it."""

    def __init__(self, log: LogReader, found: Verification) -> None:
        self._log = log
        self._snapshots = _snapshots(log, found)
        self._decisions: set[str] = set()
        self._linked: set[int] = set()
        self.broken_at: list[int] = []
        # None where the row before is not whole.
        self._link: bytes | None = None
        with contextlib.suppress(StoreDamaged):
            self._link = log.link_before(found.first)

    def follow(self, row: Sequence[Any]) -> None:
        """Take the next row, which is whole in itself."""
        position, kind, checksum, link = row[0], row[1], row[-2], row[-1]
        snapshot = self._snapshots.get(position)
        if snapshot is not None and link == next_link(snapshot.link, checksum):
            self._linked.add(position)
        if self._link is not None and link != next_link(self._link, checksum):
            self.broken_at.append(position)
        self._link = link
        if kind in ("decision", "recall"):
            self._decisions.add(row[3])

    def lose(self) -> None:
        """Pass over a row that is not whole."""
        self._link = None

    def states(self, end: int) -> list[SnapshotState]:
        """Return what is known of each snapshot, once all rows are followed."""
        states = []
        for position in sorted(self._snapshots, reverse=True):
            snapshot = self._snapshots[position]
            problem = snapshot.problem
            if problem is None and position > end:
                problem = f"the log has only {end:,} events"
            linked = position in self._linked or (position == end and self._link == snapshot.link)
            if problem is None and not linked:
                problem = "it does not fit to the events around it"
            if problem is None:
                missing = [n for n in snapshot.needed if column_text(n) not in self._decisions]
                lost = self._log.lost(missing) if missing else set()
                if len(lost) < len(missing):
                    problem = f"{len(missing) - len(lost):,} decisions that it needs are not whole"
            states.append(SnapshotState(position, problem))
        return states


class _Snapshot(NamedTuple):
    link: bytes
    needed: list[str]
    problem: str | None


def _snapshots(log: LogReader, found: Verification) -> dict[int, _Snapshot]:
    """Return what is to be known of each snapshot, by its position."""
    states = {}
    try:
        positions = log.snapshots()
    except StoreDamaged as error:
        found.damages.append(Damage("the snapshots", error.problem, "every start is refused"))
        found.startable = False
        return {}
    for position in positions:
        try:
            row = log.snapshot_row(position)
        except StoreDamaged as error:
            states[position] = _Snapshot(b"", [], error.problem)
            continue
        needed: list[str] = []
        # Another program than a router may have written it.
        with contextlib.suppress(SnapshotMismatch, KeyError, TypeError, IndexError):
            records = unpack(row["body"])["fold"]["records_"]
            needed = [record[0] for record in records if isinstance(record[0], str)]
        states[position] = _Snapshot(row["link"], needed, None)
    return states


def _check_file(engine: sa.Engine, found: Verification) -> None:
    """Let SQLite check its file: pages, and whether each index has what its table has."""
    if engine.dialect.name != "sqlite":
        return
    try:
        with store_errors(engine), engine.connect() as connection:
            lines = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    except StoreUnavailable as error:
        lines = [getattr(error, "problem", str(error))]
    for line in lines:
        if line != "ok":
            matters = "searches by id, and every row on a damaged page; a repair copies the rest"
            found.damages.append(Damage("the file", line, matters))


def _check_version(engine: sa.Engine, found: Verification) -> None:
    try:
        require_current(engine)
    except StoreUnavailable as error:
        problem = getattr(error, "problem", str(error))
        found.damages.append(Damage("the tables", problem, "every start is refused"))
        found.startable = False


def _check_start(log: LogReader, found: Verification) -> None:
    """Make the comparisons of a start."""
    for check in (checked_end, heard_witness):
        try:
            check(log)
        except StoreDamaged as error:
            found.damages.append(Damage("the log", error.problem, "every start is refused"))
            found.startable = False
    with contextlib.suppress(StoreDamaged):
        if not keys_are_whole(log):
            matters = "clients whose key is missing"
            found.damages.append(Damage("the API keys", "rows are missing or others", matters))
    for warning in log.warnings():
        found.damages.append(Damage("the log", warning, "nothing that was acknowledged"))


def _find_range(log: LogReader, found: Verification) -> None:
    """Find out which positions the log has, and should have."""
    firsts: list[int] = []
    ends: list[int] = []
    said: list[int] = []
    for ask, answers in ((log.first, firsts), (log.end, ends)):
        try:
            answers.append(ask())
        except StoreDamaged as error:
            found.damages.append(Damage("the events", error.problem, "every start is refused"))
    with contextlib.suppress(StoreDamaged):
        known = log.whole_marks()
        firsts += [known[START].position] if START in known else []
        said += [known[END].position] if END in known else []
    path = witness_file(log)
    seen = None if path is None else read_witness(path)
    if seen is not None:
        said.append(seen.position)
    found.expected_end = max([*ends, *said], default=0)
    # A row with a damaged position can lie far beyond the end.
    found.end = min(ends[0], max(said)) if ends and said else found.expected_end
    found.first = min(min(firsts, default=0), found.end)
    if said:
        found.expected_end = max(said)


def _check_rows(engine: sa.Engine, table: sa.Table, found: Verification) -> None:
    """Check the checksums of a table."""
    count, bad = 0, []
    try:
        for values in whole_rows(engine, table):
            count += 1
            if row_checksum(table, values) != values["checksum"]:
                bad.append(tuple(values[str(c.name)] for c in table.primary_key.columns))
    except StoreDamaged as error:
        found.damages.append(Damage(f"table {table.name}", error.problem, _MATTERS[table.name]))
    found.rows[table.name] = count
    found.bad_rows[table.name] = bad
    for key in bad:
        name = "/".join(map(str, key))
        problem = "its checksum is wrong"
        found.damages.append(Damage(f"{table.name} {name}", problem, _MATTERS[table.name]))


def whole_rows(engine: sa.Engine, table: sa.Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table as they are stored, by column."""
    names = [str(column.name) for column in table.columns]
    # In SQLite the row number, because the index of another key may be damaged.
    rowid: sa.ColumnElement[Any] = sa.literal_column("rowid")
    keys = [rowid] if engine.dialect.name == "sqlite" else [*table.primary_key.columns]
    query = sa.select(*keys, *map(raw, table.columns)).select_from(table).order_by(*keys)
    log, last = LogReader(engine), None
    while True:
        page = query if last is None else query.where(sa.tuple_(*keys) > sa.tuple_(*last))
        rows = log.rows(page.limit(_PAGE_SIZE))
        for row in rows:
            yield dict(zip(names, row[len(keys) :], strict=True))
        if len(rows) < _PAGE_SIZE:
            return
        last = [sa.literal(value) for value in rows[-1][: len(keys)]]


_MATTERS = {
    "documents": "models that were added at run time, warm starts, and what the log began with",
    "api_keys": "its client: the key is not accepted",
    "prompts": "the stored text of one request",
    "marks": "every start is refused",
}


def _bad(log: LogReader, position: int, row: Sequence[Any] | None, problem: str) -> BadEvent:
    """Find out what can still be read of an event that is not whole."""
    kind: Any = ""
    at: Any = 0.0
    if row is not None:
        kind, at = row[1], row[2]
    elif problem == "unreadable":
        # Another column of its row may be the damaged one.
        with contextlib.suppress(StoreDamaged):
            query = sa.select(raw(events.c.kind), raw(events.c.at))
            kind, at = log.rows(query.where(events.c.position == position))[0]
    if kind not in KINDS and row is not None and isinstance(row[-3], bytes):
        with contextlib.suppress(InvalidInput):
            kind = str(unpack_event(row[-3]).__struct_config__.tag)
    known = isinstance(at, float) and math.isfinite(at)
    return BadEvent(position, problem, kind if kind in KINDS else "", at if known else 0.0)


def _describe(found: Verification) -> None:
    """Put damages of events and snapshots, and what a start does, into words."""
    for event in found.bad_events:
        needed = found.usable is None or event.position >= found.usable
        found.damages.append(
            Damage(
                f"event {event.position:,}" + (f" ({event.kind})" if event.kind else ""),
                event.problem,
                "every start is refused" if needed else "late feedback, reports, a new policy",
            )
        )
    for snapshot in found.snapshots:
        if snapshot.problem is not None:
            matters = "a start, which uses an older snapshot or folds the whole log"
            found.damages.append(
                Damage(f"snapshot {snapshot.position:,}", snapshot.problem, matters)
            )
    if found.expected_end > found.end:
        lost = found.expected_end - found.end
        found.damages.append(
            Damage("the end of the log", f"{lost:,} events are missing", "every start is refused")
        )
    tail = found.first if found.usable is None else found.usable
    gone = found.usable is None and found.first > 0
    bad_tail = any(event.position >= tail for event in found.bad_events)
    broken = any(position >= tail for position in found.broken_at)
    if not found.startable or gone or bad_tail or broken:
        found.recovers = None
    elif found.usable is None:
        found.recovers = f"by folding all {found.end:,} events"
    else:
        after = found.end - found.usable
        found.recovers = f"from the snapshot at {found.usable:,} and {after:,} events after it"
