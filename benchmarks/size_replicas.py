"""What a request costs the learner and the database, and what a billion a day need.

``python benchmarks/size_replicas.py --postgres [--requests 3000] [--write]``; ``--write`` puts the
tables into docs/sizing.md. One replica writes requests of the simulated models with an outcome
each and labels for a fifth, without the prompts' texts, into the inbox of a new store; one learner
takes them into the log. CPU is that of this process, by step. ``--postgres`` starts a server of the
development environment, and ``--url`` names an empty database of another one; its processor time is
not counted. Without both, SQLite works within the process.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import sqlalchemy as sa
from tests.support.chaos.database import Database
from threadpoolctl import threadpool_limits

from floorline import SLA, Router
from floorline.datasets import simulate
from floorline.encoders.hashed import HashedNgrams
from floorline.policies import make_policy
from floorline.replay.data import zoo_of
from floorline.replication import tables
from floorline.replication.learner import Learner
from floorline.replication.learner_store import LearnerStore
from floorline.replication.lease import Lease
from floorline.replication.replica_router import ReplicaRouter
from floorline.replication.replica_store import ReplicaStore
from floorline.state.fold import Fold
from floorline.stores.engine import open_engine
from floorline.stores.recovery import recover
from floorline.stores.schema import events
from floorline.stores.upgrade import upgrade
from sheet import Sheet
from written import write

PAGE = Path(__file__).parents[1] / "docs" / "sizing.md"
A_DAY, SECONDS, PEAK = 1e9, 86_400.0, 2.0
"""Requests a day, seconds of a day, and the peak relative to the mean of a day."""
LABELLED = 5
"""Every fifth answer gets a label."""
MODELS = ("sim-nano", "sim-mini", "sim-small", "sim-titan")
SEED, STATES = 1, 20
PUBLISH_SECONDS = 0.25
WORKER_MICROSECONDS = 677.0
"""CPU of a streamed request in a server, the larger of the two in docs/benchmarks-gateway.md."""
BUSY, CORES = 0.5, 8.0
"""Part of a core that is in use at the peak, and cores of a machine."""


def measure(url, requests):
    """Return CPU seconds and bytes of a run."""
    engine = open_engine(url)
    upgrade(engine)
    tables.create(engine)
    table = simulate(requests, SEED, MODELS)
    arguments = {"zoo": zoo_of(table), "slas": [SLA("gold", floor=0.8)], "seed": SEED}
    lease = Lease(engine, "sizing", seconds=60.0)
    lease.take()
    learned = LearnerStore(url, lease)
    learner = Learner(recover(lambda: Router(**arguments, log=learned), learned), learned)
    store = ReplicaStore(url, "one")
    router = ReplicaRouter(**arguments, log=store, id_prefix="one")
    found = {}

    def timed(name, step, *given):
        started = time.process_time()
        result = step(*given)
        found[name] = found.get(name, 0.0) + time.process_time() - started
        return result

    def serve(number):
        at = float(number)
        made = router.route(table.prompts[number], at=at)
        model = table.models.index(made.model)
        cost = float(table.cost[number, model])
        router.outcome(made.id, cost=cost, output_tokens=150, latency=1.0, at=at)
        if number % LABELLED == 0:
            router.feedback(made.id, score=float(table.quality[number, model]), at=at)

    found["wal bytes"] = wal_bytes(engine)
    for number in range(requests):
        timed("replica", serve, number)
    timed("replica", store.flush)
    rows = sa.select(sa.func.count(), sa.func.sum(sa.func.length(tables.inbox.c.body)))
    with engine.connect() as connection:
        found["rows"], found["inbox bytes"] = map(float, connection.execute(rows).one())
    started = time.perf_counter()
    while timed("learner", learner.step):
        pass
    found["learner, waits too"] = time.perf_counter() - started
    found["wal bytes"] = wal_bytes(engine) - found["wal bytes"]
    found["log bytes"] = stored_bytes(engine)
    for number in range(STATES):
        learned_at = len(learned)
        timed("publish", learner.publish)
        serve(number)
        store.flush()
        timed("ignored", learner.step)
        assert len(learned) > learned_at
    learner.publish()
    state = store.state()
    found["state bytes"] = float(len(state.body))
    for _ in range(STATES):
        fold = Fold(
            make_policy("primal_dual"),
            arguments["zoo"],
            arguments["slas"],
            HashedNgrams().dim,
            memory=50_000,
        )
        timed("load", router.prepare, state, fold)
    store.close()
    learned.close()
    engine.dispose()
    return found


def stored_bytes(engine):
    """Bytes of the log's table with its indexes; of the whole file in SQLite."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            size = f"SELECT pg_total_relation_size('{events.name}')"
            return float(connection.scalar(sa.text(size)))
        used = "SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count"
        pages = float(connection.scalar(sa.text(used)))
        return pages * connection.scalar(sa.text("PRAGMA page_size"))


