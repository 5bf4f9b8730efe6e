"""Soak: two servers and a learner under an even load, and whether anything grows.

Run ``python benchmarks/soak_replicas.py --write`` on a machine without other work; it takes 36
minutes. Real processes and PostgreSQL, and in one further process the provider and clients, which
judge a fifth of the answers (``soak_load.py``). Every ten seconds memory, open files and processor
time of each process, connections, the write-ahead log, the inbox, the age of the state and the
latency are measured.

The first minutes are left out. By then everything that has a bound is full: a router remembers
2,000 decisions, which are made in ten seconds, and PostgreSQL keeps at most ``max_wal_size`` of its
write-ahead log. What is left is the dashboard's history, which keeps a minute's traffic for a day.

The rest is divided into five parts, and each quantity gets a slope by least squares over their
means, with an interval of 95 % by Student's t with 3 degrees of freedom. Neighbouring samples are
alike; means over minutes hardly are, and an interval from all samples would be too narrow by
half (``coverage``). A quantity is flat if 0 is in the interval, or if it grows by less than a tenth
of its mean in a day. Ctrl-C shows the table of what was measured until then.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import sqlalchemy as sa
import uvloop
from rich.console import Console
from rich.table import Table
from scipy import stats

from soak_load import FEEDBACK_SHARE, STREAM_SHARE, Load, serve_provider
from written import write

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.chaos.database import Database
from tests.support.live_gateway import write_settings
from tests.support.replica_processes import Processes

from floorline.replication import tables
from floorline.replication.tables import states
from floorline.stores.engine import open_engine

_PAGE = Path(__file__).parents[1] / "docs" / "replicas.md"
_SAMPLE_SECONDS = 10.0
_PARTS = 5
"""Parts of the time that are one value each."""
_MEMORY_DECISIONS = 2_000
"""Decisions that are remembered: few, so that the memory is full long before the end."""
_MAX_WAL = "256MB"
"""Less than PostgreSQL's 1 GB, which the first minutes would not fill."""
_GROWS_DAILY = 0.1
"""Part of the mean by which a quantity must grow in a day to be called growing."""
_SLAS = ["gold", "silver", "bronze"]


def sample_process(pid):
    """Memory in MiB, number of open files, and processor time so far in seconds."""
    folder = Path(f"/proc/{pid}")
    memory = int((folder / "status").read_text().split("VmRSS:")[1].split()[0]) / 1024
    times = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
    seconds = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return memory, len(list((folder / "fd").iterdir())), seconds


def sample_database(engine):
    """Connections, write-ahead log in MiB and in bytes written so far, inbox, age of the state."""
    queries = {
        "connections": sa.text(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'client%'"
        ),
        "wal": sa.text("SELECT sum(size) / 1048576.0 FROM pg_ls_waldir()"),
        "written": sa.text("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"),
        "inbox": sa.select(sa.func.count()).select_from(tables.inbox),
        "age": sa.select(tables.now(engine) - states.c.at),
    }
    with engine.connect() as connection:
        return {name: float(connection.scalar(query) or 0) for name, query in queries.items()}


def slope(seconds, values, parts=_PARTS):
    """Slope per hour by least squares over the means of equal parts of the time.

    Returns
    -------
    slope, half : float
        The slope, and half its interval of 95 %.
    """
    seconds, values = np.asarray(seconds), np.asarray(values)
    edges = np.linspace(seconds[0], seconds[-1], parts + 1)
    part = np.clip(np.searchsorted(edges, seconds, side="right") - 1, 0, parts - 1)
    hours = [seconds[part == number].mean() / 3600.0 for number in range(parts)]
    fit = stats.linregress(hours, [values[part == number].mean() for number in range(parts)])
    # A series that never changes has no error of its slope.
    half = float(stats.t.ppf(0.975, parts - 2)) * np.nan_to_num(fit.stderr)
    return fit.slope, half


_GIVEN = ("answers a second", "% of a core")
"""Ends of the names of what the load decides, which has no verdict."""


def verdict(per_hour, half, mean):
    """Whether a quantity is flat, and why, or that it grows or falls."""
    if abs(per_hour) <= half:
        return "flat: 0 is in the interval"
    if 24.0 * abs(per_hour) < _GROWS_DAILY * abs(mean):
        return f"flat: < {_GROWS_DAILY:.0%} a day"
    return "**grows**" if per_hour > 0.0 else "falls"


def coverage(similarity, samples=180, runs=400, parts=_PARTS):
    """Share of the intervals that hold the slope of a series that has none.

    Parameters
    ----------
    similarity
        Correlation of two neighbouring samples.
    samples, runs, parts
        Samples of a series, series, and parts into which each is divided.
    """
    rng = np.random.default_rng(0)
    seconds = np.arange(samples) * _SAMPLE_SECONDS
    held = 0
    for _ in range(runs):
        noise = rng.normal(size=2 * samples)
        for at in range(1, len(noise)):
            noise[at] += similarity * noise[at - 1]
        found, half = slope(seconds, noise[samples:], parts)
        held += abs(found) <= half
    return held / runs


