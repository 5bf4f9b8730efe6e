"""Processor time per request of a gateway whose dashboard is off, on, and open in ten browsers.

``python benchmarks/dashboard_cost.py [--rounds 6] [--seconds 20] [--concurrency 8] [--viewers 10]``

In each round a gateway without a dashboard is started, called and stopped, and one with it, which
is called without viewers and with them, twice in turn. A viewer does what a browser does with a
live page (``dashboard_viewers.py``). The processor time of the whole server is divided by the
requests it answered: everything that the dashboard takes is charged to them. The table has medians
over rounds, and the medians of the ratios within rounds. A closed loop of ``--concurrency``
connections keeps the server busy, or ``--rate`` requests a second arrive. Linux only.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import yaml

from gateway import FIRST_WARM_UP, WARM_UP, bodies, cell
from gateway_contenders import Floorline
from gateway_pair import serving
from gateway_process import cpu_seconds, pinned
from sheet import Sheet

HERE = Path(__file__).parent
OFF, NONE, VIEWED = "dashboard off", "no viewers", "viewers"


class WithDashboard(Floorline):
    """``floorline serve`` with or without the dashboard."""

    def __init__(self, enabled):
        self.enabled = enabled

    def command(self, folder, port, upstream):
        """Write ``floorline.yaml``."""
        found = super().command(folder, port, upstream)
        path = folder / "floorline.yaml"
        settings = yaml.safe_load(path.read_text()) | {"dashboard": {"enabled": self.enabled}}
        # By default a connection is closed after 1,000 requests, which the load does not expect.
        settings["server"]["limits"] = {"keep_alive_requests": 1_000_000_000}
        path.write_text(yaml.safe_dump(settings))
        return found


@contextlib.contextmanager
def viewed(port, count, core):
    """Let people look at the dashboard of a gateway."""
    argv = [sys.executable, str(HERE / "dashboard_viewers.py"), str(port), str(count)]
    viewers = subprocess.Popen(pinned(argv, [core]), stdout=subprocess.PIPE, text=True)
    try:
        assert viewers.stdout.readline() == "viewing\n"
        yield
        assert viewers.poll() is None, "a viewer failed"
    finally:
        viewers.terminate()
        viewers.wait(10)


async def steady(port, rate, seconds):
    """Send ``rate`` requests a second, each at its time; return how many were answered."""
    texts, answered = bodies(Floorline.model, stream=False), 0
    headers = {"content-type": "application/json"}

    async def send(session, number):
        nonlocal answered
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        async with session.post(url, data=texts[number % len(texts)], headers=headers) as answer:
            await answer.read()
            assert answer.status == 200
            answered += 1

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        began = time.perf_counter()
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            group.create_task(send(session, number))
    return answered


def load(contender, port, given, seconds, core):
    """Load a server; return the number of answered requests."""
    if given.rate:
        return asyncio.run(steady(port, given.rate, seconds))
    one = cell(
        contender, port, concurrency=given.concurrency, stream=False, seconds=seconds, core=core
    )
    if one["failed"]:
        raise SystemExit(f"{one['failed']} requests failed: {one['errors']}")
    return one["per_second"] * (seconds + WARM_UP)


def visit(given, cores, enabled):
    """Start a gateway; return the processor time per request in µs by the kind of visit."""
    contender, found = WithDashboard(enabled), {}
    with serving(contender, cores) as (server, port):
        load(contender, port, given, FIRST_WARM_UP, cores[-1])
        # As often in either case: a log and a memory that grow make requests dearer.
        for kind in (NONE, VIEWED, VIEWED, NONE) if enabled else (OFF,) * 4:
            look = viewed(port, given.viewers, cores[-1])
            with look if kind == VIEWED else contextlib.nullcontext():
                before = cpu_seconds(server.pid)
                answered = load(contender, port, given, given.seconds, cores[-1])
                spent = cpu_seconds(server.pid) - before
            found.setdefault(kind, []).append(spent / answered * 1e6)
    return {kind: statistics.fmean(values) for kind, values in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--rate", type=float, help="requests a second instead of a closed loop")
    parser.add_argument("--viewers", type=int, default=10)
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    rounds = []
    for number in range(given.rounds):
        both = {}
        for enabled in (False, True) if number % 2 else (True, False):
            both |= visit(given, cores, enabled)
        rounds.append(both)
        shown = ", ".join(f"{kind} {value:,.0f} µs" for kind, value in sorted(both.items()))
        print(f"round {number + 1}: {shown}", flush=True)
    sheet = Sheet(
        "Processor time per request",
        ["gateway", "µs", "compared with", "ratio, median of rounds", "all ratios"],
    )
    for kind, base in ((OFF, None), (NONE, OFF), (VIEWED, NONE), (VIEWED, OFF)):
        name = f"{given.viewers} viewers" if kind == VIEWED else kind
        cells = [name, f"{statistics.median(one[kind] for one in rounds):,.0f}"]
        if base is not None:
            ratios = sorted(one[kind] / one[base] for one in rounds)
            cells += [
                base,
                f"{statistics.median(ratios):.3f}",
                " ".join(f"{r:.2f}" for r in ratios),
            ]
        sheet.add_row(*cells)
    sheet.show()


if __name__ == "__main__":
    main()
