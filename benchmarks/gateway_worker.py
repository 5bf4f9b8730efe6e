"""What one worker costs: two checkouts of Floorline, a bare proxy and Portkey's gateway in one run.

``python benchmarks/gateway_worker.py BEFORE [--rounds 3] [--seconds 3] [--skip portkey]``

BEFORE is the folder of another checkout, such as one of ``git worktree add``. In each round every
server is started before the mock of ``gateway_mock.py``, warmed up, called over one connection and
over 32, and stopped. "Direct" requests name their model, "routed" ones an SLA. The table has
medians over rounds: the processor time of the whole server per request and its requests a second
at 32 connections, and by how much its median latency at one connection exceeds the mock's of the
same round. The server has one core of its own; load and mock share another one, so the machine
should be idle. Three rounds take four minutes. Linux only.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gateway import WARM_UP, _stats, cell
from gateway_contenders import NO_HEADERS, Direct, Portkey, default_cache
from gateway_pair import Checkout, serving
from gateway_process import DidNotStart, cpu_seconds, free_port, running, wait_for

HERE = Path(__file__).parent
MANY = 32
"""Connections at which processor time and throughput are measured."""
MODES = {"direct": "model-3", "routed": "floorline/gold"}


class BareProxy:
    """``gateway_proxy.py``."""

    name, label, model, headers = "proxy", "uvicorn + aiohttp, bare proxy", "mock", NO_HEADERS

    def command(self, folder, port, upstream):
        """Return its command."""
        return [sys.executable, str(HERE / "gateway_proxy.py"), str(port), upstream], {}


def mock_latency(seconds, cores):
    """Median latency of the mock at one connection, in ms."""
    with tempfile.TemporaryDirectory(prefix="floorline-bench-") as name:
        log, port = Path(name) / "mock.log", free_port()
        mock = [sys.executable, str(HERE / "gateway_mock.py"), str(port)]
        with running(mock, [cores[0]], log) as provider:
            wait_for(provider, log, partial(_stats, port), 10.0)
            load = partial(cell, Direct(), port, concurrency=1, stream=False, core=cores[-1])
            return load(seconds=seconds)["ms_p50"]


def measure(contender, seconds, cores):
    """Return processor time in µs a request, requests a second, and median latency in ms."""
    with serving(contender, cores) as (server, port):
        load = partial(cell, contender, port, stream=False, core=cores[-1])
        load(concurrency=8, seconds=1.0)
        alone = load(concurrency=1, seconds=seconds / 2)
        before = cpu_seconds(server.pid)
        many = load(concurrency=MANY, seconds=seconds)
        used = cpu_seconds(server.pid) - before
    for one in (alone, many):
        if one["failed"]:
            raise SystemExit(f"{contender.label}: {one['errors']}")
    answered = many["per_second"] * (seconds + WARM_UP)
    return used / answered * 1e6, many["per_second"], alone["ms_p50"]


def contenders(before, skip, cache):
    """Return the servers that can be started."""
    found = [BareProxy()]
    for when, root in (("before", before.resolve()), ("after", HERE.parent)):
        for mode, model in MODES.items():
            checkout = Checkout(root, model)
            checkout.label = f"Floorline {mode}, {when}"
            found.append(checkout)
    if "portkey" not in skip:
        portkey = Portkey()
        try:
            portkey.install(cache)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"without Portkey: {error}", file=sys.stderr)
        else:
            found.append(portkey)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="at 32 connections; half at one")
    parser.add_argument("--skip", action="append", default=[], metavar="NAME")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="for Portkey's package")
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    servers = contenders(given.before, given.skip, given.cache.absolute())
    found = {server.label: [] for server in servers}
    for number in range(given.rounds):
        mock = mock_latency(given.seconds / 2, cores)
        # The other way round in every second round, so that no server is always the first.
        for server in servers[:: -1 if number % 2 else 1]:
            try:
                cpu, rate, latency = measure(server, given.seconds, cores)
            except DidNotStart as error:
                print(f"{server.label}: {error}", file=sys.stderr)
                continue
            found[server.label].append((cpu, rate, latency - mock))
            print(f"round {number + 1}, {server.label}: {cpu:.0f} µs", file=sys.stderr, flush=True)
    table = Table(
        "server", "CPU, µs a request", "requests/s", "requests per core second", "added p50, ms"
    )
    for label, rounds in found.items():
        if rounds:
            cpu, rate, added = (statistics.median(column) for column in zip(*rounds, strict=True))
            per_core = 1e6 / cpu
            table.add_row(label, f"{cpu:.0f}", f"{rate:,.0f}", f"{per_core:,.0f}", f"{added:.2f}")
    Console(width=110).print(table)
    print(f"{given.rounds} rounds; load average at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