class Soak:
    """The processes, and what is measured of them by name."""

    def __init__(self, folder, database, provider, given):
        self._given, self._provider = given, provider
        self._engine = open_engine(database.url)
        with self._engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(sa.text(f"ALTER SYSTEM SET max_wal_size = '{_MAX_WAL}'"))
            connection.execute(sa.text("SELECT pg_reload_conf()"))
        text = write_settings(
            provider,
            store={"url": database.url},
            replicas={"enabled": True},
            slas=[{"name": name, "floor": 0.6} for name in _SLAS],
            memory=_MEMORY_DECISIONS,
        )
        os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._processes = Processes(folder, text, database.url)
        self._pids = {}
        self._before = {}
        self.load = None
        self.series = {}
        self.seconds = 0.0

    async def run(self):
        """Soak for the time that was asked for."""
        self._pids["learner"] = self._processes.learn().pid
        ports = []
        for number in range(1, self._given.replicas + 1):
            replica = await asyncio.to_thread(self._processes.serve, f"server {number}")
            self._pids[f"server {number}"] = replica.pid
            ports.append(replica.port)
        self.load = Load(ports, _SLAS, self._given.rate, self._given.seed)
        began = time.monotonic()
        asking = asyncio.create_task(self.load.run())
        try:
            while self.seconds < 60.0 * (self._given.warm + self._given.minutes):
                await asyncio.sleep(_SAMPLE_SECONDS)
                self.seconds = time.monotonic() - began
                await self._sample()
        finally:
            asking.cancel()
            await self.load.close()

    def close(self):
        """End the processes."""
        self._processes.stop()
        self._engine.dispose()

    async def _sample(self):
        answered = self._since("answered", self.load.answered)
        passed = self._since("seconds", self.seconds)
        for name, pid in self._pids.items():
            memory, files, seconds = sample_process(pid)
            self._note(f"{name}: memory, MiB", memory)
            self._note(f"{name}: open files", files)
            self._note(f"{name}: % of a core", 100.0 * self._since(name, seconds) / passed)
        found = await asyncio.to_thread(sample_database, self._engine)
        self._note("connections to PostgreSQL", found["connections"])
        self._note("write-ahead log, MiB", found["wal"])
        kilobytes = self._since("written", found["written"]) / 1024.0 / max(answered, 1)
        self._note("written to it per request, KiB", kilobytes)
        self._note("inbox, events", found["inbox"])
        self._note("age of the state, s", found["age"])
        times, self.load.latencies = np.array(self.load.latencies), []
        for percent in (50, 99):
            taken = 1e3 * np.percentile(times, percent) if len(times) else np.nan
            self._note(f"latency p{percent}, ms", taken)
        self._note("answers a second", answered / passed)
        last = "  ".join(f"{name} {values[-1][1]:.4g}" for name, values in self.series.items())
        print(f"{self.seconds:6.0f} s  {last}", flush=True)

    def _since(self, name, value):
        """How much a counter rose since the last sample."""
        before, self._before[name] = self._before.get(name, 0.0), value
        return value - before

    def _note(self, name, value):
        self.series.setdefault(name, []).append((self.seconds, float(value)))


def table_of(series, warm):
    """Rows of what was measured after the first seconds: name, values and verdict."""
    for name, points in series.items():
        kept = [(at, value) for at, value in points if at > warm and not np.isnan(value)]
        if len(kept) < 2 * _PARTS:
            continue
        seconds, values = zip(*kept, strict=True)
        per_hour, half = slope(seconds, values)
        mean = float(np.mean(values))
        shown = (values[0], mean, values[-1], per_hour, half)
        said = "" if name.endswith(_GIVEN) else verdict(per_hour, half, mean)
        yield name, *(f"{value:,.2f}" for value in shown), said


def counts_of(load, seconds):
    """What the clients saw."""
    failed = ", ".join(f"{count:,} × {what}" for what, count in load.failures.items()) or "none"
    return (
        f"{load.answered:,} answers ({load.answered / seconds:.0f} a second), {load.judged:,} "
        f"acknowledged feedback messages, failed: {failed}."
    )


def page_of(rows, soak, given):
    """What is written into the page."""
    return "\n".join(
        [
            f"{given.replicas} servers, a learner, PostgreSQL, provider and clients on "
            f"{os.cpu_count()} cores, {given.rate:g} requests a second, of which a part of "
            f"{STREAM_SHARE:g} streams and {FEEDBACK_SHARE:g} is judged, for {given.minutes:g} "
            f"minutes after the first {given.warm:g}: {counts_of(soak.load, soak.seconds)}",
            "",
            "| quantity | first | mean | last | slope per hour | ± (95 %) | |",
            "|---|---:|---:|---:|---:|---:|---|",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
    )


def main():
    # A shell that starts it in the background lets it ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="Minutes that are measured.")
    parser.add_argument("--warm", type=float, default=6.0, help="Minutes before them.")
    parser.add_argument("--rate", type=float, default=200.0, help="Requests a second.")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="Write the table into the page.")
    given = parser.parse_args()
    print(f"{given}; began {time.strftime('%F %T')}", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        database = Database(Path(name) / "postgres")
        try:
            soak = uvloop.run(_soak(Path(name), database, given))
        finally:
            database.close()
    rows = list(table_of(soak.series, 60.0 * given.warm))
    table = Table("", "first", "mean", "last", "slope per hour", "± (95 %)", "")
    for row in rows:
        table.add_row(*row)
    Console(width=130).print(table)
    print(counts_of(soak.load, soak.seconds))
    if given.write:
        write(_PAGE, "soak_replicas.py", page_of(rows, soak, given))
    return int(bool(soak.load.failures) or any("**" in row[-1] for row in rows))


async def _soak(folder, database, given):
    server, url = await serve_provider()
    soak = Soak(folder, database, url, given)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await soak.run()
    finally:
        await asyncio.to_thread(soak.close)
        server.close()
    return soak


if __name__ == "__main__":
    sys.exit(main())