def wal_bytes(engine):
    """Bytes of PostgreSQL's write-ahead log so far; 0 in SQLite."""
    if engine.dialect.name != "postgresql":
        return 0.0
    query = sa.text("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")
    with engine.connect() as connection:
        return float(connection.scalar(query))


def measurements(found, requests, database):
    """The numbers that the arithmetic begins with."""
    values = {
        "events of a request": f"{found['rows'] / requests:.2f}",
        "bytes of its events in the inbox": f"{found['inbox bytes'] / requests:,.0f}",
        "bytes of it in the log, with indexes": f"{found['log bytes'] / requests:,.0f}",
        "bytes of write-ahead log of it": f"{found['wal bytes'] / requests:,.0f}",
        "replica: encode, decide, append; CPU of a request": _micro(found["replica"], requests),
        "learner: take, fold, append; CPU of a request": _micro(found["learner"], requests),
        "learner: events a second of CPU": f"{found['rows'] / found['learner']:,.0f}",
        "learner: events a second, with the waits for the database": (
            f"{found['rows'] / found['learner, waits too']:,.0f}"
        ),
        f"published state of {len(MODELS)} models": f"{found['state bytes'] / 1e3:,.0f} kB",
        "learner: publish a state, CPU": f"{1e3 * found['publish'] / STATES:.1f} ms",
        "replica: load a state, CPU": f"{1e3 * found['load'] / STATES:.1f} ms",
    }
    return Sheet(
        f"Measured over {requests:,} requests on {database}", ["what", "value"], values.items()
    )


def _micro(seconds, count):
    return f"{1e6 * seconds / count:,.0f} µs"


def billion(found, requests):
    """The arithmetic, each step with its formula."""
    mean = A_DAY / SECONDS
    peak = PEAK * mean
    workers = peak * WORKER_MICROSECONDS / 1e6 / BUSY
    per_learner = BUSY / (found["learner"] / requests)
    day_rows = A_DAY * found["rows"] / requests
    log = A_DAY * found["log bytes"] / requests
    wal = A_DAY * found["wal bytes"] / requests
    written = found["state bytes"] / PUBLISH_SECONDS / 1e6
    traffic = found["state bytes"] * workers / PUBLISH_SECONDS / 1e6
    loading = 100 * found["load"] / STATES / PUBLISH_SECONDS
    every = f"{PUBLISH_SECONDS:g} s"
    rows = [
        ["requests a second, mean", "10⁹ / 86,400", f"{mean:,.0f}"],
        ["requests a second, peak", f"{PEAK:g} × mean", f"{peak:,.0f}"],
        [
            "workers, one core each",
            f"peak × {WORKER_MICROSECONDS:g} µs / {BUSY:g} of a core in use",
            f"{workers:,.0f}",
        ],
        [f"machines of {CORES:g} cores", f"workers / {CORES:g}", f"{workers / CORES:,.1f}"],
        ["rows a day", "10⁹ × events of a request", f"{day_rows / 1e9:.2f} × 10⁹"],
        ["rows a second, mean", "rows a day / 86,400", f"{day_rows / SECONDS:,.0f}"],
        ["log a day", "10⁹ × bytes in the log", f"{log / 1e12:,.1f} TB"],
        ["log of 30 days", "30 × log a day", f"{30 * log / 1e12:,.0f} TB"],
        ["write-ahead log a day", "10⁹ × bytes of write-ahead log", f"{wal / 1e12:,.1f} TB"],
        ["requests a second of a learner", f"{BUSY:g} / its CPU", f"{per_learner:,.0f}"],
        ["learners", "peak / requests a second of a learner", f"{peak / per_learner:,.1f}"],
        ["states written by a learner", f"bytes / {every}", f"{written:,.1f} MB/s"],
        ["states read", f"bytes × workers / {every}", f"{traffic:,.0f} MB/s"],
        ["of a worker's time: loading states", f"load / {every}", f"{loading:.1f} %"],
    ]
    return Sheet("A billion requests a day", ["what", "arithmetic", "value"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--postgres", action="store_true", help="start PostgreSQL for it")
    parser.add_argument("--url", help="of an empty PostgreSQL database")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/sizing.md")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sizing-")))
        url = options.url or f"sqlite:///{folder}/log.db"
        if options.postgres:
            server = Database(folder / "postgres")
            stack.callback(server.close)
            url = server.url
        stack.enter_context(threadpool_limits(1))
        found = measure(url, options.requests)
    database = "SQLite" if url.startswith("sqlite") else "PostgreSQL"
    sheets = [measurements(found, options.requests, database), billion(found, options.requests)]
    if options.write:
        write(PAGE, "size_replicas.py", "\n\n".join(sheet.text() for sheet in sheets))
    for sheet in sheets:
        sheet.show()


if __name__ == "__main__":
    main()
