import asyncio
import sqlite3
import subprocess
import sys
import time

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from floorline.errors import StoreUnavailable
from floorline.events import Feedback, Outcome
from floorline.stores import open_store
from floorline.stores.commit import GroupCommit
from floorline.stores.engine import open_engine
from floorline.stores.schema import HEAD, metadata
from floorline.stores.upgrade import migrate, upgrade, version
from floorline.stores.writing import EventWriter, LogConflict, prepare


def outcome(n):
    return Outcome(decision=f"d{n}", model="small", cost=float(n))


def numbers(store):
    return [int(event.decision[1:]) for event in store.read()]


CHILD = """
import sys
from floorline.events import Outcome
from floorline.stores import open_store

store = open_store(sys.argv[1])
for n in range(1_000_000):
    store.append(Outcome(decision=f"d{n}", model="small", cost=1.0))
    if n % 7 == 0:
        store.flush()
        print(n, flush=True)
"""


@pytest.mark.parametrize("after", [5, 60, 200])
def test_acknowledged_events_survive_a_kill(after, url):
    child = subprocess.Popen([sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE, text=True)
    for _ in range(after):
        acknowledged = int(child.stdout.readline())
    child.kill()
    acknowledged = max([acknowledged, *map(int, child.stdout.read().split())])
    child.wait()
    child.stdout.close()
    store = _open_when_free(url)
    kept = numbers(store)
    assert kept == list(range(len(kept)))
    assert len(kept) > acknowledged
    store.append(outcome(len(kept)))
    store.flush()
    assert len(numbers(store)) == len(kept) + 1
    store.close()


def _open_when_free(url):
    # PostgreSQL notices the end of the writer's connection with a delay.
    deadline = time.monotonic() + 60
    while True:
        try:
            return open_store(url)
        except StoreUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_second_writer_is_rejected(store, url):
    store.append(outcome(0))
    with pytest.raises(StoreUnavailable, match=r"another process writes to the store .* stop it"):
        open_store(url)
    store.append(outcome(1))
    store.flush()
    assert numbers(store) == [0, 1]


def test_closing_releases_the_writers_lock(url):
    for n in range(3):
        store = open_store(url)
        store.append(outcome(n))
        store.close()
    store = open_store(url)
    assert numbers(store) == [0, 1, 2]
    store.close()


def test_a_locked_database_delays_commits_and_loses_nothing(tmp_path):
    path = tmp_path / "log.db"
    store = open_store(f"sqlite:///{path}", patience=0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for n in range(5):
        store.append(outcome(n))
    with pytest.raises(StoreUnavailable, match="5 events are not committed yet"):
        asyncio.run(store.committed(timeout=0.1))
    assert store.end() == 0
    store.append(outcome(5))
    other.execute("ROLLBACK")
    store.flush(timeout=60)
    assert store.failure is None
    assert numbers(store) == [0, 1, 2, 3, 4, 5]
    other.close()
    store.close()


FULL = """
import resource, signal, sys, time
from pathlib import Path
from floorline.errors import StoreUnavailable
from floorline.events import Outcome
from floorline.stores import open_store, wal_checkpointer

path = Path(sys.argv[1])
# A checkpoint would make room in the write-ahead log.
wal_checkpointer._INTERVAL_SECONDS = 3600.0
store = open_store(f"sqlite:///{path}", patience=0.2)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
wal = path.with_name(path.name + "-wal")
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size + 2_000_000, hard))
n = acknowledged = 0
while True:
    store.append(Outcome(decision=f"d{n}", model="small", cost=1.0, error="x" * 500))
    n += 1
    try:
        store.flush()
        acknowledged = n
    except StoreUnavailable as error:
        # On a busy machine a commit may only be slow.
        if store.failure is not None and store.failure in str(error):
            print("failed:", error, flush=True)
            break
before = list(store.numbered())
assert len(before) == acknowledged < n == len(store), (len(before), acknowledged, n)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
store.append(Outcome(decision=f"d{n}", model="small", cost=1.0))
store.flush(timeout=60)
assert store.failure is None
store.close()
print("recovered:", n + 1, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit the size of files")
def test_a_full_disk_delays_commits_and_loses_nothing(tmp_path):
    path = tmp_path / "log.db"
    child = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    failed, recovered = child.stdout.splitlines()
    assert "cannot be written" in failed
    store = open_store(f"sqlite:///{path}")
    assert numbers(store) == list(range(int(recovered.split()[1])))
    assert len(store) > 50
    store.close()


def test_a_lost_connection_is_replaced_and_loses_nothing(empty_postgres):
    engine = open_engine(empty_postgres)
    upgrade(engine)
    store = open_store(empty_postgres)
    for n in range(20):
        store.append(outcome(n))
        if n % 5 == 0:
            store.flush()
            with engine.begin() as connection:
                # The connection with the advisory lock is the writer's.
                connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks "
                    "WHERE locktype = 'advisory' AND database = "
                    "(SELECT oid FROM pg_database WHERE datname = current_database())"
                ).all()
    store.flush(timeout=60)
    assert store.failure is None
    assert numbers(store) == list(range(20))
    with pytest.raises(StoreUnavailable, match="another process writes"):
        open_store(empty_postgres)
    store.close()
    engine.dispose()


class InDoubtWriter(EventWriter):
    """Writer whose first commit is executed although its connection breaks."""

    broken = False

    def write(self, batch):
        if self.broken:
            super().write(batch)
            return
        self.broken = True
        super().write(batch)
        self._in_doubt = True
        raise StoreUnavailable("the connection broke during the commit")


def test_a_commit_in_doubt_is_not_repeated_if_it_was_executed(url):
    engine = open_engine(url)
    upgrade(engine)
    writer = InDoubtWriter(engine)
    writer.open()
    commits = GroupCommit(writer, durable=0, max_pending=100, patience=10.0)
    for n in range(4):
        commits.append(prepare(outcome(n)))
    commits.flush(None, None)
    commits.close(None)
    writer.close()
    engine.dispose()
    store = open_store(url)
    assert numbers(store) == [0, 1, 2, 3]
    store.close()


def test_events_of_another_process_are_not_overwritten(tmp_path):
    url = f"sqlite:///{tmp_path / 'log.db'}"
    store = open_store(url)
    store.append(outcome(0))
    store.flush()
    with sqlite3.connect(tmp_path / "log.db") as other:
        other.execute(
            "INSERT INTO events (position, kind, at, body, checksum, link) "
            "VALUES (1, 'outcome', 0, x'00', x'00', x'00')"
        )
    other.close()
    store.append(outcome(1))
    with pytest.raises(StoreUnavailable, match="another process wrote to the log"):
        store.flush()
    with pytest.raises(StoreUnavailable, match="another process wrote to the log"):
        store.append(outcome(2))
    with pytest.raises(StoreUnavailable):
        store.close()
    assert LogConflict.__doc__


def test_too_many_waiting_events_are_rejected_and_none_is_lost(tmp_path):
    path = tmp_path / "log.db"
    store = open_store(f"sqlite:///{path}", max_pending=3)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    # The writer can take the first events from the queue before it finds the database locked.
    for n in range(3):
        store.append(outcome(n))
    with pytest.raises(StoreUnavailable, match="3 events wait for a commit, the largest number"):
        store.append(outcome(3))
    other.execute("ROLLBACK")
    other.close()
    store.flush(timeout=60)
    assert numbers(store) == [0, 1, 2]
    store.close()


def test_only_acknowledged_events_sync_the_disk(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'log.db'}")
    writer = store._writer
    store.append(outcome(0))
    store.flush()
    connection = writer._connection.connection.driver_connection
    level = {1: "NORMAL", 2: "FULL"}

    def synchronous():
        return level[connection.execute("PRAGMA synchronous").fetchone()[0]]

    assert synchronous() == "NORMAL"
    store.append(Feedback(decision="d0", model="small", score=1.0))
    store.flush()
    assert synchronous() == "FULL"
    store.close()


@pytest.mark.parametrize("create", [migrate, lambda engine, found: upgrade(engine)])
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_migrations_and_creation_give_the_tables_of_the_schema(create, kind, tmp_path, request):
    sqlite = f"sqlite:///{tmp_path / 'new.db'}"
    engine = open_engine(sqlite if kind == "sqlite" else request.getfixturevalue("empty_postgres"))
    create(engine, None)
    assert version(engine) == HEAD
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    assert differences == []
    engine.dispose()


def test_tables_of_a_newer_version_are_rejected(url):
    open_store(url).close()
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match="'9999'"):
        open_store(url)
    assert version(engine) == "9999"
    engine.dispose()


def test_the_error_of_postgresql_without_tables_names_the_command(empty_postgres):
    with pytest.raises(StoreUnavailable, match=r"has no tables, .* 'floorline store migrate'"):
        open_store(empty_postgres)
