"""Repair of a damaged store: what it would lose, and the repair itself, which keeps a copy.

Every event that is whole in itself is kept. A tombstone takes the place of each event that is not,
and the chain is computed anew from there on.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from floorline.errors import StoreDamaged
from floorline.events import Tombstone
from floorline.stores import marks
from floorline.stores.engine import open_engine, store_errors
from floorline.stores.integrity import event_checksum, genesis, next_link, row_checksum
from floorline.stores.marks import END, GENESIS, START, Mark
from floorline.stores.reading import EVENT_COLUMNS, LogReader
from floorline.stores.schema import (
    INITIAL_STATE,
    api_keys,
    documents,
    events,
    metadata,
    prompts,
    snapshots,
)
from floorline.stores.upgrade import upgrade
from floorline.stores.verification import (
    REPLACEABLE,
    BadEvent,
    Verification,
    scan,
    verify,
    whole_rows,
)
from floorline.stores.writing import prepare, put_document

_PAGE_SIZE = 1000
"""Number of rows written at a time."""
_TABLES = (documents, api_keys, prompts)
"""Tables of which damaged rows are left out."""
_FILES = ("", "-wal", "-shm", ".witness")
"""What the files of a SQLite store add to the name of the database."""


@dataclass
class Plan:
    """What a repair does, and what it loses.

    Attributes
    ----------
    found
        What a reading of the whole store found.
    link
        Link before the first event that is kept.
    end
        Number of events that are kept or replaced by tombstones; later ones are dropped.
    replaced
        Events before the end that are lost.
    dropped
        Number of events from the end on, by kind; "" for those that cannot be read.
    earliest, latest
        Unix times in seconds of the lost events whose time is known; None if no time is known.
    beginning
        What the log began with; None for nothing.
    snapshots
        Positions of snapshots that are dropped.
    rows
        Numbers of dropped rows of other tables, by name.
    impossible
        Why the store cannot be repaired; None if it can.
    """

    found: Verification
    link: bytes = b""
    end: int = 0
    replaced: list[BadEvent] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    earliest: float | None = None
    latest: float | None = None
    beginning: bytes | None = None
    snapshots: list[int] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    impossible: str | None = None

    @property
    def lost(self) -> Counter[str]:
        """Number of lost events by kind; "" for those whose kind is unknown."""
        return Counter(event.kind for event in self.replaced) + self.dropped


def plan_repair(engine: sa.Engine) -> Plan:
    """Find out what a repair of a store would do, without any change.

    Raises
    ------
    StoreUnavailable
        If the database cannot be read.
    """
    found = verify(engine)
    plan = Plan(found, genesis(None), found.end)
    with contextlib.suppress(StoreDamaged):
        plan.link = LogReader(engine).link_before(found.first)
    usable = [one.position for one in found.snapshots if one.problem is None]
    newest = max(usable, default=None)
    if newest is None and found.first > 0:
        plan.impossible = (
            "no snapshot can be used, and the events before position "
            f"{found.first:,} were deleted: restore the store from a backup"
        )
        return plan
    known, plan.beginning = _beginning(engine)
    if not known:
        plan.impossible = "what the log began with is lost: restore the store from a backup"
        return plan
    covered = found.first if newest is None else newest
    for event in found.bad_events:
        if event.position >= covered and event.kind not in REPLACEABLE:
            # It may have changed the models or SLAs, without which later events have no meaning.
            plan.end = event.position
            break
    plan.replaced = [event for event in found.bad_events if event.position < plan.end]
    _count_dropped(engine, plan)
    plan.snapshots = [
        one.position
        for one in found.snapshots
        if one.problem is not None or one.position > plan.end
    ]
    plan.rows = {table.name: len(found.bad_rows[table.name]) for table in _TABLES}
    return plan


def _beginning(engine: sa.Engine) -> tuple[bool, bytes | None]:
    """Return whether it is known what the log began with, and its bytes; None for nothing."""
    log = LogReader(engine)
    link = None
    with contextlib.suppress(StoreDamaged):
        mark = log.whole_marks().get(GENESIS)
        link = None if mark is None else mark.link
    with contextlib.suppress(StoreDamaged):
        body = log.initial_state()
        if body is not None:
            return True, body
    # Its row may be damaged, but not its body.
    with contextlib.suppress(StoreDamaged):
        for row in whole_rows(engine, documents):
            if isinstance(row["body"], bytes) and genesis(row["body"]) == link:
                return True, row["body"]
    return link == genesis(None), None


def _count_dropped(engine: sa.Engine, plan: Plan) -> None:
    times = [event.at for event in plan.replaced if event.at]
    log = LogReader(engine)
    for _, row, problem in scan(log, plan.end, plan.found.end):
        whole = row is not None and problem is None
        plan.dropped[row[1] if whole and row is not None else ""] += 1
        if whole and row is not None:
            times.append(row[2])
    plan.dropped[""] += max(0, plan.found.expected_end - plan.found.end)
    plan.dropped = +plan.dropped
    times = [at for at in times if at and math.isfinite(at)]
    if times:
        plan.earliest, plan.latest = min(times), max(times)


def describe(plan: Plan) -> list[str]:
    """Put what a repair does and loses into lines of words."""
    found = plan.found
    lines = [f"damaged: {damage.where}: {damage.problem}" for damage in found.damages[:_LINES]]
    if len(found.damages) > _LINES:
        lines.append(f"and {len(found.damages) - _LINES:,} more, which 'store verify' lists")
    if plan.impossible is not None:
        return lines
    lost = plan.lost
    if lost:
        kinds = ", ".join(
            f"{count:,} {_KINDS.get(kind, kind)}" for kind, count in sorted(lost.items())
        )
        lines.append(f"A repair loses {lost.total():,} of {found.expected_end:,} events: {kinds}.")
        if plan.earliest is not None and plan.latest is not None:
            lines.append(f"Their times: {_time(plan.earliest)} to {_time(plan.latest)}.")
    else:
        lines.append("A repair loses no event.")
    if plan.end < found.end:
        lines.append(
            f"All events from position {plan.end:,} on are among them, because the one there is "
            "lost and may have changed the models or SLAs."
        )
    if plan.snapshots:
        positions = ", ".join(f"{position:,}" for position in plan.snapshots)
        lines.append(f"Snapshots are dropped: {positions}.")
    dropped = [f"{count:,} {name}" for name, count in plan.rows.items() if count]
    if dropped:
        lines.append(f"Rows are dropped: {', '.join(dropped)}.")
    return lines


_LINES = 20
"""Most damages that are listed before a repair."""
_KINDS = {
    "decision": "decisions",
    "outcome": "outcomes",
    "feedback": "labels",
    "judgement": "labels of judges",
    "recall": "recalled decisions",
    "zoo": "changes of models",
    "sla": "changes of SLAs",
    "warm_start": "warm starts",
    "": "of unknown kind",
}


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def repair(
    engine: sa.Engine,
    plan: Plan,
    copy_others: Callable[[sa.Engine, sa.Connection], None] = lambda source, connection: None,
) -> str:
    """Repair a store; its writer's lock must be held.

    Parameters
    ----------
    engine
        Engine of the store, for writing.
    plan
        What ``plan_repair`` of the same store returned.
    copy_others
        Copies tables beside those of the log from the engine of a damaged SQLite file to the
        connection of its repaired copy.

    Returns
    -------
    Where the copy of the damaged store is

    Raises
    ------
    StoreUnavailable
        If the database raises an error; the store is as before then.
    """
    assert plan.impossible is None
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    if engine.dialect.name == "sqlite":
        return _repair_file(engine, plan, stamp, copy_others)
    with store_errors(engine), engine.begin() as connection:
        for table in metadata.sorted_tables:
            copy = f"{table.name}_damaged_{stamp.lower()}"
            connection.exec_driver_sql(f"CREATE TABLE {copy} AS TABLE {table.name}")
        _repair_tables(connection, plan)
    return f"the tables …_damaged_{stamp.lower()} of the same database"


def _repair_file(
    engine: sa.Engine,
    plan: Plan,
    stamp: str,
    copy_others: Callable[[sa.Engine, sa.Connection], None],
) -> str:
    """Copy what is whole into a new file, and put that in the place of the damaged one."""
    path = Path(str(engine.url.database))
    part = path.with_name(f"{path.name}.repaired")
    for suffix in _FILES:
        Path(f"{part}{suffix}").unlink(missing_ok=True)
    target = open_engine(f"sqlite:///{part}")
    try:
        upgrade(target)
        with store_errors(target), target.begin() as connection:
            _copy(engine, plan, connection)
            copy_others(engine, connection)
            _repair_tables(connection, plan)
    finally:
        target.dispose()
    engine.dispose()
    copy = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in _FILES:
        old = Path(f"{path}{suffix}")
        if old.exists():
            old.replace(f"{copy}{suffix}")
    part.replace(path)
    return str(copy)


def _copy(source: sa.Engine, plan: Plan, connection: sa.Connection) -> None:
    """Copy the rows that are whole and can be read."""
    log = LogReader(source)
    page: list[dict[str, Any]] = []
    for _, row, problem in scan(log, plan.found.first, plan.end):
        if row is not None and problem is None:
            page.append(dict(zip(EVENT_COLUMNS, row, strict=True)))
        if len(page) == _PAGE_SIZE:
            connection.execute(events.insert(), page)
            page = []
    if page:
        connection.execute(events.insert(), page)
    for position in (one.position for one in plan.found.snapshots if one.problem is None):
        connection.execute(snapshots.insert(), log.snapshot_row(position))
    for table in _TABLES:
        raw_table = sa.table(table.name, *(sa.column(str(c.name)) for c in table.columns))
        try:
            for values in whole_rows(source, table):
                if row_checksum(table, values) == values["checksum"]:
                    connection.execute(raw_table.insert(), values)
        except StoreDamaged:
            # The rest of this table is on damaged pages.
            continue


def _repair_tables(connection: sa.Connection, plan: Plan) -> None:
    """Replace, relink and drop rows, and write all marks anew."""
    first = plan.found.first
    connection.execute(
        events.delete().where(sa.or_(events.c.position >= plan.end, events.c.position < first))
    )
    bad = [event.position for event in plan.replaced]
    for start in range(0, len(bad), _PAGE_SIZE):
        part = bad[start : start + _PAGE_SIZE]
        connection.execute(events.delete().where(events.c.position.in_(part)))
    for event in plan.replaced:
        connection.execute(events.insert(), _tombstone(event))
    link = _relink(connection, plan)
    kept = [one.position for one in plan.found.snapshots if one.position not in plan.snapshots]
    connection.execute(snapshots.delete().where(snapshots.c.position.not_in(kept)))
    for position in kept:
        before = _link_before(connection, position, plan.link)
        row = connection.execute(sa.select(snapshots).where(snapshots.c.position == position)).one()
        values = {**row._mapping, "link": before}
        values["checksum"] = row_checksum(snapshots, values)
        connection.execute(snapshots.update().where(snapshots.c.position == position), values)
    for table in _TABLES:
        for key in plan.found.bad_rows[table.name]:
            columns = table.primary_key.columns
            same = [column == value for column, value in zip(columns, key, strict=True)]
            connection.execute(table.delete().where(*same))
    if plan.beginning is not None:
        put_document(connection, *INITIAL_STATE, plan.beginning)
    marks.put(connection, END, Mark(plan.end, link))
    for name in marks.SEALED:
        marks.seal(connection, name)


def _tombstone(event: BadEvent) -> dict[str, Any]:
    lost = prepare(Tombstone(lost=event.kind, reason=f"{event.problem}; repaired", at=event.at))
    columns = (event.position, *lost[:8], lost.body)
    checksum = event_checksum(columns)
    return dict(zip(EVENT_COLUMNS, (*columns, checksum, b""), strict=True))


def _relink(connection: sa.Connection, plan: Plan) -> bytes:
    """Compute the chain of links anew; return the link at the end."""
    beginning = Mark(0, genesis(plan.beginning))
    marks.put(connection, GENESIS, beginning)
    start = plan.found.first
    before = beginning if start == 0 else Mark(start, plan.link)
    marks.put(connection, START, before)
    link = before.link
    changed = events.update().where(events.c.position == sa.bindparam("row"))
    while start < plan.end:
        rows = connection.execute(
            sa.select(events.c.position, events.c.checksum, events.c.link)
            .where(events.c.position >= start)
            .order_by(events.c.position)
            .limit(_PAGE_SIZE)
        ).all()
        changes = []
        for position, checksum, stored in rows:
            link = next_link(link, checksum)
            if link != stored:
                changes.append({"row": position, "new": link})
        if changes:
            connection.execute(changed.values(link=sa.bindparam("new")), changes)
        start = rows[-1][0] + 1
    return link


def _link_before(connection: sa.Connection, position: int, first_link: bytes) -> bytes:
    query = sa.select(events.c.link).where(events.c.position == position - 1)
    return bytes(connection.execute(query).scalar() or first_link)
