"""Soak: two servers and a learner under an even load, and whether anything grows.

Run ``python benchmarks/soak_replicas.py``; it takes about half an hour. Real PostgreSQL, and
clients that ask at a rate and judge most answers. Every ten seconds memory, descriptors and
connections of each process, the write-ahead log, the inbox, the age of the state and the latency
are measured. In the end each gets a slope per hour by least squares, with an interval of 95 % from
means of minutes, and the table says whether it grew; the first minutes are left out. Ctrl-C shows
the table of what was measured until then. Give the rate that the machine can hold: 200 a second
needs more than two cores for two servers, a learner, PostgreSQL, provider and clients together.
"""

import argparse
import asyncio
import contextlib
import json
import math
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.chaos.balancer import make_balancer
from tests.support.chaos.clients import Clients, Journal
from tests.support.chaos.cluster import Cluster
from tests.support.chaos.database import Database
from tests.support.chaos.provider import Provider
from tests.support.live_gateway import write_settings

from floorline.replication import tables
from floorline.replication.tables import states
from floorline.stores.engine import open_engine
from floorline.stores.upgrade import upgrade

_SAMPLE_SECONDS = 10.0
_BLOCK_SECONDS = 60.0
"""Samples of a minute are one value: neighbours are alike."""
_MEMORY_DECISIONS = 2_000
"""Decisions that are remembered: few, so that the memory is full long before the end."""
_GROWN = 0.05
"""Part of the mean by which a quantity must grow in an hour to be called growing."""


def sample_process(pid):
    """Resident memory in MiB, and number of open files and connections."""
    status = Path(f"/proc/{pid}/status").read_text()
    memory = int(status.split("VmRSS:")[1].split()[0]) / 1024
    return memory, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def sample_database(engine):
    """Connections, sizes in MiB of write-ahead log and database, inbox, and age of the state."""
    age = tables.now(engine) - states.c.at
    queries = {
        "PostgreSQL: connections": sa.text(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'client%'"
        ),
        "PostgreSQL: write-ahead log, MiB": sa.text(
            "SELECT sum(size) / 1048576.0 FROM pg_ls_waldir()"
        ),
        "PostgreSQL: database, MiB": sa.text(
            "SELECT pg_database_size(current_database()) / 1048576.0"
        ),
        "inbox, events": sa.select(sa.func.count()).select_from(tables.inbox),
        "age of the state, s": sa.select(age),
    }
    with engine.connect() as connection:
        return {name: float(connection.scalar(query) or 0) for name, query in queries.items()}


def slope(seconds, values):
    """Slope per hour by least squares over minutes, and half its interval of 95 %."""
    blocks = (np.asarray(seconds) // _BLOCK_SECONDS).astype(int)
    hours = np.array([b * _BLOCK_SECONDS / 3600.0 for b in np.unique(blocks)])
    means = np.array([np.mean(np.asarray(values)[blocks == b]) for b in np.unique(blocks)])
    if len(hours) < 3:
        return math.nan, math.nan
    fit = stats.linregress(hours, means)
    return fit.slope, float(stats.t.ppf(0.975, len(hours) - 2)) * fit.stderr


class Soak:
    """The processes, and what is measured of them by name."""

    def __init__(self, folder, given, database, provider):
        self._folder, self._given = folder, given
        replicas = {"enabled": True}
        text = write_settings(provider.url, replicas=replicas, memory=_MEMORY_DECISIONS)
        slas = [{"name": n, "floor": 0.6} for n in ("gold", "silver", "metered")]
        settings = {**json.loads(text), "slas": slas}
        self._cluster = Cluster(folder, settings, database, given.replicas, 1, self._on_end)
        self._engine = open_engine(database.url)
        upgrade(self._engine)
        tables.create(self._engine)
        self.series = {}
        self.ended = []

    def _on_end(self, process, status):
        self.ended.append((process.name, status))
        print(f"{process.name} ended with status {status}: {process.said()}", flush=True)

    async def run(self):
        """Soak; return the journal and the seconds that it took."""
        for process in self._cluster.all:
            await process.prepare()
        keeping = asyncio.create_task(self._cluster.run())
        balancer = await make_balancer(
            self._folder, [process.address for process in self._cluster.replicas]
        ).start()
        journal = Journal(self._folder / "journal.jsonl")
        url = f"http://127.0.0.1:{balancer.port}"
        clients = Clients(url, journal, self._given.seed, self._given.rate)
        try:
            for replica in self._cluster.replicas:
                await replica.until_ready()
            clients.begin()
            asking = asyncio.create_task(clients.run())
            while clients.now() < 60.0 * self._given.minutes:
                await asyncio.sleep(_SAMPLE_SECONDS)
                await self._sample(clients.now(), journal)
            asking.cancel()
            await clients.close()
            return journal, clients.now()
        finally:
            keeping.cancel()
            self._cluster.close()
            await balancer.close()
            journal.close()
            self._engine.dispose()

    async def _sample(self, now, journal):
        for process in self._cluster.all:
            with contextlib.suppress(OSError):
                memory, files = sample_process(process.pid)
                self._note(f"{process.name}: memory, MiB", now, memory)
                self._note(f"{process.name}: open files", now, files)
        for name, value in (await asyncio.to_thread(sample_database, self._engine)).items():
            self._note(name, now, value)
        if journal.latencies:
            times, journal.latencies = np.array(journal.latencies), []
            self._note("answers a second", now, len(times) / _SAMPLE_SECONDS)
            for percent in (50, 99):
                self._note(f"latency p{percent}, ms", now, 1e3 * np.percentile(times, percent))
        print(
            f"{now:6.0f} s  "
            + "  ".join(f"{name} {values[-1][1]:.1f}" for name, values in self.series.items()),
            flush=True,
        )

    def _note(self, name, now, value):
        self.series.setdefault(name, []).append((now, float(value)))


def show(series, warm):
    """Print a table of what was measured after the first minutes."""
    table = Table("", "first", "mean", "last", "slope per hour", "± (95 %)", "", title=None)
    for name, points in series.items():
        kept = [(at, value) for at, value in points if at >= warm]
        if len(kept) < 3:
            continue
        seconds, values = zip(*kept, strict=True)
        per_hour, half = slope(seconds, values)
        mean = float(np.mean(values))
        grows = per_hour - half > _GROWN * abs(mean)
        shown = (values[0], mean, values[-1], per_hour, half)
        table.add_row(name, *(f"{v:,.2f}" for v in shown), "grows" if grows else "")
    Console(width=130).print(table)


def main():
    # A shell that starts it in the background lets it ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=200.0, help="Requests a second.")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--warm", type=float, default=5.0, help="Minutes that are left out.")
    given = parser.parse_args()
    print(f"{given}; began {time.strftime('%F %T')}", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        provider = Provider(given.seed)
        database = Database(folder / "postgres")
        try:
            soak = Soak(folder, given, database, provider)
            try:
                journal, seconds = asyncio.run(soak.run())
            except KeyboardInterrupt:
                show(soak.series, 60.0 * given.warm)
                raise
        finally:
            database.close()
            provider.close()
    show(soak.series, 60.0 * given.warm)
    for (path, status), count in sorted(journal.statuses.items()):
        print(f"{path} {status}: {count:,} ({count / seconds:.1f} a second)")
    print(f"{len(journal.failures)} failed; {len(soak.ended)} processes ended by themselves")
    return int(bool(soak.ended or journal.failures))


if __name__ == "__main__":
    sys.exit(main())
