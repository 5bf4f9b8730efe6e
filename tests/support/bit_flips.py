"""Damage a store in one place at a time, start from it, and compare the recovered state."""

import contextlib
import random
import shutil
import sqlite3
import struct
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from floorline.encoders.hashed import HashedNgrams
from floorline.errors import FloorlineError
from floorline.gateway.reconcile import DesiredState
from floorline.gateway.startup import open_router
from floorline.policies import make_policy
from floorline.sla import SLA
from floorline.stores import wal_checkpointer
from floorline.stores.retention import vacuum
from floorline.stores.sql import SqlStore
from floorline.zoo import Model, Zoo

HARMLESS = "harmless: the state is the same"
FELL_BACK = "reported, and the state is the same"
REFUSED = "refused"
REPORTED = "reported, and the state lacks unsynced events"
SILENT = "SILENT DIFFERENCE"
CRASHED = "CRASHED with another exception"

ZOO = Zoo([Model("small", output_price=1.0), Model("large", output_price=9.0)], "USD")
SLAS = [SLA("gold", floor=0.8), SLA("silver", floor=0.6)]
NAME = "log.db"


class Damage(NamedTuple):
    """One way to damage the files in a folder, and its name."""

    name: str
    do: object


class Store:
    """A log with snapshots in a folder, as a stopped and as a killed process left it.

    Attributes
    ----------
    stopped, killed
        Folders with the files.
    older
        Copy of the stopped store at an earlier time, with its newest snapshot.
    """

    def __init__(self, folder, requests=120, *, deleted=False):
        self.folder = Path(folder)
        live = self.folder / "live"
        live.mkdir()
        self.kept = None
        store, router = _open(live)
        _use(router, store, 0, requests)
        _save(router, store)
        _use(router, store, requests, requests // 2)
        _save(router, store)
        if deleted:
            vacuum(store.engine, before=float(requests // 3))
        store.put_document("model", "added", b"{}")
        store.keys.create("app", tenant="acme")
        store.close()
        self.older = self._copy(live, "older")
        # After a checkpoint, which comes twice a second, the write-ahead log is not needed.
        with patch.object(wal_checkpointer, "_INTERVAL_SECONDS", 3600.0):
            store, router = _open(live)
            _use(router, store, 2 * requests, requests // 3)
            store.flush()
            router.route("The last request, of which nothing was synced", at=3.0 * requests)
            store.flush()
            self.killed = self._copy(live, "killed")
        store.close()
        self.stopped = self._copy(live, "stopped")
        self.expected = recovered(self._copy(self.stopped, "expected"))
        assert self.expected == recovered(self._copy(self.killed, "expected killed"))
        self.scratch = self.folder / "scratch"

    def _copy(self, folder, name):
        # Shared memory is made anew from the write-ahead log.
        target = self.folder / name
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*-shm", "*.lock*"))
        return target

    def attack(self, folder, do):
        """Return how a start ends from a damaged copy of a folder, and its text."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._copy(folder, self.scratch.name)
        do(self.scratch)
        try:
            state, warnings = recovered(self.scratch)
        except FloorlineError as error:
            text = str(error)
            return (REFUSED if "\n" not in text else CRASHED), text
        except Exception as error:
            return CRASHED, f"{type(error).__name__}: {error}"
        same = state == self.expected[0]
        if same:
            return (FELL_BACK if warnings else HARMLESS), "; ".join(warnings)
        return (REPORTED if warnings else SILENT), "; ".join(warnings)


def _open(folder):
    store = SqlStore(f"sqlite:///{folder / NAME}")
    try:
        router = open_router(
            store,
            DesiredState(ZOO, SLAS),
            lambda: make_policy("primal_dual"),
            HashedNgrams(128),
            seed=1,
            memory=30,
            at=0.0,
        )
    except BaseException:
        with contextlib.suppress(FloorlineError):
            store.close()
        raise
    return store, router


def _use(router, store, start, requests):
    for t in range(start, start + requests):
        decision = router.route(f"Question {t} about {t % 7}?", ("gold", "silver")[t % 2], at=t)
        if decision.declined:
            continue
        if t % 10 == 0:
            store.append_prompt(decision.id, f"Question {t}".encode())
        router.outcome(decision.id, cost=0.5 + t % 3, completion=f"c{t}", at=t + 0.5)
        if t % 3:
            router.feedback(decision.id, satisfied=t % 5 > 0, at=t + 0.7)


def _save(router, store):
    oldest = next(iter(router.remembered))
    store.write_snapshot(len(store), router.snapshot(decisions=False), oldest)


def recovered(folder):
    """Return the state that a start from a folder finds, and its warnings."""
    store, router = _open(folder)
    try:
        return (router.snapshot(), len(store)), store.warnings()
    finally:
        store.close()


def flip_file(path, position, bit):
    """Flip one bit of a file."""
    with path.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ (1 << bit)]))


def _flip_value(value, rng):
    """Return a value of a column with one bit flipped, and its type in SQL."""
    if isinstance(value, int):
        return value ^ (1 << rng.randrange(32)), "INTEGER"
    if isinstance(value, float):
        (bits,) = struct.unpack("<Q", struct.pack("<d", value))
        return struct.unpack("<d", struct.pack("<Q", bits ^ (1 << rng.randrange(63))))[0], "REAL"
    kind = "TEXT" if isinstance(value, str) else "BLOB"
    data = bytearray(value.encode() if isinstance(value, str) else value)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data), kind


def flip_row(folder, table, rng, *, newest=False):
    """Flip one bit of one column of one row."""
    connection = sqlite3.connect(folder / NAME, isolation_level=None)
    try:
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        skipped = count - 1 if newest else rng.randrange(count)
        rows = connection.execute(
            f"SELECT rowid, * FROM {table} ORDER BY rowid LIMIT 1 OFFSET {skipped}"
        )
        names = [column[0] for column in rows.description][1:]
        rowid, *values = rows.fetchone()
        full = [n for n, value in enumerate(values) if value not in (None, "", b"")]
        number = rng.choice(full)
        value, kind = _flip_value(values[number], rng)
        try:
            connection.execute(
                f"UPDATE {table} SET {names[number]} = CAST(? AS {kind}) WHERE rowid = ?",
                (value, rowid),
            )
        except (sqlite3.IntegrityError, OverflowError):
            # Another row has this key.
            flip_row(folder, table, rng)
    finally:
        connection.close()


def truncate(path, size):
    """Cut a file to a size in bytes."""
    with path.open("r+b") as file:
        file.truncate(size)


def sql(folder, *statements):
    """Change the database with statements of SQL."""
    connection = sqlite3.connect(folder / NAME, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


TABLES = ("events", "snapshots", "documents", "marks", "prompts", "api_keys", "alembic_version")


def flips(store, rng, count):
    """Yield single-bit flips, by the place that they hit: kind, folder and change."""
    database = store.stopped / NAME
    wal = store.killed / f"{NAME}-wal"
    for number in range(count):
        kind = number % 6
        bit = rng.randrange(8)
        seed = rng.random()

        def rows(table, newest=False, seed=seed):
            return lambda folder: flip_row(folder, table, random.Random(seed), newest=newest)

        def byte(name, size, seed=seed, bit=bit):
            at = random.Random(seed).randrange(size)
            return lambda folder: flip_file(folder / name, at, bit)

        if kind == 0:
            yield "newest snapshot", store.stopped, rows("snapshots", newest=True)
        elif kind == 1:
            yield "event", store.stopped, rows("events")
        elif kind == 2:
            table = ("snapshots", "documents", "marks", "alembic_version")[number // 6 % 4]
            yield f"row of {table}", store.stopped, rows(table)
        elif kind == 3:
            yield "database file", store.stopped, byte(NAME, database.stat().st_size)
        elif kind == 4:
            yield "write-ahead log", store.killed, byte(f"{NAME}-wal", wal.stat().st_size)
        elif number // 6 % 8 == 0:
            yield "witness", store.stopped, byte(f"{NAME}.witness", 1024)
        else:
            yield "database file beside its log", store.killed, byte(NAME, store_size(store))


def store_size(store):
    """Return the size of the database of the killed store in bytes."""
    return (store.killed / NAME).stat().st_size


def losses(store, rng, count):
    """Yield files and rows that are missing, cut or replaced: kind, folder and change."""
    wal = store.killed / f"{NAME}-wal"
    database = store.stopped / NAME
    for _ in range(count):
        size = rng.randrange(wal.stat().st_size)
        yield "write-ahead log cut", store.killed, _cut(f"{NAME}-wal", size)
        size = rng.randrange(database.stat().st_size)
        yield "database cut", store.stopped, _cut(NAME, size)
        yield "database cut at a page", store.stopped, _cut(NAME, size // 4096 * 4096)
        end = store.expected[0][1] - 1 - rng.randrange(60)
        yield "tail missing", store.stopped, _deleted(f"position >= {end}")
        yield "tail missing and its mark", store.stopped, _tail_and_mark(end)
        gap = rng.randrange(end)
        yield "gap", store.stopped, _deleted(f"position = {gap}")
        yield "head missing", store.stopped, _deleted(f"position < {gap}")
    yield "write-ahead log deleted", store.killed, lambda at: (at / f"{NAME}-wal").unlink()
    yield "database deleted", store.stopped, lambda at: (at / NAME).unlink()
    yield "database replaced by an older copy", store.stopped, _older(store)
    yield "database emptied", store.stopped, _cut(NAME, 0)
    for table in ("marks", "documents", "alembic_version", "snapshots", "events"):
        yield f"{table} emptied", store.stopped, lambda at, t=table: sql(at, f"DELETE FROM {t}")
        yield f"{table} dropped", store.stopped, lambda at, t=table: sql(at, f"DROP TABLE {t}")
    shorter = "position >= (SELECT min(position) FROM snapshots)"
    yield "log shorter than its snapshots", store.stopped, _deleted(shorter)
    yield "no index", store.stopped, lambda at: sql(at, "DROP INDEX events_by_decision")


def _cut(name, size):
    return lambda folder: truncate(folder / name, size)


def _deleted(where):
    return lambda folder: sql(folder, f"DELETE FROM events WHERE {where}")


def _tail_and_mark(end):
    def do(folder):
        from floorline.stores import marks
        from floorline.stores.engine import open_engine

        sql(folder, f"DELETE FROM events WHERE position >= {end}")
        engine = open_engine(f"sqlite:///{folder / NAME}")
        with engine.begin() as connection:
            link = connection.exec_driver_sql(
                f"SELECT link FROM events WHERE position = {end - 1}"
            ).scalar()
            marks.put(connection, marks.END, marks.Mark(end, link))
        engine.dispose()

    return do


def _older(store):
    return lambda folder: shutil.copy(store.older / NAME, folder / NAME)


def run(store, cases):
    """Attack with all cases: numbers by kind and how they ended, and texts of the bad ones."""
    counts, bad = {}, []
    for kind, folder, do in cases:
        how, text = store.attack(folder, do)
        counts.setdefault(kind, Counter())[how] += 1
        if how in (SILENT, CRASHED):
            bad.append((kind, how, text))
    return counts, bad
